"""Fully implicit and linearly implicit methods: invariants, symmetry, linear fields and gradients through one solve, spaces."""

import math

import pytest
import torch
from problems import Chain, Coupled, Nonlinear, Riccati, dense_laplacian, errors, heat
from torch import Tensor

from solvers import (
    CNAB2,
    GMRES,
    SBDF3,
    Dense,
    Gauss4,
    Gauss6,
    ImplicitMidpoint,
    KenCarp3,
    Kvaerno3,
    Kvaerno5,
    LinearFlow,
    PerGraph,
    Plain,
    Problem,
    RadauIIA3,
    RadauIIA5,
    RosenbrockW,
    Strang,
    solve,
)
from solvers.stacked import StackedOperator, StackedSpace

TIGHT = {"rtol": 1e-12, "atol": 1e-14}
IMPLICIT = [ImplicitMidpoint(), Kvaerno3(), RadauIIA3(), RadauIIA5(), Gauss4(), RosenbrockW()]
SYMPLECTIC = [ImplicitMidpoint(), Gauss4(), Gauss6()]
named = {"ids": lambda m: m.name}


def rigid_body(t: Tensor, y: Tensor) -> Tensor:
    """Euler's equations: `y' = y x (y / I)`; `|y|^2` and `y . y / I` are kept."""
    a, b, c = y.unbind(0)
    return torch.stack(((1 / 3 - 1 / 2) * b * c, (1 - 1 / 3) * a * c, (1 / 2 - 1) * a * b))


def squares(y: Tensor) -> tuple[float, float]:
    inertia = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    return float((y * y).sum()), float((y * y / inertia).sum())


@pytest.mark.parametrize("method", SYMPLECTIC, **named)
def test_quadratic_invariants_are_kept(method):
    y0 = torch.tensor([[0.8], [0.1], [0.6]], dtype=torch.float64)
    y = solve(rigid_body, y0, [0.0, 20.0], method, dt=0.5, **TIGHT).y[-1]
    assert squares(y) == pytest.approx(squares(y0), abs=1e-11)
    damped = solve(rigid_body, y0, [0.0, 20.0], RadauIIA3(), dt=0.5, **TIGHT).y[-1]
    assert abs(squares(damped)[0] - squares(y0)[0]) > 1e-5


@pytest.mark.parametrize("method", SYMPLECTIC, **named)
def test_energy_of_an_oscillator_chain_is_kept(method):
    """A partitioned field is a field like any other; its energy is quadratic."""
    chain = Chain(dense_laplacian("path", 4))
    q = torch.tensor([[1.0], [0.0], [0.0], [-0.5]], dtype=torch.float64)
    y0 = torch.stack((q, torch.zeros_like(q)))

    def energy(y: Tensor) -> float:
        return float((y[1] ** 2).sum() + (y[0] * chain.stiffness.matvec(y[0])).sum()) / 2

    sol = solve(chain, y0, [0.0, 15.0], method, dt=0.3, save="steps", **TIGHT)
    assert max(abs(energy(y) - energy(y0)) for y in sol.y) < 1e-11


@pytest.mark.parametrize("method", SYMPLECTIC, **named)
def test_a_step_back_undoes_a_step(method):
    problem, y0 = Problem(Nonlinear(), **TIGHT), Nonlinear().exact(0.0)
    there = method.step(problem, 0.0, 0.2, y0, method.init(problem, 0.0, y0)[0]).y
    back = method.step(problem, 0.2, -0.2, there, method.init(problem, 0.2, there)[0]).y
    assert errors(there, y0) > 0.1 and errors(back, y0) < 1e-12


