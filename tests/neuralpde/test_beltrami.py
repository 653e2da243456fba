"""Beltrami and p-Laplacian flows: gradients of their energies, which fall, by every kind of method."""

import pytest
import torch

from neuralpde import Graph, GraphError, Monitor, check, simulate
from neuralpde.functionals import KINDS, PDirichlet, Polyakov
from neuralpde.monitors import DirichletEnergy, PDirichletEnergy, PolyakovEnergy
from neuralpde.operators import reverse_edges
from neuralpde.pdes import BeltramiFlow, Diffusion, PLaplacianFlow
from solvers import linear_flow, solve

F64 = torch.float64
ZERO = torch.zeros((), dtype=F64)
POLYAKOV = [Polyakov(kind, 0.1) for kind in KINDS]
POWERS = [PDirichlet(1.0, 0.1), PDirichlet(1.5, 0.1), PDirichlet(2.0), PDirichlet(3.0), PDirichlet(3.0, 0.2)]


@pytest.fixture
def graph():
    torch.manual_seed(0)
    graph = Graph.grid(4, 5).to(F64)
    weight = torch.rand(graph.num_edges, dtype=F64) + 0.2
    return graph.with_weight(weight + weight[reverse_edges(graph)])


@pytest.fixture
def u0():
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=F64)


def flow(functional):
    if isinstance(functional, PDirichlet):
        return PLaplacianFlow(functional.p, eps=functional.eps)
    return BeltramiFlow(functional.kind, eps=functional.eps)


def by_definition(functional, graph, z):
    """S, pair by pair."""
    w = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=F64)
    w[graph.edge_index[1], graph.edge_index[0]] = graph.weight
    squares = (z.unsqueeze(0) - z.unsqueeze(1)).square().sum(-1)
    if isinstance(functional, PDirichlet):
        p, e = functional.p, functional.eps
        return (w * ((squares + e * e).clamp_min(1e-300) ** (p / 2) - e**p)).sum() / (2 * p)
    r2, e = (w * squares).sum(1), functional.eps
    psi = {"dirichlet": r2 / 2, "area": (1 + r2).sqrt() - 1, "tv": (r2 + e * e).sqrt() - e}
    return psi[functional.kind].sum()


@pytest.mark.parametrize("functional", POLYAKOV + POWERS, ids=str)
class TestDescent:
    def test_the_flow_is_the_gradient_of_the_definition(self, functional, graph, u0):
        z = u0.clone().requires_grad_()
        value = by_definition(functional, graph, z)
        (gradient,) = torch.autograd.grad(value, z)
        field = flow(functional).on(graph, u0)
        torch.testing.assert_close(field.energy(ZERO, u0, graph.space)[0], value.detach(), rtol=1e-13, atol=0)
        half = 1.0 if isinstance(functional, PDirichlet) else 0.5
        torch.testing.assert_close(field(ZERO, u0), -half * gradient, rtol=0, atol=1e-13)

    def test_linear_part_is_the_laplacian_of_the_current_weights(self, functional, graph, u0):
        field = flow(functional).on(graph, u0)
        operator = field.linear_part(ZERO, u0)
        dense = operator.to_dense()
        assert torch.equal(dense, dense.mT) and operator.symmetric
        assert torch.linalg.eigvalsh(dense).max() < 1e-13 * dense.abs().max()
        assert (dense - dense.diagonal().diag() >= 0).all()
        torch.testing.assert_close(dense @ u0, field(ZERO, u0), rtol=0, atol=1e-12)
        assert 2 / field.step_limit(ZERO, u0) >= -torch.linalg.eigvalsh(dense).min()

    def test_derivatives_of_the_field(self, functional, u0):
        graph = Graph.path(4).with_weight(torch.tensor([1.0, 2, 3, 1, 2, 3], dtype=F64))
        z = u0[:4, :2].clone().requires_grad_()
        field = flow(functional).on(graph, z.detach())
        assert torch.autograd.gradcheck(lambda y: field(ZERO, y), z)
        assert torch.autograd.gradgradcheck(lambda y: field(ZERO, y), z)

    def test_constants_stay_and_have_no_energy(self, functional, graph, u0):
        z = torch.full_like(u0, 3.7).requires_grad_()
        field = flow(functional).on(graph, z.detach())
        value = field.energy(ZERO, z, graph.space)
        assert value.item() == 0 and float(field(ZERO, z).detach().abs().max()) < 1e-12
        assert torch.equal(torch.autograd.grad(value, z)[0], torch.zeros_like(z))

    def test_contract(self, functional, graph, u0):
        report = check(flow(functional), graph, u0)
        assert report.ok, str(report)


