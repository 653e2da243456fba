"""GraphCON: the published scheme, its degenerate point, layers, couplings equal to PyG's, exact numbers."""

import warnings

import numpy as np
import pytest
import torch

from neuralpde import Graph, simulate
from neuralpde.operators import Adjacency, Laplacian
from neuralpde.pdes import GraphCON, Wave
from solvers import Problem, method_named, solve

F64 = torch.float64
GRID = Graph.grid(10, 10)
X0 = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (100, 4)))


def linear(alpha=0.0, gamma=1.0):
    """sigma = id, W = I, F = D^-1/2 A D^-1/2 X."""
    pde = GraphCON(4, alpha=alpha, gamma=gamma, activation=None, self_loops=False, bias=False).double()
    with torch.no_grad():
        pde.weight.copy_(torch.eye(4))
    return pde


def at_rest(pde, x):
    return torch.stack([x, torch.zeros_like(x)])


class FromRest(GraphCON):
    """X'(0) = 0 in place of X'(0) = X(0)."""

    def lift(self, graph, u0):
        return at_rest(self, u0)


def linear_from_rest(alpha=0.0):
    pde = FromRest(4, alpha=alpha, gamma=1.0, activation=None, self_loops=False, bias=False).double()
    with torch.no_grad():
        pde.weight.copy_(torch.eye(4))
    return pde


def energy_mean(x):
    """(1/n) sum over i and its neighbours j of |x_i - x_j|^2."""
    source, target = GRID.edge_index
    return float((x[source] - x[target]).detach().pow(2).sum() / 100)


def test_published_numbers():
    """The exact solution from X0 = rng(0).uniform, Y0 = 0: H, |X(10)| and E(X(10))."""
    pde = linear_from_rest()
    field = pde.on(GRID, X0)
    energy = field.energy(0.0, at_rest(pde, X0), GRID.space)
    assert energy.item() == pytest.approx(16.659713337250, abs=1e-11)
    for equation in (pde, Wave(normalization="sym")):
        sim = simulate(equation, GRID, X0, 10.0, "dopri5", rtol=1e-13, atol=1e-13)
        assert sim.u[-1].norm().item() == pytest.approx(11.408478816747, abs=1e-10)
        assert energy_mean(sim.u[-1]) == pytest.approx(1.239401752316, abs=1e-10)
        assert float(field.energy(0.0, sim.solution.y[-1], GRID.space).detach()) == pytest.approx(16.65971333725, abs=1e-9)


@pytest.mark.parametrize(
    "method, errors",
    [("leapfrog", (9.36e-2, 2.32e-2, 5.79e-3, 1.45e-3)), ("symplectic_euler", (0.501, 0.226, 0.108, 0.0524))],
)
def test_errors_of_the_symplectic_schemes(method, errors):
    exact = simulate(Wave(normalization="sym"), GRID, X0, 10.0, "dopri5", rtol=1e-12).u[-1]
    for dt, expected in zip((0.2, 0.1, 0.05, 0.025), errors, strict=True):
        got = simulate(linear_from_rest(), GRID, X0, 10.0, method, dt=dt).u[-1]
        assert float((got - exact).norm().detach()) == pytest.approx(expected, rel=6e-3)


def test_symplectic_euler_keeps_the_modified_energy():
    """H - (dt/2) <Y, L X> is conserved to rounding."""
    dt, lap = 0.1, Laplacian(GRID, "sym", dtype=F64)
    pde = linear_from_rest()
    y = simulate(pde, GRID, X0, 20.0, "symplectic_euler", dt=dt, save="steps").solution.y.detach()
    field = pde.on(GRID, X0)
    kept = [float(field.energy(0.0, s, GRID.space).detach() - dt / 2 * (s[1] * lap(s[0])).sum()) for s in y]
    assert max(kept) - min(kept) < 1e-12 * abs(kept[0])


