"""ROCK2: its polynomial for every number of stages, order, estimate, rounding, and its cost beside RKC2."""

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import Polynomial
from problems import Nonlinear, heat, laplacian, slope
from torch import Tensor

from solvers import RKC2, ROCK2, Problem, solve
from solvers.integrators.rock2_coefficients import rock2_coefficients

F64 = torch.float64


def polynomial(stages: int) -> Polynomial:
    """R(z), by multiplying out the recursion."""
    k, z = ROCK2.recursion(stages), Polynomial([0.0, 1.0])
    before, now = Polynomial([1.0]), 1 + k.first * z
    total = k.weights[0] * before + k.weights[1] * now
    for weight, (mu, nu, w, g) in zip(k.weights[2:], k.rows, strict=True):
        before, now = now, 1 - mu - nu + mu * now + nu * before + z * (w * now + g)
        total = total + weight * now
    return total


@pytest.mark.parametrize("many", [range(2, 60), range(60, 130, 7), (150, 200, 353)], ids=["few", "more", "many"])
def test_every_number_of_stages(many):
    """Order conditions to rounding, |R| <= 1, damped to 0.951 beyond z = -1.5, and an interval of 0.807 s^2."""
    for s in many:
        k, length = rock2_coefficients(s)
        b, c = np.array(k.weights), np.array(k.c)
        seconds = [0.0, 0.0]  # half the second derivatives of the stages at z = 0
        for (mu, nu, w, _), node in zip(k.rows, k.c[1:], strict=False):
            seconds.append(mu * seconds[-1] + nu * seconds[-2] + w * node)
        assert abs(b.sum() - 1) < 1e-14 * s and abs(b @ c - 1) < 1e-14 * s
        assert abs(b @ np.array(seconds) - 0.5) < 1e-13 * s
        assert np.abs(b).sum() < 10.5, "rounding of the stages grows by no more in their sum"
        z = -length * (1 - np.cos(np.linspace(0, math.pi, 16 * s))) / 2
        values = np.abs(k.at(z))
        assert values.max() <= 1 + 1e-12
        if s > 2:
            assert values[z < -1.5].max() < 0.951 and 0.807 * s**2 - 1.2 < length < 0.8075 * s**2


def test_the_polynomial_is_the_orthogonal_one():
    """Two complex zeros, `s - 2` real ones in the interval; R / w is orthogonal with w^2 / sqrt(1 - u^2)."""
    for s in (4, 7, 12):
        r, length = polynomial(s), ROCK2.interval(s)
        zeros = r.roots()
        real = np.sort(zeros[np.abs(zeros.imag) < 1e-6 * length].real)
        assert len(real) == s - 2 and -length < real[0] and real[-1] < 0
        pair = zeros[zeros.imag > 1e-6 * length]
        u = np.cos((2 * np.arange(2 * s) + 1) * math.pi / (4 * s))  # u = -1 is z = -length; u = a + d z with z = 0 at u > 1
        extrema = r.deriv().roots()
        extrema = np.sort(extrema[np.abs(extrema.imag) < 1e-6 * length].real)
        assert len(extrema) >= s - 2 and np.abs(np.abs(r(extrema[:-1])) - 0.948).max() < 0.06, "they are nearly even"
        d = ROCK2.recursion(s).rows[0][2] / 2  # 2 d b_2 / b_1
        z = (u - (length * d - 1)) / d
        w = np.abs(z - pair[0]) ** 2
        quotient = r(z) / w
        for j in range(s - 2):
            assert abs((quotient * w**2 * u**j).sum()) < 1e-7 * np.abs(quotient * w**2).sum()


def test_error_constant():
    """What the weight of the estimate is made for: 1/6 - R'''(0) / 6."""
    for s in (30, 60):
        k = ROCK2.recursion(s)
        assert (k.at(-0.01) - math.exp(-0.01)) / 0.01**3 == pytest.approx(ROCK2.error_weight / 12, rel=0.03)
    r = polynomial(8)
    assert r.coef[:3] == pytest.approx([1, 1, 0.5], abs=1e-12)


@pytest.mark.parametrize("stages", [2, 3, 4, 9, 25])
def test_order_and_estimate_on_a_field_that_is_not_linear_nor_autonomous(stages):
    field, counts = Nonlinear(), [20, 40, 80]
    y0, method = field.exact(0.0), ROCK2(stages)
    found = [float((solve(field, y0, 1.0, method, dt=1 / n).y[-1] - field.exact(1.0)).abs().max()) for n in counts]
    assert slope(counts, found) == pytest.approx(2, abs=0.1)
    sizes = []
    for n in counts:
        problem = Problem(field)
        step = method.step(problem, 0.3, 1 / n, field.exact(0.3), method.init(problem, 0.3, field.exact(0.3))[0])
        assert step.error is not None and step.order == 2
        sizes.append(float(step.error.abs().max()))
    assert slope(counts, sizes) == pytest.approx(3, abs=0.15)


def test_single_precision_with_many_stages():
    """The last stages of the published scheme would multiply rounding by 0.18 s^4: an error of 2e-2 here."""
    field, _, _ = heat("path", 64, 63)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 3)))
    matrix = torch.from_numpy(laplacian("path", 64)).float()
    low = lambda t, y: -(matrix @ y)  # noqa: E731
    method = ROCK2(stages=40, radius=4.0)
    a, b = solve(field, y0, 300.0, method, dt=300.0), solve(low, y0.float(), 300.0, method, dt=300.0)
    assert float((a.y[-1] - b.y[-1].double()).abs().max()) < 5e-5
    flat = torch.full((64, 1), 0.7)
    assert float((solve(low, flat, 3000.0, method, dt=300.0).y[-1] - 0.7).abs().max()) < 1e-5


def test_fewer_products_than_rkc2():
    """Nonlinear diffusion `y' = -L y^3`, radius known: the same steps and error, a tenth fewer evaluations."""
    matrix = torch.from_numpy(laplacian("path", 120)) * 20.0
    y0 = 1 + torch.sin(torch.linspace(0, 9, 120, dtype=F64)).unsqueeze(1)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -(matrix @ y**3)

    exact = solve(field, y0, 1.0, "dopri5", rtol=1e-8).y[-1]
    one, two = (solve(field, y0, 1.0, m(radius=4 * 20 * 3 * 4.0), rtol=1e-4) for m in (RKC2, ROCK2))
    assert two.stats.evaluations < 0.94 * one.stats.evaluations
    errors = [float((s.y[-1] - exact).abs().max()) for s in (one, two)]
    assert errors[1] < 1.1 * errors[0] and errors[1] < 1e-2
