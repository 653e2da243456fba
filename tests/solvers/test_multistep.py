"""Adams methods: coefficients, starting values, Milne's estimate, restarts, stability polynomials, gradients, cost."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from problems import Nonlinear, Riccati, errors, heat, slope

from solvers import AdamsBashforth, AdamsBashforthMoulton, Problem, method_named, solve
from solvers.integrators import adams, adams_weights

ORDERS = (2, 3, 4, 5)
FAMILIES = (AdamsBashforth, AdamsBashforthMoulton)
every_order = pytest.mark.parametrize("order", ORDERS)
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda c: c.__name__)

BASHFORTH = {  # Hairer, Norsett & Wanner (1993) III.1, table of explicit Adams methods, newest slope first
    2: "3/2 -1/2",
    3: "23/12 -16/12 5/12",
    4: "55/24 -59/24 37/24 -9/24",
    5: "1901/720 -2774/720 2616/720 -1274/720 251/720",
}
MOULTON = {2: "1/2 1/2", 3: "5/12 8/12 -1/12", 4: "9/24 19/24 -5/24 1/24", 5: "251/720 646/720 -264/720 106/720 -19/720"}


def exactly(row: str) -> list[float]:
    return [float(Fraction(word)) for word in row.split()]


@every_order
def test_coefficients(order):
    assert adams_weights.step_weights(adams_weights.nodes(0, order)) == pytest.approx(exactly(BASHFORTH[order]), abs=1e-14)
    assert adams_weights.step_weights(adams_weights.nodes(1, order)) == pytest.approx(exactly(MOULTON[order]), abs=1e-14)


@pytest.mark.parametrize("order, share", [(2, 1 / 6), (3, 1 / 10), (4, 19 / 270), (5, 27 / 502)])
def test_share_of_the_estimate(order, share):
    """`c / (C + c)`: 1/6, 1/10, 19/270, 27/502 are the factors of Milne's device in the textbooks."""
    assert adams_weights.milne(order) == pytest.approx(share)


@every_family
@every_order
def test_names(family, order):
    name = {AdamsBashforth: "ab", AdamsBashforthMoulton: "abm"}[family] + str(order)
    assert method_named(name) == family(order=order)
    assert f"order={order}" in family(order=order).name


@every_family
def test_other_orders_are_refused(family):
    with pytest.raises(ValueError, match="2, 3, 4 and 5"):
        family(order=6)


def test_order_one_is_explicit_euler():
    method = method_named("ab1")
    assert method == AdamsBashforth(order=1) and method.real_stability == 2.0
    a, b = (solve(Nonlinear(), Nonlinear().exact(0.0), [0.0, 1.0], m, dt=0.1) for m in (method, "euler"))
    assert torch.allclose(a.y, b.y, rtol=1e-14, atol=1e-14) and a.stats == b.stats, "no starting steps either"
    with pytest.raises(ValueError, match="2, 3, 4 and 5"):
        AdamsBashforthMoulton(order=1)


@every_family
@every_order
def test_exact_on_polynomials(family, order):
    """Slopes that are polynomials of degree order - 1 are integrated exactly, the steps of the starter too."""
    powers = torch.arange(order, dtype=torch.float64)

    def f(t, y):
        return ((powers + 1) * t**powers).sum().expand_as(y)

    sol = solve(f, torch.zeros(1, 1, dtype=torch.float64), [0.0, 0.73, 2.0], family(order), dt=0.1)
    for t, y in zip(sol.t.tolist(), sol.y, strict=True):
        assert float(y) == pytest.approx(sum(t ** (k + 1) for k in range(order)), rel=1e-13)


@every_order
def test_milne_estimate_is_the_error(order):
    """On a long run with exact slopes behind it the estimate of a step tends to its true local error."""
    problem, method, ratios = Problem(Riccati()), AdamsBashforthMoulton(order), []
    for dt in (0.02, 0.01):
        t = 0.7
        past = tuple(
            Riccati()(torch.tensor(t - k * dt, dtype=torch.float64), Riccati().exact(t - k * dt)) for k in range(1, order)
        )
        state = adams.AdamsState(dt, None, past)
        step = method.step(problem, t, dt, Riccati().exact(t), state)
        assert step.error is not None and step.order == order
        ratios.append(float(step.error[0, 0] / (step.y - Riccati().exact(t + dt))[0, 0]))
    assert ratios[1] == pytest.approx(1.0, abs=0.15)
    assert abs(ratios[1] - 1) < abs(ratios[0] - 1)


