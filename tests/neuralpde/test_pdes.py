"""The contract of every equation, by `check`; and what each refuses."""

import inspect

import pytest
import torch

from neuralpde import Graph, GraphError, GraphPDE, check, pdes, simulate
from neuralpde.operators import Laplacian, reverse_edges
from neuralpde.pdes import GRAND, Coefficient, Diffusion, GraphCON, LinearOscillator, Wave
from solvers import LinearFlow, Partitioned, Semilinear

EXPORTS = [getattr(pdes, name) for name in pdes.__all__]
EQUATIONS = [e for e in EXPORTS if inspect.isclass(e) and issubclass(e, GraphPDE) and not inspect.isabstract(e)]
F64 = torch.float64


@pytest.mark.parametrize("cls", EQUATIONS)
def test_contract(cls):
    pde, graph, u0 = cls.example()
    report = check(pde, graph, u0)
    assert report.ok, str(report)


GRAPH = Graph.grid(3, 4)
VARIANTS = {
    "diffusion": Diffusion(0.3),
    "diffusion rw": Diffusion(0.3, "rw"),
    "diffusion sym": Diffusion("learnable", "sym"),
    "diffusion col": Diffusion(2.0, "col"),
    "wave": Wave(1.3),
    "wave sym": Wave(0.7, damping=0.2, normalization="sym"),
    "wave speed per node": Wave(torch.linspace(1, 2, 12, dtype=F64), torch.linspace(0, 1, 12, dtype=F64)),
    "wave learnable": Wave(1.5, learnable=True),
    "graphcon gcn": GraphCON(3, "gcn", activation="tanh"),
    "graphcon layers": GraphCON(3, "gcn", layers=1, dt=10.0, activation="relu"),
    "graphcon gat": GraphCON(4, "gat", heads=2, alpha=0.1),
    "grand": GRAND(3),
    "grand nl": GRAND(3, attention="recomputed"),
    "grand col": GRAND(3, norm="col", source=True),
    "grand col nl": GRAND(3, norm="col", attention="recomputed"),
    "grand squareplus": GRAND(3, heads=1, activation="squareplus", attention="recomputed", source=True),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_contract_of_variants(name):
    torch.manual_seed(0)
    pde = VARIANTS[name]
    with torch.no_grad():
        for p in pde.parameters():
            p.add_(torch.randn_like(p) / 3)
    report = check(pde, GRAPH)
    assert report.ok, str(report)


def test_fields_offer_their_structure():
    u0 = torch.randn(12, 3, dtype=F64)
    assert isinstance(Diffusion().on(GRAPH, u0), LinearFlow)
    assert isinstance(GRAND(3).double().on(GRAPH, u0), LinearFlow)
    assert isinstance(GRAND(3, attention="recomputed").double().on(GRAPH, u0), Semilinear)
    for pde in (Wave(), GraphCON(3).double()):
        assert isinstance(pde.on(GRAPH, u0), Partitioned)
    assert isinstance(Wave().on(GRAPH, u0), LinearOscillator)


def test_first_order_form_of_a_wave():
    field = Wave(1.2, torch.linspace(0, 1, 12, dtype=F64)).on(GRAPH, torch.zeros(12, 1, dtype=F64))
    y = torch.randn(2, 12, 3, dtype=F64)
    operator = field.linear_part(torch.zeros(()), y)
    torch.testing.assert_close(operator(y), field(torch.zeros(()), y), rtol=0, atol=1e-14)
    torch.testing.assert_close((operator.to_dense() @ y.flatten(0, 1)).view(2, 12, 3), operator(y), rtol=0, atol=1e-13)
    torch.testing.assert_close(operator.adjoint.to_dense(), operator.to_dense().mT, rtol=0, atol=0)
    real = torch.linalg.eigvals(operator.to_dense()).real
    lo, hi = operator.bounds()
    assert lo <= real.min() and real.max() <= hi + 1e-7  # the two zero modes are defective


class TestDiffusion:
    def test_conductivity_per_edge_is_a_weight(self):
        c = torch.rand(GRAPH.num_edges, dtype=F64) + 0.1
        c = c + c[reverse_edges(GRAPH)]
        u0 = torch.randn(12, 2, dtype=F64)
        field = Diffusion(c).on(GRAPH, u0)
        expected = -Laplacian(GRAPH.with_weight(c)).to_dense()
        torch.testing.assert_close(field.operator.to_dense(), expected, rtol=0, atol=1e-14)

    @pytest.mark.parametrize("name", ["none", "rw", "sym", "col"])
    def test_a_constant_conductivity_per_edge_is_a_number(self, name):
        u0 = torch.randn(12, 2, dtype=F64)
        per_edge = Diffusion(torch.full((GRAPH.num_edges,), 0.7, dtype=F64), name).on(GRAPH, u0)
        torch.testing.assert_close(per_edge.operator.to_dense(), Diffusion(0.7, name).on(GRAPH, u0).operator.to_dense())

    def test_learnable_starts_where_it_is_told(self):
        c = torch.linspace(0.01, 30, GRAPH.num_edges, dtype=F64)
        torch.testing.assert_close(Coefficient(c, learnable=True)(), c)
        assert Diffusion("learnable").conductivity().item() == pytest.approx(1.0)
        assert [n for n, _ in Diffusion("learnable").named_parameters()] == ["conductivity.raw"]
        assert not list(Diffusion(2.0).parameters())

    def test_refusals(self):
        u0 = torch.zeros(12, 1, dtype=F64)
        with pytest.raises(ValueError, match="conductivity must be not negative and finite; its least is -1"):
            Diffusion(-1.0)
        with pytest.raises(ValueError, match="expected one per edge"):
            Diffusion(torch.ones(12)).on(GRAPH, u0)
        with pytest.raises(ValueError, match="conductivity has 5 entries"):
            Diffusion(torch.ones(5)).on(GRAPH, u0)
        with pytest.raises(GraphError, match="conductivity differs between an edge and its reverse"):
            Diffusion(torch.arange(1.0, GRAPH.num_edges + 1)).on(GRAPH, u0)
        with pytest.raises(ValueError, match="Did you mean 'sym'"):
            Diffusion(1.0, "symm")
        with pytest.raises(ValueError, match="learnable"):
            Diffusion("learned")


class TestWave:
    def test_finite_volume_equation(self):
        mass, speed = torch.rand(2, 12, dtype=F64) + 0.5
        pde = Wave(speed, mass=mass)
        u = torch.randn(12, 2, dtype=F64)
        y = pde.lift(GRAPH, u)
        torch.testing.assert_close(pde.read(y), u)
        torch.testing.assert_close(pde.read(torch.stack([y, y]))[1], u)
        got = pde.read(torch.stack([pde.on(GRAPH, u).force(torch.zeros(()), y[0]), y[1]]))
        expected = -(speed**2 / mass)[:, None] * Laplacian(GRAPH, dtype=F64)(u)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-13)

    def test_initial_velocity(self):
        v, u0 = torch.randn(12, dtype=F64), torch.randn(12, 2, dtype=F64)
        pde = Wave(mass=torch.rand(12, dtype=F64) + 1, velocity=v)
        field = pde.on(GRAPH, u0)
        slope = pde.read(field(torch.zeros(()), pde.lift(GRAPH, u0)))
        torch.testing.assert_close(slope, v[:, None].expand(12, 2))

    def test_refusals(self):
        u0 = torch.zeros(12, 1, dtype=F64)
        with pytest.raises(ValueError, match="that node never moves"):
            Wave(torch.arange(12.0)).on(GRAPH, u0)
        with pytest.raises(ValueError, match="give the speed per edge"):
            Wave(torch.ones(12), normalization="sym").on(GRAPH, u0)
        with pytest.raises(ValueError, match="leave one of them out"):
            Wave(mass=torch.ones(12), normalization="sym")
        with pytest.raises(ValueError, match="one per node"):
            Wave(damping=torch.ones(GRAPH.num_edges)).on(GRAPH, u0)
        with pytest.raises(ValueError, match="2 nodes and as many edges"):
            Wave(torch.ones(2)).on(Graph.path(2), torch.zeros(2, 1))
        with pytest.raises(GraphError, match="needs an undirected graph"):
            Wave().on(Graph.from_edges([[0], [1]]), torch.zeros(2, 1))


def test_a_module_that_learns_a_conductivity():
    """Recover the conductivity of every edge of a path from where the heat went."""
    graph = Graph.path(4)
    true = torch.tensor([0.5, 2.0, 1.0], dtype=F64)
    u0 = torch.eye(4, dtype=F64)
    seen = simulate(Diffusion(torch.cat([true, true])), graph, u0, 0.5, "rk4", dt=0.05).u[-1]
    pde = Diffusion(torch.ones(6, dtype=F64), learnable=True)
    optimizer = torch.optim.LBFGS(pde.parameters(), max_iter=60, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def loss():
        optimizer.zero_grad()
        value = (simulate(pde, graph, u0, 0.5, "rk4", dt=0.05).u[-1] - seen).pow(2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(pde.conductivity().detach()[:3], true, rtol=1e-3, atol=0)
