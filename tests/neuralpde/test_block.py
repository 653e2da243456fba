"""PDEBlock: the calls it takes, the features it gives, and the gradients that pass through it."""

import pytest
import torch

from neuralpde import Graph, GraphError, PDEBlock, simulate
from neuralpde.pdes import GRAND, Diffusion, GraphCON, Wave
from solvers import StabilityError

EQUATIONS = {
    "diffusion": lambda: Diffusion("learnable", "rw"),
    "grand": lambda: GRAND(3, heads=2, attention_dim=4, source=True),
    "grand-nl": lambda: GRAND(3, heads=2, attention_dim=4, attention="recomputed"),
    "graphcon": lambda: GraphCON(3, activation="tanh"),
    "wave": lambda: Wave(),
}


@pytest.fixture
def graph() -> Graph:
    return Graph.grid(3, 4)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def block_of(name: str, **options) -> PDEBlock:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PDEBlock(EQUATIONS[name]().double(), **options)


def gradients(block: PDEBlock, graph: Graph, x: torch.Tensor) -> list[torch.Tensor]:
    weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    leaf = x.clone().requires_grad_()
    found = torch.autograd.grad((block(leaf, graph) * weights).sum(), [leaf, *block.parameters()])
    return list(found)


@pytest.mark.parametrize("name", EQUATIONS)
def test_gives_the_features_at_time_t(name, graph, x):
    block = block_of(name, t=0.7, rtol=1e-9)
    with torch.no_grad():
        expected = simulate(block.pde, graph, x, 0.7, "dopri5", rtol=1e-9).u[-1]
        torch.testing.assert_close(block(x, graph), expected, rtol=0, atol=0)


def test_every_way_of_calling_is_the_same(graph, x):
    torch_geometric = pytest.importorskip("torch_geometric")
    block = block_of("diffusion", t=0.5)
    weight = torch.ones(graph.num_edges, dtype=torch.float64)
    data = torch_geometric.data.Data(x=x, edge_index=graph.edge_index)
    calls = [(x, graph), (x, graph.edge_index), (x, graph.edge_index, weight), (graph.with_node(x=x),), (data,), (x, data)]
    first = block(*calls[0])
    for call in calls[1:]:
        torch.testing.assert_close(block(*call), first, rtol=0, atol=0)


def test_a_batch_is_its_graphs_side_by_side(x):
    one, other = Graph.path(4), Graph.ring(8)
    index = torch.cat([one.edge_index, other.edge_index + 4], 1)
    batch = torch.tensor([0] * 4 + [1] * 8)
    block = block_of("grand", t=1.0, method="rk4", dt=0.25)
    both = block(x, index, None, batch)
    torch.testing.assert_close(both, torch.cat([block(x[:4], one), block(x[4:], other)]))


def test_edges_that_change_in_place_are_read_again(x):
    index = Graph.ring(12).edge_index.clone()
    block = block_of("diffusion", t=0.5)
    before = block(x, index)
    index.copy_(5 * index % 12)
    assert not torch.equal(block(x, index), before)


@pytest.mark.parametrize("name", ["diffusion", "grand", "grand-nl", "graphcon"])
def test_adjoint_is_backprop(name, graph, x):
    tight = {"t": 1.0, "rtol": 1e-10, "atol": 1e-12}
    by_steps = gradients(block_of(name, **tight), graph, x)
    by_adjoint = gradients(block_of(name, gradient="adjoint", **tight), graph, x)
    for a, b in zip(by_steps, by_adjoint, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    assert all(bool(g.abs().max() > 0) for g in by_adjoint)


@pytest.mark.parametrize("method", ["implicit_euler", "crank_nicolson", "bdf2", "trbdf2"])
@pytest.mark.parametrize("name", ["diffusion", "grand", "grand-nl"])
def test_implicit_methods_pass_gradients(method, name, graph, x):
    """Against central differences along a random direction of features and parameters at once."""
    block = block_of(name, t=1.0, method=method, dt=0.25, rtol=1e-11, atol=1e-13)
    weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    slopes = gradients(block, graph, x)
    generator = torch.Generator().manual_seed(2)
    leaves = [x, *block.parameters()]
    steps = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in leaves]

    def value(eps: float) -> float:
        with torch.no_grad():
            for p, d in zip(leaves[1:], steps[1:], strict=True):
                p += eps * d
            out = float((block(x + eps * steps[0], graph) * weights).sum())
            for p, d in zip(leaves[1:], steps[1:], strict=True):
                p -= eps * d
        return out

    eps = 1e-4
    measured = (value(eps) - value(-eps)) / (2 * eps)
    predicted = sum(float((g * d).sum()) for g, d in zip(slopes, steps, strict=True))
    assert predicted == pytest.approx(measured, rel=1e-5)


def test_gradients_reach_computed_edge_weights(graph, x):
    raw = torch.zeros(graph.num_edges, dtype=torch.float64, requires_grad=True)
    block = PDEBlock(Diffusion(1.0, "rw"), t=1.0, method="rk4", dt=0.25)
    for _ in range(2):  # the weights of the second call are new tensors, on the same edges
        (slope,) = torch.autograd.grad(block(x, graph.edge_index, raw.exp()).square().sum(), raw)
        assert bool(slope.abs().max() > 1e-6)


def test_counts_what_a_call_cost(graph, x):
    block = block_of("diffusion", t=1.0, method="rk4", dt=0.25)
    assert block.stats is None
    block(x, graph)
    assert block.stats is not None and (block.stats.steps, block.stats.evaluations) == (4, 16)


def test_an_unstable_step_is_warned_of_once(graph, x, recwarn):
    block = PDEBlock(Diffusion(1.0), t=4.0, method="euler", dt=1.0)
    with pytest.raises(StabilityError), torch.no_grad():
        simulate(block.pde, graph, x, 4.0, "euler", dt=1.0)
    for _ in range(3):
        block(x, graph)
    (warning,) = recwarn
    assert "with dt = 1 is unstable here: it needs dt <= 0.31" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"t": 0.0}, "t = 0.0; expected a positive final time"),
        ({"save": "dense"}, "takes no save="),
        ({"step": 0.1}, "no option 'step'"),
        ({"method": "dopri54"}, "Did you mean 'dopri5'"),
    ],
)
def test_refuses_what_cannot_be_meant(arguments, message):
    with pytest.raises(ValueError, match=message):
        PDEBlock(Diffusion(), **arguments)


def test_says_what_is_missing_in_a_call(graph, x):
    block = block_of("diffusion")
    with pytest.raises(TypeError, match="features and no graph"):
        block(x)
    with pytest.raises(ValueError, match=r"with_node\(x=...\)"):
        block(graph)
    with pytest.raises(TypeError, match="and more"):
        block(graph.with_node(x=x), graph)
    with pytest.raises(GraphError, match=r"names node 5 .* num_nodes=5"):
        block(x[:5], graph.edge_index)