@pytest.mark.parametrize(
    ("functional", "method", "dt"),
    [
        *((functional, "dopri5", None) for functional in POLYAKOV + POWERS),
        *((Polyakov("area"), *method) for method in [("euler", 0.02), ("kencarp3", None), ("etd1", 0.2)]),
        *((PDirichlet(1.5, 0.1), *method) for method in [("implicit_euler", 1.0), ("rock2", None)]),
    ],
    ids=str,
)
def test_energy_falls_and_values_stay_in_their_range(functional, method, dt, graph, u0):
    field = flow(functional).on(graph, u0)
    y = solve(field, u0, torch.linspace(0, 2, 6).tolist(), method, dt=dt, rtol=1e-10 if dt else 1e-5).y
    energies = torch.cat([field.energy(ZERO, u, graph.space) for u in y])
    assert (energies.diff() < 0).all()
    assert (y.amax(1) <= u0.amax(0) + 1e-4).all() and (y.amin(1) >= u0.amin(0) - 1e-4).all()
    torch.testing.assert_close(y[-1].sum(0), u0.sum(0), rtol=0, atol=1e-8)


@pytest.mark.parametrize("functional", [f for f in POLYAKOV + POWERS if not (isinstance(f, PDirichlet) and f.p > 2)], ids=str)
@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
def test_every_explicit_step_below_the_limit_lowers_the_energy(functional, size, graph, u0):
    field, z = flow(functional).on(graph, u0), size * u0
    for _ in range(20):
        after = z + 0.999 * field.step_limit(ZERO, z) * field(ZERO, z)
        assert field.energy(ZERO, after, graph.space) < field.energy(ZERO, z, graph.space)
        z = after


@pytest.mark.parametrize("functional", [Polyakov("area"), Polyakov("tv"), PDirichlet(1.0, 0.01)], ids=str)
def test_a_step_that_is_implicit_in_the_current_weights_lowers_the_energy_however_long(functional, graph, u0):
    field, z = flow(functional).on(graph, u0), u0
    for dt in (0.1, 10.0, 1e4):
        after = torch.linalg.solve(torch.eye(20, dtype=F64) - dt * field.linear_part(ZERO, z).to_dense(), z)
        assert field.energy(ZERO, after, graph.space) < field.energy(ZERO, z, graph.space)
        z = after


def test_dirichlet_is_the_heat_equation_and_known_to_be_linear(graph, u0):
    for pde in (BeltramiFlow("dirichlet"), PLaplacianFlow(2.0)):
        field = pde.on(graph, u0)
        assert linear_flow(field) is not None
        torch.testing.assert_close(field(ZERO, u0), Diffusion().on(graph, u0)(ZERO, u0), rtol=0, atol=1e-13)
        sim = simulate(pde, graph, u0, 1.0, rtol=1e-10)
        torch.testing.assert_close(sim.u[-1], simulate(Diffusion(), graph, u0, 1.0, rtol=1e-10).u[-1], rtol=0, atol=1e-9)
        assert sim.stats.evaluations == 0
    assert linear_flow(BeltramiFlow("area").on(graph, u0)) is None
    got = PolyakovEnergy("dirichlet").on(graph)(0.0, u0)
    torch.testing.assert_close(got, DirichletEnergy().on(graph)(0.0, u0), rtol=1e-14, atol=0)
    torch.testing.assert_close(PDirichletEnergy(2.0).on(graph)(0.0, u0), got / 2, rtol=1e-14, atol=0)


def test_small_surfaces_flow_like_heat_and_steep_ones_slower(graph, u0):
    heat, area = Diffusion().on(graph, u0), BeltramiFlow("area").on(graph, u0)
    small, steep = 1e-5 * u0, 1e6 * u0
    torch.testing.assert_close(area(ZERO, small), heat(ZERO, small), rtol=1e-7, atol=1e-14)
    tv = BeltramiFlow("tv", eps=1e-3).on(graph, u0)
    torch.testing.assert_close(area(ZERO, steep), tv(ZERO, steep), rtol=0, atol=1e-8)


def test_jumps_are_kept_where_heat_blurs_them():
    graph = Graph.path(20)
    noise = 0.1 * torch.randn(20, 1, generator=torch.Generator().manual_seed(0), dtype=F64)
    jump = torch.cat([torch.zeros(10, 1, dtype=F64), 10 * torch.ones(10, 1, dtype=F64)])
    heat, tv = (simulate(pde, graph, jump + noise, 2.0, "kencarp4").u[-1] for pde in (Diffusion(), BeltramiFlow("tv", eps=0.1)))

    def blurred(u):
        return float((u[10] - u[9]).detach())

    assert blurred(tv) > 7 > blurred(heat)
    assert float(tv[:6].diff(dim=0).abs().max()) < float(noise[:6].diff(dim=0).abs().max()) / 3


