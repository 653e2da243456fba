"""Edges that are chosen anew from the state on the way: what is chosen, when, and the contract of an equation on a graph."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from neuralpde import FitConfig, Graph, NodeClassifier, Transform, evaluate, fit, load, save, simulate
from neuralpde.graph import as_graph
from neuralpde.pdes import BLEND, GRAND, GraphCON, GraphPDE
from neuralpde.training import seeded
from neuralpde.transforms import KNN
from solvers import Pieces, solve

F64 = torch.float64
NODES = 20


@dataclass(frozen=True)
class Unchanged(Transform):
    """The graph itself."""

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes"})

    def apply(self, graph: Graph) -> Graph:
        return graph


@dataclass(frozen=True)
class Watched(Transform):
    """Nearest neighbours, with the states they were sought in."""

    seen: tuple[list[Tensor], ...] = ([],)

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes", "undirected"})

    def apply(self, graph: Graph) -> Graph:
        self.seen[0].append(graph.node["state"])
        return KNN(3, of="state")(graph)


def loud(kind: str, **options) -> GraphPDE:
    """Attention far from uniform."""
    torch.manual_seed(1)
    given = {"heads": 2, "attention_dim": 8, "source": True, **options}
    pde = (BLEND(3, 2, pos_channels=4, **given) if kind == "blend" else GRAND(3, **given)).double()
    with torch.no_grad():
        for p in pde.parameters():
            p.copy_(torch.randn_like(p) / 2)
    return pde


@pytest.fixture
def graph() -> Graph:
    return Graph.grid(4, 5).to(F64)


@pytest.fixture
def u0() -> Tensor:
    return torch.randn(NODES, 3, generator=torch.Generator().manual_seed(1), dtype=F64)


KINDS = pytest.mark.parametrize("kind", ["blend", "grand"])
ATTENTION = pytest.mark.parametrize("attention", ["frozen", "recomputed"])


@KINDS
@ATTENTION
def test_edges_are_those_of_the_state_at_every_knot(kind, attention, graph, u0):
    watched = Watched(([],))
    pde = loud(kind, rewire=watched, rewire_every=0.5, attention=attention)
    run = simulate(pde, graph, u0, [0.0, 0.5, 1.0, 1.3], "rk4", dt=0.1)
    states = watched.seen[0]
    assert len(states) == 3 and torch.equal(states[0], pde.lift(graph, u0))
    for state, y in zip(states[1:], run.solution.y[1:3], strict=True):
        assert torch.equal(state, y) and not state.requires_grad
    # by hand: three solves, each on the edges of the state that it begins at
    still = loud(kind, rewire=KNN(3, of="state") if kind == "blend" else None, attention=attention)
    y = pde.lift(graph, u0)
    source = pde.beta * y
    for length in (0.5, 0.5, 0.3):
        edges = KNN(3, of="state")(graph.with_node(state=y.detach()))
        y = solve(still._from(graph if kind == "blend" else edges, source, y), y, length, "rk4", dt=0.1).y[-1]
    torch.testing.assert_close(run.solution.y[-1], y, rtol=0, atol=1e-12)


@KINDS
def test_it_is_the_plain_flow_where_nothing_is_rewired(kind, graph, u0):
    plain = loud(kind, attention="recomputed")
    pieces = loud(kind, attention="recomputed", rewire=Unchanged(), rewire_every=0.5)
    for options in ({"method": "rk4", "dt": 0.1}, {"method": "dopri5", "rtol": 1e-10}):
        one, other = (simulate(pde, graph, u0, [0.0, 0.7, 1.4], **options).u for pde in (plain, pieces))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9 if "rtol" in options else 1e-12)


@KINDS
@ATTENTION
def test_numbering_the_nodes_otherwise_changes_nothing(kind, attention, graph, u0):
    """The distances of a random state have no ties, which the nearest neighbours would break by number."""
    pde = loud(kind, rewire=KNN(3, of="state"), rewire_every=0.4, attention=attention)
    order = torch.randperm(NODES, generator=torch.Generator().manual_seed(2))
    place = order.argsort()
    assert graph.pos is not None
    other = Graph.from_edges(place[graph.edge_index], num_nodes=NODES, pos=graph.pos[order])
    one, two = simulate(pde, graph, u0, 1.0, "rk4", dt=0.1).u[-1], simulate(pde, other, u0[order], 1.0, "rk4", dt=0.1).u[-1]
    torch.testing.assert_close(one[order], two, rtol=0, atol=1e-12)


@KINDS
@ATTENTION
def test_gradients_reach_every_parameter_in_every_way(kind, attention, graph, u0):
    found = {}
    for gradient in ("backprop", "checkpoint", "interpolating"):
        pde = loud(kind, rewire=KNN(3, of="state"), rewire_every=0.4, attention=attention)
        u = u0.clone().requires_grad_()
        run = simulate(pde, graph, u, 1.0, "dopri5", rtol=1e-10, gradient=gradient)
        names = [name for name, _ in pde.named_parameters()]
        found[gradient] = torch.autograd.grad(run.u[-1].square().sum(), [u, *pde.parameters()])
        assert all(bool((g != 0).any()) for g in found[gradient]), names
    for gradient, rtol in (("checkpoint", 1e-9), ("interpolating", 1e-5)):
        for a, b in zip(found["backprop"], found[gradient], strict=True):
            torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


@KINDS
def test_gradient_by_differences(kind, graph, u0):
    pde = loud(kind, rewire=KNN(3, of="state"), rewire_every=0.4)
    weight = pde.get_parameter("query.0.weight" if kind == "blend" else "query.weight")

    def value() -> Tensor:
        return simulate(pde, graph, u0, 1.0, "rk4", dt=0.1).u[-1].square().sum()

    (grad,) = torch.autograd.grad(value(), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=F64)
    with torch.no_grad():
        weight += 1e-6 * direction
        up = value()
        weight -= 2e-6 * direction
        slope = (up - value()) / 2e-6
    torch.testing.assert_close(slope, (grad * direction).sum(), rtol=1e-6, atol=1e-8)


@KINDS
def test_graphs_of_a_batch_do_not_see_each_other(kind, graph, u0):
    pde = loud(kind, rewire=KNN(3, of="state"), rewire_every=0.4)
    both = simulate(pde, graph.repeat(2), torch.cat([u0, u0.flip(0)]), 1.0, "rk4", dt=0.1).u[-1]
    for part, u in ((both[:NODES], u0), (both[NODES:], u0.flip(0))):
        torch.testing.assert_close(part, simulate(pde, graph, u, 1.0, "rk4", dt=0.1).u[-1], rtol=0, atol=1e-12)


@KINDS
def test_trains_as_a_layer_and_is_rebuilt(kind, tmp_path):
    generator = torch.Generator().manual_seed(0)
    part, y = torch.arange(40) % 3, torch.arange(40) % 2
    x = torch.randn(40, 4, generator=generator)
    x[:, 0] += 2.0 * y
    masks = {"train_mask": part == 0, "val_mask": part == 1, "test_mask": part == 2}
    graph = Graph.grid(5, 8).to(torch.float32).with_node(x=x, y=y, **masks)
    with seeded(0):
        options = {"heads": 2, "attention_dim": 8, "rewire": KNN(4, of="state"), "rewire_every": 1.0}
        pde = BLEND(8, 2, pos_channels=2, **options) if kind == "blend" else GRAND(8, **options)
        model = NodeClassifier(4, 2, pde, 2.0, "rk4", dt=0.5, input_dropout=0.1)
    history = fit(model, graph, config=FitConfig(epochs=20, lr=0.03))
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert evaluate(model, graph, masks["val_mask"]) == history.best.val_accuracy
    save(model, tmp_path / "m.pt")
    again = load(tmp_path / "m.pt")
    assert torch.equal(again.eval()(graph), model.eval()(graph)) and again.pde.rewire_every == 1.0
    with pytest.raises(TypeError, match=r"RewiredFlow is one field after another"):
        fit(model, graph, config=FitConfig(epochs=1, regularisation={"kinetic": 0.1}))


@KINDS
def test_says_what_cannot_be_meant(kind):
    with pytest.raises(ValueError, match=r"rewire_every = 1 without rewire=; give the transform too"):
        loud(kind, rewire_every=1.0)
    with pytest.raises(ValueError, match=r"rewire_every = -1; expected a positive time"):
        loud(kind, rewire=KNN(3, of="state"), rewire_every=-1.0)


@pytest.mark.parametrize("coupling", ["gcn", "gat"])
def test_layers_are_pieces(coupling, graph):
    """GraphCON with distinct layers, each a step long, is a list of fields, one for each layer."""
    torch.manual_seed(0)
    layers = GraphCON(4, coupling, alpha=0.5, heads=2, layers=3, dt=0.5, activation="tanh").double()
    u0 = torch.randn(NODES, 4, dtype=F64)
    single = []
    for k in range(3):
        one = GraphCON(4, coupling, alpha=0.5, heads=2, activation="tanh").double()
        with torch.no_grad():
            for name, p in one.named_parameters():
                p.copy_(layers.get_parameter(name)[k])
        single.append(one)
    field = Pieces([one.on(as_graph(graph), u0) for one in single], (0.5, 1.0))
    y0 = layers.lift(graph, u0)
    for method in ("symplectic_euler", "euler"):
        ours = solve(field, y0, 1.5, method, dt=0.5, stability_check=False).y[-1]
        theirs = solve(layers.on(graph, u0), y0, 1.5, method, dt=0.5, stability_check=False).y[-1]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    ours.square().sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for one in single for p in one.parameters())
    if coupling == "gcn":  # smooth; the attention has the kink of its leaky ReLU, and no fourth order
        with (
            torch.no_grad()
        ):  # other methods see each layer on its own stretch of time, of which the field of layers tells nothing
            exact = solve(field, y0, 1.5, "dopri5", rtol=1e-11).y[-1]
            coarse, fine = (solve(field, y0, 1.5, "rk4", dt=dt).y[-1] - exact for dt in (0.25, 0.125))
        assert float(coarse.abs().max() / fine.abs().max()) > 12
