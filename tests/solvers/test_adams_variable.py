"""The variable-order Adams method: its quadrature, every order, orders and steps of its own choice."""

import math

import numpy as np
import pytest
import torch
from problems import Nonlinear, Riccati, errors, slope
from torch import Tensor

from solvers import AdamsVariable, PerGraph, Problem, method_named, solve
from solvers.integrators.adams_quadrature import weights


@pytest.mark.parametrize("count", [1, 2, 5, 9, 13])
def test_weights_integrate_polynomials(count):
    steps = np.random.default_rng(count).uniform(0.6, 1.6, count)
    nodes = 1.0 - np.concatenate(([0.0], np.cumsum(steps)[:-1]))
    for theta in (0.3, 1.0):
        w = np.array(weights(nodes, theta))
        for power in range(count):  # in a basis that stays of size one on the nodes
            scaled = (nodes / count) ** power
            exact = theta * (theta / count) ** power / (power + 1)
            assert w @ scaled == pytest.approx(exact, rel=1e-9, abs=1e-10 * np.abs(w * scaled).sum())


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_every_order(order):
    field, method, counts = Riccati(), AdamsVariable(order, order), (40, 80, 160) if order > 5 else (80, 160, 320)
    problem, found = Problem(field, rtol=1e-13, atol=1e-15), []
    for count in counts:
        t, y = 0.0, field.exact(0.0)
        state, _ = method.init(problem, t, y)
        for n in range(count):  # steps that alternate by a quarter
            dt = (1.125 if n % 2 else 0.875) / count
            step = method.step(problem, t, dt, y, state)
            t, y, state = t + dt, step.y, step.state
        assert step.order == order - 1
        found.append(errors(y, field.exact(1.0)))
    assert slope(counts, found) == pytest.approx(order, abs=0.2)


def arenstorf(t: Tensor, y: Tensor) -> Tensor:
    """A periodic orbit of the restricted three-body problem, `[position and velocity, 2]`."""
    (x, v), moon = y.unbind(0), 0.012277471
    first = torch.stack((x[0] + moon, x[1])) / ((x[0] + moon) ** 2 + x[1] ** 2) ** 1.5
    second = torch.stack((x[0] - 1 + moon, x[1])) / ((x[0] - 1 + moon) ** 2 + x[1] ** 2) ** 1.5
    turning = torch.stack((x[0] + 2 * v[1], x[1] - 2 * v[0]))
    return torch.stack((v, turning - (1 - moon) * first - moon * second))


def test_a_periodic_orbit_in_half_the_evaluations():
    y0 = torch.tensor([[0.994, 0.0], [0.0, -2.00158510637908252]], dtype=torch.float64)
    period = 17.0652165601579625
    ours, theirs = (solve(arenstorf, y0, period, m, rtol=1e-9, atol=1e-9, save="final") for m in ("adams", "dopri5"))
    assert float((ours.y[-1] - y0).abs().max()) < 1e-3
    assert ours.stats.evaluations < 0.5 * theirs.stats.evaluations
    assert ours.stats.rejected < 0.1 * ours.stats.steps


def test_the_order_follows_the_tolerance():
    def mean(rtol: float, method: AdamsVariable) -> tuple[float, int]:
        problem = Problem(lambda t, y: torch.cos(t) * y, rtol=rtol, atol=rtol)
        t, dt, y, found = 0.0, 1e-4, torch.ones(1, 1, dtype=torch.float64), []
        state, _ = method.init(problem, t, y)
        while t < 6:
            step = method.step(problem, t, dt, y, state)
            assert step.error is not None
            if problem.error_ratio(step.error, y, step.y) <= 1:
                found.append(step.order + 1)
                t, y, state = t + dt, step.y, step.state
            else:
                state = step.retry
            dt *= step.factor or 0.25
        assert float(y) == pytest.approx(math.exp(math.sin(t)), rel=1e3 * rtol)
        return sum(found) / len(found), max(found)

    loose, tight = mean(1e-3, AdamsVariable()), mean(1e-11, AdamsVariable())
    assert loose[0] + 2 < tight[0] and tight[1] > 7
    assert mean(1e-8, AdamsVariable(max_order=4))[1] == 4


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)])
def test_output_between_steps(span):
    problem, times = Nonlinear(), [span[0] + (span[1] - span[0]) * k / 20 for k in range(21)]
    sol = solve(problem, problem.exact(span[0]), times, "adams", rtol=1e-8)
    assert sol.stats.steps < 100
    assert max(errors(y, problem.exact(t)) for t, y in zip(times, sol.y, strict=True)) < 1e-5
    apart = solve(problem, problem.exact(span[0]), times, "adams", rtol=1e-8, space=PerGraph(torch.tensor([0, 0, 1])))
    assert torch.allclose(apart.y, sol.y, atol=1e-5)


def test_gradient_under_control():
    y0 = torch.tensor([[0.7]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(solve(lambda t, y: -y * y, y0, 1.0, "adams", rtol=1e-9).y[-1], y0)
    assert float(gradient) == pytest.approx(1 / 1.7**2, rel=1e-6)


def test_input():
    assert method_named("adams") == AdamsVariable()
    for wrong in ({"max_order": 13}, {"min_order": 1}, {"min_order": 4, "max_order": 3}):
        with pytest.raises(ValueError, match="2 <= min_order <= max_order <= 12"):
            AdamsVariable(**wrong)
    with pytest.raises(TypeError, match="state"):
        AdamsVariable().step(Problem(lambda t, y: -y), 0.0, 0.1, torch.ones(1, 1), None)