def test_positions_flow_with_the_features(graph, u0):
    """On fixed positions, r counts both; the features alone would flow otherwise."""
    pde = BeltramiFlow("area", pos_channels=2, beta=2.0)
    y = pde.lift(graph, u0)
    torch.testing.assert_close(y, torch.cat([u0, 2.0 * graph.pos], 1))
    assert torch.equal(pde.read(torch.stack([y, y])), torch.stack([u0, u0]))
    z = y.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(by_definition(pde.functional, graph, z), z)
    torch.testing.assert_close(pde.on(graph, u0)(ZERO, y), -gradient / 2, rtol=0, atol=1e-13)
    watch = Monitor(PolyakovEnergy("area"))
    sim = simulate(pde, graph, u0, 1.0, "dopri5", monitors=[watch])
    assert sim.u.shape == (2, 20, 3)
    torch.testing.assert_close(watch.values[0, 0], by_definition(pde.functional, graph, y), rtol=1e-13, atol=0)
    assert len(watch.t) > 3 and (watch.values.diff(dim=0) < 0).all()


def test_encodings_by_name_serve_as_positions(graph, u0):
    named = graph.with_node(place=graph.pos)
    field = BeltramiFlow(pos_channels=2, positions="place")
    assert torch.equal(field.lift(named, u0), BeltramiFlow(pos_channels=2).lift(graph, u0))


def test_energies_are_per_graph_and_of_features_where_there_are_momenta(graph, u0):
    twice, z = graph.repeat(2), torch.cat([u0, 3 * u0])
    for observable in (PolyakovEnergy("tv"), PDirichletEnergy(1.3)):
        alone = [observable.on(graph)(0.0, x) for x in (u0, 3 * u0)]
        torch.testing.assert_close(observable.on(twice)(0.0, z), torch.cat(alone), rtol=1e-13, atol=0)
        reading = observable.on(graph, None, lambda y: y[0])
        assert torch.equal(reading(0.0, torch.stack([u0, u0 * 7])), alone[0])


def test_energy_is_exact_far_from_zero():
    """tr x'Lx would lose it: differences of 1e-6 on top of 1e3."""
    x = 1e3 + 1e-6 * torch.arange(5.0, dtype=F64).unsqueeze(1)
    assert PolyakovEnergy("area").on(Graph.path(5))(0.0, x).item() == pytest.approx(4e-12, rel=1e-5)


def test_learned_weights_get_the_same_gradient_by_the_adjoint(graph, u0):
    found = []
    for gradient in ("backprop", "adjoint"):
        raw = graph.weight.clone().requires_grad_()
        learned = graph.with_weight(raw)
        sim = simulate(BeltramiFlow(), learned, u0, 0.3, "dopri5", rtol=1e-9, gradient=gradient)
        found.append(torch.autograd.grad(sim.u[-1].square().sum(), raw)[0])
    torch.testing.assert_close(*found, rtol=0, atol=1e-7)


def test_refusals(graph, u0):
    with pytest.raises(ValueError, match="Did you mean 'area'"):
        BeltramiFlow("aera")
    with pytest.raises(ValueError, match="eps = 0; expected a positive number"):
        BeltramiFlow("tv", eps=0.0)
    with pytest.raises(ValueError, match="expected the width of the positions"):
        BeltramiFlow(beta="learnable")
    with pytest.raises(ValueError, match='expected a number or "learnable"'):
        BeltramiFlow(pos_channels=2, beta="learned")
    with pytest.raises(ValueError, match="infinite where x is flat"):
        PLaplacianFlow(1.0, eps=0.0)
    with pytest.raises(ValueError, match=r"p = 0.5; expected at least 1"):
        PDirichletEnergy(0.5)
    with pytest.raises(GraphError, match="made for 3 position channels"):
        BeltramiFlow(pos_channels=3).lift(graph, u0)
    with pytest.raises(GraphError, match="takes positions from 'place'"):
        BeltramiFlow(pos_channels=2, positions="place").lift(graph, u0)
    with pytest.raises(GraphError, match=r"needs weights that are not negative; the edge .* has -"):
        BeltramiFlow().on(graph.with_weight(-graph.weight), u0)
    with pytest.raises(GraphError, match="BeltramiFlow"):
        BeltramiFlow().on(Graph.from_edges([[0, 1], [1, 2]]), u0[:3])
    with pytest.raises(GraphError, match="Polyakov energy"):
        PolyakovEnergy().on(Graph.from_edges([[0, 1], [1, 2]]))