@every_order
def test_order_of_the_estimate(order):
    method, steps, sizes = AdamsBashforthMoulton(order), [80, 160, 320], []
    for count in steps:
        problem, y, t, dt = Problem(Nonlinear()), Nonlinear().exact(0.0), 0.0, 1 / count
        state, _ = method.init(problem, t, y)
        for _ in range(count // 2):
            step = method.step(problem, t, dt, y, state)
            y, state, t = step.y, step.state, t + dt
        assert step.error is not None
        sizes.append(float(step.error.abs().max()))
    assert slope(steps, sizes) == pytest.approx(order + 1, abs=0.35)


@every_family
@every_order
def test_interpolant_has_the_order_of_the_method(family, order):
    problem, steps, sizes = Riccati(), [40, 80, 160, 320], []
    times = [(k + 0.41) / 31 for k in range(31)]
    for count in steps:
        sol = solve(problem, problem.exact(0.0), [0.0, 1.0], family(order), dt=1 / count, save="dense")
        sizes.append(max(errors(sol(t), problem.exact(t)) for t in times))
    assert slope(steps, sizes) > order - 0.25


@every_family
@every_order
def test_a_change_of_dt_restarts(family, order):
    """Steps of alternating size are all starting steps; then equal ones fill the history again. The order stays."""
    method, problem = family(order), Problem(Riccati())
    y, t = Riccati().exact(0.0), 0.0
    state, _ = method.init(problem, t, y)
    for n in range(40):
        dt = (0.02, 0.03)[n % 2] if 10 <= n < 20 else 0.025
        step = method.step(problem, t, dt, y, state)
        y, state, t = step.y, step.state, t + dt
        assert isinstance(state, adams.AdamsState) and len(state.past) <= order - 1
        if 10 < n < 20:
            assert len(state.past) == 1
    assert len(state.past) == order - 1
    assert errors(y, Riccati().exact(t)) < {2: 1e-3, 3: 1e-4, 4: 1e-5, 5: 1e-6}[order]


@every_family
@every_order
def test_evaluations(family, order):
    """Starting: 7 for the first step of Dormand-Prince and 6 for each after it; then 1 (Bashforth) or 2 (Moulton)."""
    each = 1 if family is AdamsBashforth else 2
    sol = solve(Riccati(), Riccati().exact(0.0), [0.0, 1.0], family(order), dt=1 / 32)
    start = 1 + 6 * (order - 1)
    running = each * (32 - (order - 1)) - 1  # the slope at its first step came with the starter
    assert sol.stats.evaluations == start + running


@every_family
@every_order
def test_stability_polynomial(family, order):
    """The stated intervals are those of the characteristic polynomial (root condition), found by bisection here."""

    def radius(z: complex) -> float:
        ab, am = (np.array(adams_weights.step_weights(adams_weights.nodes(newest, order))) for newest in (0, 1))
        one = np.eye(order)[0]
        row = one + z * ab
        if family is AdamsBashforthMoulton:
            row = one + z * am[0] * row + z * np.append(am[1:], 0.0)
        companion = np.vstack((row, np.eye(order)[:-1]))
        return float(np.abs(np.linalg.eigvals(companion)).max())

    for axis, along in (("real", -1.0), ("imaginary", 1j)):
        limit = getattr(family(order), f"{axis}_stability")
        for c in np.linspace(0.02, 0.999, 60) if limit else []:
            assert radius(c * limit * along) <= 1 + 1e-12
        assert radius(1.0001 * limit * along if limit else 0.2j) > 1 + 1e-9


@every_family
def test_gradients_of_a_long_run(family):
    """Backprop through history and starting steps: the derivative of the discrete solution in the initial state."""
    w = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[1.0], [0.4]], dtype=torch.float64, requires_grad=True)

    def run(y0, w):
        return solve(lambda t, y: w * y + torch.sin(t) * y * y, y0, [0.0, 0.95], family(4), dt=0.1).y[-1]

    assert torch.autograd.gradcheck(run, (y0, w))
    assert torch.autograd.gradgradcheck(run, (y0, w))


@every_family
@every_order
def test_heat_modes(family, order):
    field, y0, value = heat("path", 20, 2)
    dt = 0.2 * family(order).real_stability / 4
    sol = solve(field, y0, [0.0, 2.0], family(order), dt=dt)
    assert torch.allclose(sol.y[-1], np.exp(-2 * value) * y0, atol=1e-4)


def test_starting_values_are_of_sufficient_order():
    """After the starting steps alone the error is O(dt^6) at most, so that it never shows in a method of order 5."""
    sizes, steps = [], [10, 20, 40]
    for count in steps:
        sol = solve(Nonlinear(), Nonlinear().exact(0.0), [0.0, 4 / count], "ab5", dt=1 / count)
        sizes.append(errors(sol.y[-1], Nonlinear().exact(4 / count)))
    assert slope(steps, sizes) > 5.5
