"""Solutions inside steps: their order, what they cost, their gradients, and how they behave where a field is stiff."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from problems import Coupled, Nonlinear, Riccati, SeparableHamiltonian, dense_laplacian, errors, slope
from torch import Tensor

from solvers import (
    Dense,
    Event,
    IntegrationError,
    Integrator,
    LinearFlow,
    LinearOperator,
    Problem,
    available,
    method_named,
    solve,
)
from solvers.bootstrap import Slopes
from solvers.integrators.continuous import conditions, extension, matrix

DENSE = [name for name in available() if method_named(name).dense_output and method_named(name).order < math.inf]
TIGHT = {"rtol": 1e-12, "atol": 1e-14}
STIFFLY_ACCURATE = ["ars222", "ars443", "kencarp3", "kencarp4", "kvaerno3", "kvaerno4", "kvaerno5", "sdirk2", "trbdf2"]
F64 = torch.float64


def pinned(name: str) -> Integrator:
    """The method at its stated order, also under error control."""
    method = method_named(name)
    fields = {"min_order": method.order, "max_order": method.order}
    return dataclasses.replace(method, **fields) if hasattr(method, "min_order") else method


def problem_for(method: Integrator) -> Riccati | Coupled | SeparableHamiltonian:
    if method.needs == "partitioned":
        return SeparableHamiltonian(damping=0.3)
    return Coupled(Riccati()) if method.needs == "semilinear" else Riccati()


def largest_inside(method: Integrator, steps: int) -> float:
    """The largest error at three times inside each step."""
    problem, start = problem_for(method), -0.5
    sol = solve(problem, problem.exact(start), [start, 0.5], method, dt=1 / steps, save="dense", **TIGHT)
    times = [start + (k + theta) / steps for k in range(steps) for theta in (0.2, 0.5, 0.8)]
    return max(errors(sol(t), problem.exact(t)) for t in times)


@pytest.mark.parametrize("name", DENSE)
def test_order_inside_steps(name):
    method = pinned(name)
    stated = method.dense_order
    assert stated is not None and stated >= method.order - 1
    steps = [4, 6, 8] if method.order > 6 else [32, 48, 64] if method.explicit else [10, 20, 30]
    measured = slope(steps, [largest_inside(method, count) for count in steps])
    assert stated - 0.25 <= measured <= stated + 0.5


def test_methods_without_an_interpolant_state_no_order():
    for name in available():
        method = method_named(name)
        assert method.dense_output or method.dense_order is None


@dataclasses.dataclass(frozen=True, eq=False)
class Learnable:
    """`y' = -W W' y + tanh(y W) + sin t`."""

    weight: Tensor

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return Dense(-self.weight @ self.weight.T)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.weight) + torch.sin(t)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


KINDS = ["bdf2", "dopri8", "etdrk2", "gauss4", "kencarp3", "kvaerno3", "lie", "sbdf3", "sdirk2", "strang"]


def leaves() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 2, dtype=F64, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize("name", KINDS)
def test_gradients_inside_steps(name):
    def run(y0: Tensor, weight: Tensor) -> Tensor:
        return solve(Learnable(weight), y0, [0.0, 0.2, 0.5], name, dt=0.25, **TIGHT).y[1:]

    assert torch.autograd.gradcheck(run, leaves(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["dopri8", "etdrk2", "gauss4", "sbdf3", "strang"])
def test_checkpointing_finds_the_same_gradients_inside_steps(name):
    def gradients(gradient: str) -> tuple[Tensor, ...]:
        y0, weight = leaves()
        times = [0.0, 0.31, 0.33, 0.6]
        out = solve(Learnable(weight), y0, times, name, dt=0.1, gradient=gradient, **TIGHT).y
        return torch.autograd.grad(out.square().sum(), (y0, weight))

    for a, b in zip(gradients("backprop"), gradients("checkpoint"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["dopri8", "gauss4", "lie", "strang"])
def test_kept_steps_need_nothing_any_more(name):
    """`save="dense"` pays for every step at once, if the interpolant has a price; not when the solution is looked up."""
    method = method_named(name)
    calls, base = [0], Coupled(Nonlinear())

    class Counted:
        linear_part = staticmethod(base.linear_part)

        def nonlinear_part(self, t, y):
            calls[0] += 1
            return base.nonlinear_part(t, y)

        def __call__(self, t, y):
            calls[0] += 1
            return base(t, y)

    sol = solve(Counted(), base.exact(0.0), [0.0, 1.0], method, dt=0.05, save="dense")
    paid = calls[0]
    assert paid >= sol.stats.evaluations
    worst = max(errors(sol(t), base.exact(t)) for t in np.linspace(0, 1, 33))
    assert worst < (0.2 if method.order == 1 else 5e-2) and calls[0] == paid


def heat(rate: float) -> tuple[LinearFlow, Tensor, Tensor]:
    """Heat on a path of 24 nodes with `lambda_max = rate`: the field, its eigenvalues and eigenvectors."""
    laplacian = dense_laplacian("path", 24).matrix
    values, vectors = torch.linalg.eigh(laplacian)
    return LinearFlow(Dense(-laplacian * (rate / values[-1]), symmetric=True)), values * (rate / values[-1]), vectors


@pytest.mark.parametrize("name", [*STIFFLY_ACCURATE, "radau_iia3", "strang", "sbdf3"])
def test_stiff_rough_data_are_not_amplified_inside_steps(name):
    """Rough data, `lambda_max dt = 1000`: a slope at the start would be a thousand times the data."""
    field, values, vectors = heat(1000.0)
    y0 = vectors[:, -1:] + vectors[:, 1:2]
    sol = solve(field, y0, 4.0, name, dt=1.0, save="dense", rtol=1e-10)
    exact = [(t, vectors @ (torch.exp(-values * t).unsqueeze(1) * (vectors.T @ y0))) for t in np.linspace(0, 4, 41)]
    assert max(float((sol(t) - y).abs().max()) for t, y in exact) < 2.5 * float(y0.abs().max())
    if name in STIFFLY_ACCURATE or name.startswith("radau"):  # what is left of the rough part is gone after a few steps
        smooth = solve(field, vectors[:, 1:2], 4.0, name, dt=1.0, save="dense", rtol=1e-10)
        assert max(float((sol(t) - smooth(t)).abs().max()) for t in (3.1, 3.5, 3.9)) < 1e-2


@pytest.mark.parametrize("name", [n for n in STIFFLY_ACCURATE if method_named(n).adaptive])
def test_stiff_solutions_are_within_the_tolerance_inside_steps(name):
    """Heat from rough data until `lambda_max dt` is above 1000: every time inside every step is as good as its ends."""
    field, values, vectors = heat(3000.0)
    y0 = vectors[:, -1:] + vectors[:, 12:13] + vectors[:, 1:3].sum(1, keepdim=True)
    tolerance = 1e-4
    sol = solve(field, y0, 3.0, name, rtol=tolerance, atol=tolerance * 0.1, save="dense")
    longest = max(s.end - s.start for s in sol.segments)
    assert longest * 3000.0 > 1000.0
    for s in sol.segments:
        for theta in (0.2, 0.5, 0.8):
            t = s.start + theta * (s.end - s.start)
            exact = vectors @ (torch.exp(-values * t).unsqueeze(1) * (vectors.T @ y0))
            assert float((sol(t) - exact).abs().max()) < 10 * tolerance


@pytest.mark.parametrize("name", ["kencarp4", "strang", "sbdf3", "etdrk4", "gauss4"])
def test_events_are_found_on_the_interpolant(name):
    """Where the first component of a spiral is zero; the search takes no step and next to no evaluation."""
    problem = Coupled(Nonlinear())
    event = Event(lambda t, y: y[1, 0], terminal=False)
    plain = solve(problem, problem.exact(0.0), 1.0, name, dt=0.05, rtol=1e-10)
    sol = solve(problem, problem.exact(0.0), 1.0, name, dt=0.05, rtol=1e-10, events=[event])
    (crossing,) = sol.crossings
    assert float(crossing.t) == pytest.approx(math.sqrt(math.pi - 1) - 1, abs=5e-3)  # 1 + s + s^2 / 2 = pi / 2
    assert sol.stats.accepted == plain.stats.accepted
    assert sol.stats.evaluations - plain.stats.evaluations <= (0 if method_named(name).dense_is_free or name == "etdrk4" else 1)
    assert torch.equal(sol.y[-1], plain.y[-1])


def test_weights_of_extensions_meet_the_order_conditions():
    """The classical method has one cubic extension of order 3: `b_1 = theta - 3/2 theta^2 + 2/3 theta^3` and so on."""
    a = matrix([(0.0,), (0.5, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 1.0, 0.0)])
    b = extension(conditions(a.sum(1), [a], 3), [], np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]), 3)
    known = [[1.0, 0.0, 0.0, 0.0], [-1.5, 1.0, 1.0, -0.5], [2 / 3, -2 / 3, -2 / 3, 2 / 3]]
    assert np.allclose(b, known, atol=1e-12)
    with pytest.raises(ValueError, match="order conditions"):
        extension(conditions(a.sum(1), [a], 4), [], np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]), 4)


def test_polynomials_of_slopes_are_exact_for_polynomials():
    here = Slopes((0.1, 0.3, 0.5, 0.7))
    for degree in range(8):
        data = [0.0**degree, 1.0, *(degree * x ** max(degree - 1, 0) for x in (0.0, 1.0, *here.nodes))]
        for theta in (0.2, 0.55, 0.9):
            assert float(np.dot(here.weights(theta), data)) == pytest.approx(theta**degree, abs=1e-11)


def test_a_matrix_function_that_fails_inside_a_step_says_so():
    grows = LinearFlow(Dense(torch.eye(2, dtype=F64), symmetric=True))
    step = method_named("etd1").step(Problem(grows), 0.0, 1.0, torch.ones(2, 1, dtype=F64), None)
    assert step.dense is not None
    with pytest.raises(IntegrationError, match="grow"):
        step.dense(1e4)
