"""BDF: order by order, variable order on stiff problems beside scipy's, starting values, and what it refuses."""

from itertools import pairwise

import pytest
import torch
from problems import Nonlinear, Riccati, errors, slope
from stiff_problems import PROBLEMS
from torch import Tensor

from solvers import BDF, Dense, LinearFlow, PerGraph, Problem, method_named, solve

TIGHT = {"rtol": 1e-12, "atol": 1e-14}
FINE = {1: (32, 64), 2: (32, 64, 128), 3: (256, 512), 4: (64, 128, 192), 5: (32, 64, 128)}


@pytest.mark.parametrize("order", FINE)
def test_every_order(order):
    problem, method, found = Riccati(), BDF(max_order=order), []
    for steps in FINE[order]:
        sol = solve(problem, problem.exact(0.0), 1.0, method, dt=1 / steps, save="steps", **TIGHT)
        found.append(max(errors(y, problem.exact(t)) for t, y in zip(sol.t.tolist(), sol.y, strict=True)))
    assert method.order == order
    assert slope(FINE[order], found) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("name, rtol", [("van_der_pol", 1e-4), ("robertson", 1e-6), ("hires", 1e-6)])
def test_stiff_problems_in_as_many_steps_as_scipy(name, rtol):
    stiff = PROBLEMS[name]
    options = {"rtol": rtol, "atol": rtol * stiff.scale, "save": "final"}
    ours = solve(stiff.field, stiff.y0, stiff.end, "bdf", **options)
    theirs = solve(stiff.field, stiff.y0, stiff.end, "scipy:BDF", **options)
    assert stiff.error(ours.y[-1]) < 30 * rtol
    assert ours.stats.accepted < 1.3 * theirs.stats.accepted and ours.stats.rejected < 0.4 * ours.stats.steps


@pytest.mark.parametrize("mu", [10.0, 1000.0])
def test_van_der_pol(mu):
    def field(t: Tensor, y: Tensor) -> Tensor:
        x, v = y.unbind(0)
        return torch.stack((v, mu * (1 - x * x) * v - x))

    y0, options = torch.tensor([[2.0], [0.0]], dtype=torch.float64), {"rtol": 1e-5, "atol": 1e-7}
    ours = solve(field, y0, [0.0, 0.3 * mu, 0.6 * mu], "bdf", **options)
    exact = solve(field, y0, [0.0, 0.3 * mu, 0.6 * mu], "scipy:Radau", rtol=1e-11, atol=1e-13)
    assert torch.allclose(ours.y, exact.y, rtol=1e-3, atol=1e-5)


def orders(method: BDF, rtol: float, end: float = 8.0) -> list[int]:
    """The orders of the accepted steps under the method's own control."""
    problem = Problem(lambda t, y: torch.cos(t) * y, rtol=rtol, atol=rtol)
    t, dt, y, found = 0.0, 1e-4, torch.ones(1, 1, dtype=torch.float64), []
    state, _ = method.init(problem, t, y)
    while t < end:
        step = method.step(problem, t, dt, y, state)
        assert step.error is not None
        if step.status == "ok" and problem.error_ratio(step.error, y, step.y) <= 1:
            found.append(step.order)
            t, y, state = t + dt, step.y, step.state
        else:
            state = step.retry
        dt *= step.factor or 0.25
    assert float(y) == pytest.approx(float(torch.tensor(t).sin().exp()), rel=1e3 * rtol)
    return found


def test_the_order_follows_the_tolerance():
    loose, tight = orders(BDF(), 1e-2), orders(BDF(), 1e-9)
    assert loose[0] == tight[0] == 1 and 5 in tight
    assert sum(loose) / len(loose) < sum(tight) / len(tight)
    assert all(abs(b - a) <= 1 for a, b in pairwise(tight))
    assert max(orders(BDF(max_order=2), 1e-6)) == 2
    assert set(orders(BDF(min_order=3, max_order=3), 1e-6)[3:]) == {3}


def test_a_linear_field_and_a_linear_solver_of_its_own():
    n = 30
    path = 2 * torch.eye(n) - torch.diag(torch.ones(n - 1), 1) - torch.diag(torch.ones(n - 1), -1)
    flow = LinearFlow(Dense(-1000 * path.double(), symmetric=True))
    y0 = torch.sin(torch.arange(2 * n, dtype=torch.float64)).view(n, 2)
    exact = torch.linalg.matrix_exp(-100 * path.double()) @ y0
    sol = solve(flow, y0, 0.1, "bdf", rtol=1e-6)
    assert sol.stats.evaluations <= 3 and sol.stats.linear_iterations > 0  # the first step size, and the first slope
    assert torch.allclose(sol.y[-1], exact, atol=1e-4)
    parts = solve(flow, y0, 0.1, "bdf", rtol=1e-6, space=PerGraph(torch.arange(n) // 15))
    assert torch.allclose(parts.y[-1], exact, atol=1e-4)


def test_output_and_gradient_under_control():
    problem, times = Nonlinear(), [0.0, 0.2, 0.77, 1.0]
    sol = solve(problem, problem.exact(0.0), times, "bdf", rtol=1e-8, save="dense")
    assert max(errors(y, problem.exact(t)) for t, y in zip(times, sol.y, strict=True)) < 1e-6
    assert max(errors(sol(k / 50), problem.exact(k / 50)) for k in range(51)) < 1e-6
    y0 = torch.tensor([[0.7]], dtype=torch.float64, requires_grad=True)
    end = solve(lambda t, y: -y * y, y0, 1.0, "bdf", rtol=1e-9).y[-1]
    (gradient,) = torch.autograd.grad(end, y0)
    assert float(gradient) == pytest.approx(1 / 1.7**2, rel=1e-6)


def test_input():
    assert method_named("bdf") == BDF() and BDF().order == 5 and BDF(max_order=2).order == 2
    for wrong in ({"max_order": 6}, {"min_order": 0}, {"min_order": 4, "max_order": 3}):
        with pytest.raises(ValueError, match="1 <= min_order <= max_order <= 5"):
            BDF(**wrong)
    with pytest.raises(TypeError, match="state"):
        BDF().step(Problem(lambda t, y: -y), 0.0, 0.1, torch.ones(1, 1), None)