def test_scheme_is_the_published_one():
    torch.manual_seed(0)
    pde, graph = GraphCON(6, alpha=0.3, gamma=0.8).double(), Graph.grid(3, 3)
    u0, dt = torch.randn(9, 6, dtype=F64), 0.4
    a = Adjacency(graph, "sym", self_loops=True, dtype=F64).to_dense()
    x, y = u0, u0
    for _ in range(5):
        y = y + dt * (torch.relu(a @ x @ pde.weight + pde.bias) - 0.8 * x - 0.3 * y)
        x = x + dt * y
    sim = simulate(pde, graph, u0, 5 * dt, "symplectic_euler", dt=dt)
    torch.testing.assert_close(sim.u[-1], x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("coupling", ["gcn", "gat"])
def test_degenerate_point_is_a_plain_graph_network(coupling):
    """dt = alpha = gamma = 1: X_n = sigma(F(X_{n-1})), whatever Y is; and a warning says so."""
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="plain graph neural network"):
        pde = GraphCON(4, coupling, alpha=1.0, gamma=1.0, heads=2).double()
    graph = Graph.grid(4, 4)
    u0 = torch.randn(16, 4, dtype=F64)
    field, x = pde.on(graph, u0), u0
    sim = simulate(pde, graph, u0, 20.0, "symplectic_euler", dt=1.0, save="steps")
    for state in sim.u[1:]:
        x = torch.relu(field.coupling(torch.zeros(()), x))
        torch.testing.assert_close(state, x, rtol=0, atol=1e-12)


def test_warns_of_the_degenerate_point_only():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GraphCON(4), GraphCON(4, alpha=1.0, gamma=0.5), GraphCON(4, alpha=1.0, gamma=1.0, layers=2, dt=0.5)
    with pytest.warns(UserWarning, match="degenerate"):
        GraphCON(4, alpha=2.0, gamma=4.0, layers=2, dt=0.5)


@pytest.mark.parametrize("dt", [1.0, 0.1, 0.3, 1 / 3])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_layers_are_used_one_after_the_other(dt, dtype):
    torch.manual_seed(0)
    layers, graph = 30, Graph.grid(2, 3)
    pde = GraphCON(3, alpha=0.2, layers=layers, dt=dt).to(dtype)
    a = Adjacency(graph, "sym", self_loops=True, dtype=dtype).to_dense()
    u0 = torch.randn(6, 3, dtype=dtype)
    x, y = u0, u0
    for k in range(layers):
        y = y + dt * (torch.relu(a @ x @ pde.weight[k] + pde.bias[k]) - x - 0.2 * y)
        x = x + dt * y
    sim = simulate(pde, graph, u0, layers * dt, "symplectic_euler", dt=dt)
    torch.testing.assert_close(sim.u[-1], x, rtol=0, atol=1e-12 if dtype == F64 else 2e-4)


def test_every_layer_gets_a_gradient():
    torch.manual_seed(0)
    pde = GraphCON(4, "gat", heads=2, layers=5, dt=0.5, activation="tanh")
    simulate(pde, Graph.grid(3, 3), torch.randn(9, 4), 2.5, "symplectic_euler", dt=0.5).u[-1].sum().backward()
    for p in pde.parameters():
        assert p.grad is not None and bool((p.grad.flatten(1).abs().sum(1) > 0).all())