@pytest.mark.parametrize("method", [*IMPLICIT, KenCarp3(), CNAB2(), SBDF3(), Strang()], **named)
def test_gradients_through_linear_flows(method):
    """To the initial state, to the entries of the operator and to the source."""
    torch.manual_seed(0)
    matrix = (-torch.eye(3, dtype=torch.float64) + 0.3 * torch.randn(3, 3, dtype=torch.float64)).requires_grad_()
    y0, source = (torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def run(y: Tensor, entries: Tensor, s: Tensor) -> Tensor:
        return solve(LinearFlow(Dense(entries), s), y, [0.0, 0.4, 1.0], method, dt=0.4, **TIGHT).y[1:]

    assert torch.autograd.gradcheck(run, (y0, matrix, source), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("method", [*IMPLICIT, Kvaerno5()], **named)
def test_heat_on_a_path(method):
    """Larger than what is solved by elimination; a step is the stability function at `-dt lambda`."""
    field, y0, value = heat("path", 64, 5)
    sol = solve(field, y0, [0.0, 5.0], method, dt=0.25)
    assert errors(sol.y[-1], math.exp(-5 * value) * y0) < 1e-3
    assert sol.stats.linear_iterations > 0
    general = solve(lambda t, y: field(t, y) + 0 * y**2, y0, [0.0, 5.0], method, dt=0.25)
    assert errors(sol.y[-1], general.y[-1]) < 1e-4, "the same by Newton-Krylov"


@pytest.mark.parametrize("method", [Gauss4(), RadauIIA5(), RadauIIA5(linear_solver=GMRES()), RosenbrockW()], **named)
def test_states_of_one_axis(method):
    matrix = dense_laplacian("path", 5).matrix
    y0 = torch.arange(5, dtype=torch.float64)
    flow = solve(LinearFlow(Dense(-matrix, symmetric=True)), y0, [0.0, 1.0], method, dt=0.1, **TIGHT).y[-1]
    column = solve(LinearFlow(Dense(-matrix, symmetric=True)), y0.unsqueeze(1), [0.0, 1.0], method, dt=0.1, **TIGHT).y[-1]
    field = solve(lambda t, y: -(matrix @ y), y0, [0.0, 1.0], method, dt=0.1, **TIGHT).y[-1]
    assert torch.allclose(flow, column.squeeze(1), atol=1e-11) and torch.allclose(flow, field, atol=1e-11)


def test_stacked_operator_against_its_matrix():
    torch.manual_seed(0)
    a, m, x = (torch.randn(*s, dtype=torch.float64) for s in ((2, 2), (3, 3), (2, 3, 4)))
    stacked = StackedOperator(Dense(m), a)
    whole = torch.kron(a, m)
    assert stacked.shape == (6, 6)
    assert torch.allclose(stacked.matvec(x), (whole @ x.reshape(6, 4)).reshape(2, 3, 4))
    assert torch.allclose(stacked.adjoint.matvec(x), (whole.T @ x.reshape(6, 4)).reshape(2, 3, 4))
    assert torch.allclose(StackedOperator(Dense(m), a, flat=True).matvec(x[..., 0]), stacked.matvec(x[..., :1])[..., 0])


@pytest.mark.parametrize("inner", [Plain(), PerGraph(torch.tensor([0, 0, 1]))], ids=lambda s: type(s).__name__)
def test_stacked_space(inner):
    torch.manual_seed(0)
    x, y = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    space = StackedSpace(inner)
    assert torch.allclose(space.total(x), inner.total(x[0]) + inner.total(x[1]))
    assert torch.equal(space.max(x), torch.maximum(inner.max(x[0]), inner.max(x[1])))
    assert torch.allclose(space.dot([(x, y), (x, x)])[0], inner.dot([(x[0], y[0])])[0] + inner.dot([(x[1], y[1])])[0])
    assert torch.allclose(space.norm(x) ** 2, space.total(x * x))
    assert torch.equal(space.rms(x), torch.maximum(inner.rms(x[0]), inner.rms(x[1])))
    assert torch.equal(torch.as_tensor(space.size(x)), 2 * torch.as_tensor(inner.size(x[0])))
    assert torch.broadcast_shapes(space.spread(space.norm(x), x).shape, x.shape) == x.shape


@pytest.mark.parametrize("method", [RadauIIA5(), RosenbrockW(matrix="linear_part")], **named)
def test_graphs_of_a_batch_do_not_see_each_other(method):
    """The linear solves are graph by graph: a graph's result does not depend on what is in the batch with it."""
    field, y0 = Coupled(Riccati()), Riccati().exact(0.0)
    space = PerGraph(torch.tensor([0, 0, 1]))
    together = solve(field, y0, [0.0, 1.0], method, dt=0.1, space=space, **TIGHT).y[-1]
    assert errors(together, solve(field, y0, [0.0, 1.0], method, dt=0.1, **TIGHT).y[-1]) < 1e-11


@pytest.mark.parametrize("method", [Kvaerno3(), RadauIIA3(), RadauIIA5()], **named)
def test_dense_output_over_adaptive_steps(method):
    problem = Nonlinear()
    sol = solve(problem, problem.exact(0.0), [0.0, 2.0], method, rtol=1e-5, save="dense")
    times = [k * 0.0471 for k in range(42)]
    assert max(errors(sol(t), problem.exact(t)) for t in times) < 2e-3
    back = solve(problem, problem.exact(1.0), [1.0, 0.0], method, rtol=1e-5, save="dense")
    assert max(errors(back(t), problem.exact(t)) for t in times[:20]) < 2e-3