def test_couplings_are_those_of_pyg():
    from torch_geometric.nn import GATConv, GCNConv

    torch.manual_seed(0)
    graph, x = Graph.grid(3, 4), torch.randn(12, 8, dtype=F64)
    weight = torch.rand(graph.num_edges // 2, dtype=F64).repeat(2)
    gcn, pde = GCNConv(8, 8).double(), GraphCON(8).double()
    with torch.no_grad():
        pde.weight.copy_(gcn.lin.weight.mT), gcn.bias.normal_(), pde.bias.copy_(gcn.bias)
    f = pde.on(graph.with_weight(weight), x).coupling(0.0, x)
    torch.testing.assert_close(f, gcn(x, graph.edge_index, weight), rtol=0, atol=1e-13)
    gat, pde = GATConv(8, 2, heads=4).double(), GraphCON(8, "gat", heads=4).double()
    with torch.no_grad():
        pde.weight.copy_(gat.lin.weight.mT), pde.bias.copy_(gat.bias)
        pde.left.copy_(gat.att_dst.flatten()), pde.right.copy_(gat.att_src.flatten())
    torch.testing.assert_close(pde.on(graph, x).coupling(0.0, x), gat(x, graph.edge_index), rtol=0, atol=1e-13)


def test_energy_where_there_is_one():
    pde = linear(gamma=0.7)
    field = pde.on(GRID, X0)
    assert field.stiffness is not None
    top = torch.linalg.eigvalsh(0.7 * torch.eye(100, dtype=F64) - Adjacency(GRID, "sym", dtype=F64).to_dense())
    lo, hi = field.stiffness.bounds()
    rounding = 1e-13  # of the eigenvalues, which a dense solver gives to some eps
    assert lo <= float(top[0]) + rounding and float(top[-1]) - rounding <= hi
    nonlinear = GraphCON(4).double().on(GRID, X0)
    with pytest.raises(TypeError, match="this GraphCON has no energy"):
        nonlinear.energy(0.0, at_rest(pde, X0), GRID.space)


def test_refusals():
    for arguments, message in (
        ({"coupling": "gcnn"}, "Did you mean 'gcn'"),
        ({"activation": "rely"}, "Did you mean 'relu'"),
        ({"coupling": "gat", "heads": 3}, "3 heads do not divide 4 channels"),
        ({"alpha": -1.0}, "neither may be negative"),
        ({"layers": 3}, "expected at least one layer and the positive time dt"),
        ({"dt": 1.0}, "hand the step to the solver"),
    ):
        with pytest.raises(ValueError, match=message):
            GraphCON(4, **arguments)
    with pytest.raises(ValueError, match="u0 has 3 channels, GraphCON acts on 4"):
        simulate(GraphCON(4), GRID, torch.zeros(100, 3), 1.0)


# ---- fields that write their slopes where they are told to ----------------------------------------------------------

WRITING = [
    Wave(),
    Wave(damping=0.3),
    Wave(damping=torch.linspace(0, 1, 16)),
    GraphCON(3, "gcn", alpha=0.0, activation="tanh"),
    GraphCON(3, "gcn", alpha=0.5),
    GraphCON(3, "gat", heads=1, alpha=0.5, learned="alpha"),
]


@pytest.mark.parametrize("pde", WRITING, ids=lambda pde: type(pde).__name__)
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "rk4", "heun"])
def test_slopes_that_are_written_in_place_are_the_slopes(pde, method):
    """Bit by bit, and so are the states, those read between steps and those of a step that is tried again."""
    graph, scheme = Graph.grid(4, 4), method_named(method)
    u0 = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = pde.lift(graph, u0)
        field, out = pde.on(graph, y), torch.full_like(y, torch.nan)
        field.into(torch.tensor(0.0), y, out)
        assert torch.equal(out, field(torch.tensor(0.0), y))
        options = {"dt": 0.2} if method == "rk4" else {"rtol": 1e-4}
        written = solve(field, y, [0.0, 0.9, 3.0], method, **options)
        returned = solve(lambda t, y: field(t, y), y, [0.0, 0.9, 3.0], method, **options)
        problem = Problem(field)
        tried = scheme.step(problem, 0.0, 5.0, y, scheme.init(problem, 0.0, y)[0])
        again = scheme.step(problem, 0.0, 0.1, y, tried.retry)
        alone = scheme.step(problem, 0.0, 0.1, y, scheme.init(problem, 0.0, y)[0])
    assert torch.equal(written.y, returned.y) and written.stats == returned.stats
    assert torch.equal(again.y, alone.y) and (alone.error is None or torch.equal(again.error, alone.error))
