"""What holds for every integrator that is exported; a new one is covered by its line in `solvers/integrators/__init__.pyi`."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from problems import Coupled, Nonlinear, Oscillator, Riccati, SeparableHamiltonian, errors, slope
from torch import Tensor

from solvers import (
    Dense,
    Integrator,
    LinearFlow,
    LinearOperator,
    PerGraph,
    Problem,
    Work,
    available,
    integrators,
    method_named,
    solve,
)

ALL = available()
EVERY = [*ALL, *available("scipy"), *available("torchdiffeq")]  # back ends take no single steps: test_external.py
NAMES = [name for name in ALL if method_named(name).order < math.inf]  # exact flows: test_exact_flows.py
TIGHT = {"rtol": 1e-12, "atol": 1e-14}  # of the solves inside implicit methods
ADAPTIVE = [name for name in NAMES if method_named(name).adaptive]
DENSE = [name for name in NAMES if method_named(name).dense_output]
every_method = pytest.mark.parametrize("name", NAMES)


def problem_for(method: Integrator, shift: float = 0.0) -> Riccati | SeparableHamiltonian | Coupled:
    """A problem of the class that the method declares, not linear and not autonomous, with a known solution."""
    match method.needs:
        case None:
            return Riccati(shift)
        case "partitioned":
            return SeparableHamiltonian(damping=0.3, shift=shift)
        case "semilinear":
            return Coupled(Riccati(shift))
    raise AssertionError(f"{method.name} needs {method.needs!r}: there is no problem of that class here yet")


def spiral_for(method: Integrator) -> Nonlinear | Coupled:
    """`Nonlinear`, with a linear part for the methods that need one."""
    return Coupled(Nonlinear()) if method.needs == "semilinear" else Nonlinear()


def largest_error(method: Integrator, problem, steps: int, start: float = 0.0, end: float = 1.0) -> float:
    dt = abs(end - start) / steps
    sol = solve(problem, problem.exact(start), [start, end], method, dt=dt, save="steps", **TIGHT)
    return max(errors(y, problem.exact(t)) for t, y in zip(sol.t.tolist(), sol.y, strict=True))


def pinned(method: Integrator) -> Integrator:
    """The method at its stated order, also under error control."""
    fields = {"min_order": method.order, "max_order": method.order}
    return dataclasses.replace(method, **fields) if hasattr(method, "min_order") else method


def share(method: Integrator) -> int:
    """Steps with Newton iterations cost more and settle earlier: half as many are taken."""
    return 1 if method.explicit or method.needs == "semilinear" else 2


def measured_order(error: Callable[[int], float], method: Integrator) -> float:
    """Slope over three halvings of dt, the finest that rounding allows."""
    steps, found = [], []
    for count in (16, 32, 64, 128, 256, 512)[: 4 if method.order < 4 else 6 if method.explicit else 5]:
        count //= share(method)
        steps.append(count)
        found.append(error(count))
        if found[-1] < (2e-14 if method.explicit and method.order < 6 else 3e-13):
            break
    assert len(steps) >= 4, f"errors {found}: too small to measure an order"
    return slope(steps[-4:], found[-4:])


@every_method
def test_order(name):
    method = method_named(name)
    if method.order > 6:  # rounding leaves few step sizes, and these have to be in the range of the leading term
        steps = [16, 20, 24, 28]
        measured = slope(steps, [largest_error(method, problem_for(method), count, -1.0) for count in steps])
    else:
        measured = measured_order(lambda steps: largest_error(method, problem_for(method), steps), method)
    assert measured == pytest.approx(method.order, abs=0.2)


@every_method
def test_backwards_in_time(name):
    method = method_named(name)
    counts = (6, 12) if method.order >= 6 else (32 // share(method), 64 // share(method))
    coarse, fine = (largest_error(method, problem_for(method), steps, 1.0, 0.0) for steps in counts)
    assert fine < 2e-2 and math.log2(coarse / fine) > method.order - 0.5


@pytest.mark.parametrize("name", DENSE)
def test_interpolant(name):
    method = method_named(name)
    problem = spiral_for(method)
    times = [(k + 0.37) / 23 for k in range(23)]

    def error(steps: int) -> float:
        sol = solve(problem, problem.exact(0.0), [0.0, 1.0], method, dt=1 / steps, save="dense", **TIGHT)
        assert torch.equal(sol(1.0), sol.y[-1]) and torch.equal(sol(0.0), sol.y[0])
        return max(errors(sol(t), problem.exact(t)) for t in times)

    steps = 16 if method.order > 6 else 64 // share(method)  # the finest that rounding allows
    coarse, fine = error(steps), error(2 * steps)
    assert math.log2(coarse / fine) > min(method.order, 3) - 0.25
    assert fine <= 10 * largest_error(method, problem, 2 * steps) + 1e-7


@pytest.mark.parametrize("name", DENSE)
def test_outputs_read_from_the_interpolant_change_no_step(name):
    method, times = method_named(name), [0.0, 0.111, 0.5, 0.73, 1.0]
    problem = spiral_for(method)
    few = solve(problem, problem.exact(0.0), [0.0, 1.0], method, dt=0.03, **TIGHT)
    many = solve(problem, problem.exact(0.0), times, method, dt=0.03, **TIGHT)
    assert torch.equal(few.y[-1], many.y[-1])
    if method.dense_is_free:
        assert few.stats == many.stats
    else:
        assert dataclasses.replace(few.stats, evaluations=0, products=0) == dataclasses.replace(
            many.stats, evaluations=0, products=0
        )
        assert few.stats.evaluations + few.stats.products < many.stats.evaluations + many.stats.products


@pytest.mark.parametrize("name", ADAPTIVE)
def test_order_of_the_error_estimate(name):
    method = pinned(method_named(name))
    field, start = (problem_for(method), -1.0) if method.order > 6 else (spiral_for(method), 0.0)
    problem = Problem(field, rtol=1e-13, atol=1e-15)
    steps, sizes, order = [64, 128, 256, 512][: 4 if method.explicit else 3], [], 0
    steps = [12, 16, 20, 24] if method.order > 6 else steps
    for count in steps:
        y, t, dt = field.exact(start), start, 1 / count
        state, _ = method.init(problem, t, y)
        for _ in range(count if method.order > 6 else count // 4):
            step = method.step(problem, t, dt, y, state)
            y, state, t = step.y, step.state, t + dt
        assert step.error is not None and step.error.shape == y.shape and not step.error.requires_grad
        sizes.append(float(step.error.abs().max()))
        order = step.order
        if sizes[-1] < 1e-13:
            break
    assert slope(steps[: len(sizes)], sizes) == pytest.approx(order + 1, abs=0.3)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_tolerance_is_met(name):
    problem = spiral_for(method_named(name))
    for rtol in (1e-3, 1e-5 if method_named(name).explicit else 1e-4):
        sol = solve(problem, problem.exact(0.0), [0.0, 0.3, 1.0], name, rtol=rtol)
        assert max(errors(y, problem.exact(t)) for t, y in zip(sol.t.tolist(), sol.y, strict=True)) < 100 * rtol
        assert sol.stats.steps == sol.stats.accepted + sol.stats.rejected


@dataclass(frozen=True, eq=False)
class Learnable:
    """`y' = tanh(y W) + sin t`, and for partitioned methods `q' = tanh p, p' = tanh(q W) + sin t - damping p`."""

    weight: Tensor
    damping: Tensor

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return torch.tanh(p)

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return torch.tanh(q @ self.weight) + torch.sin(t)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.force(t, y) - self.damping * y


@dataclass(frozen=True, eq=False)
class LearnableSplit(Learnable):
    """The same with `- W W' y` added, as the linear part."""

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return Dense(-self.weight @ self.weight.T)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return self.force(t, y) - self.damping * y

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


@every_method
def test_gradients(name):
    method = method_named(name)
    torch.manual_seed(0)
    shape = (2, 2, 2) if method.needs == "partitioned" else (2, 2)

    kind = LearnableSplit if method.needs == "semilinear" else Learnable

    def run(y0: Tensor, weight: Tensor, damping: Tensor) -> Tensor:
        return solve(kind(weight, damping), y0, [0.0, 0.5, 1.5], method, dt=0.25 * share(method), **TIGHT).y[1:]

    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in (shape, (2, 2))]
    inputs.append(torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(run, inputs, atol=1e-6, rtol=1e-5)


@every_method
def test_gradient_tracking_changes_no_value(name):
    method = method_named(name)
    problem = problem_for(method)
    y0 = problem.exact(0.0)
    plain = solve(problem, y0, [0.0, 1.0], method, dt=0.1, **TIGHT)
    tracked = solve(problem, y0.clone().requires_grad_(), [0.0, 1.0], method, dt=0.1, **TIGHT)
    assert torch.allclose(plain.y, tracked.y.detach(), rtol=1e-12, atol=1e-13)
    assert plain.stats.evaluations == tracked.stats.evaluations


def growth(method: Integrator, z: complex, steps: int) -> float:
    """The factor per step on `y' = z y` with dt = 1, after a long run; complex z as a real 2 x 2 matrix.

    For partitioned methods on `q'' = -|z|^2 q`: the spectral radius of one step.
    """
    if method.needs == "partitioned":
        problem, unit = Problem(Oscillator(omega=z.imag)), torch.eye(2, dtype=torch.float64)
        columns = [unit[i].reshape(2, 1, 1) for i in range(2)]
        matrix = torch.stack([method.step(problem, 0.0, 1.0, y, method.init(problem, 0.0, y)[0]).y.flatten() for y in columns])
        return float(torch.linalg.eigvals(matrix).abs().max())
    matrix = torch.tensor([[z.real, -z.imag], [z.imag, z.real]], dtype=torch.float64)
    problem, y, sizes = Problem(LinearFlow(Dense(matrix)), **TIGHT), torch.ones(2, 1, dtype=torch.float64), []
    state, _ = method.init(problem, 0.0, y)
    for n in range(steps):
        step = method.step(problem, float(n), 1.0, y, state)
        y, state = step.y, step.state
        sizes.append(math.log(max(float(y.norm()), 1e-280)))
        if not 1e-200 < float(y.norm()) < 1e200:
            break
    if len(sizes) < 8:  # gone, or grown beyond all bounds, in a few steps
        return math.exp(sizes[-1] / len(sizes))
    half, window = len(sizes) // 2, max(1, len(sizes) // 8)
    return math.exp((max(sizes[-window:]) - max(sizes[half : half + window])) / (len(sizes) - window - half))


STABILITY = [(name, axis) for name in NAMES for axis in ("real", "imaginary")]


@pytest.mark.parametrize("name, axis", STABILITY)
def test_stability_interval(name, axis):
    method = pinned(method_named(name))
    limit = getattr(method, f"{axis}_stability")
    along = -1.0 if axis == "real" else 1j
    if limit is None:
        assert not (method.explicit and method.needs is None), f"{name}: an explicit method states its stability"
        return
    assert not method.explicit or math.isfinite(limit) or isinstance(method, integrators.Stabilised)  # stages as needed
    inside = [10.0**k for k in range(-1, 6, 2)] if math.isinf(limit) else [limit * c for c in (0.1, 0.4, 0.7, 0.9, 0.98)]
    steps = 600 if method.explicit and math.isfinite(limit) else 24
    for x in inside if limit else []:
        assert growth(method, along * x, steps) <= 1 + 1e-9, f"unstable at {along * x}, inside the stated {limit}"
    if limit == 0.0:
        assert max(growth(method, along * x, steps) for x in (0.1, 0.2, 0.3, 0.5, 1.0, 1.4)) > 1 + 1e-8, "stable; stated is 0"
    elif math.isfinite(limit):
        assert growth(method, along * limit * 1.02, steps) > 1 + 5e-9, f"stable beyond the stated limit {limit}"


@every_method
def test_float32_stays_float32(name):
    method = method_named(name)
    problem = problem_for(method)
    low, high = (
        solve(problem, problem.exact(0.0, dtype), [0.0, 0.33, 1.0], method, dt=0.05) for dtype in (torch.float32, torch.float64)
    )
    assert low.y.dtype == torch.float32 and high.y.dtype == torch.float64
    assert torch.allclose(low.y.double(), high.y, atol=2e-5)


@dataclass(frozen=True, eq=False)
class Counted:
    """A field that counts how often it is asked."""

    inner: Riccati | SeparableHamiltonian | Coupled
    calls: list[int] = field(default_factory=lambda: [0])

    @property
    def damping(self) -> Tensor | float:
        return self.inner.damping

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return self.inner.velocity(t, p)

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        self.calls[0] += 1
        return self.inner.force(t, q)

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return self.inner.linear_part(t, y)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls[0] += 1
        return self.inner.nonlinear_part(t, y)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls[0] += 1
        return self.inner(t, y)


@every_method
@pytest.mark.parametrize("tracked", [False, True], ids=["plain", "tracked"])
def test_work_is_what_was_counted(name, tracked):
    method = method_named(name)
    counted = Counted(problem_for(method))
    y0 = counted.inner.exact(0.0).requires_grad_(tracked)
    sol = solve(counted, y0, [0.0, 0.33, 1.0], method, dt=0.1)
    calls, stats = counted.calls[0], sol.stats
    if method.explicit:
        assert (stats.evaluations, stats.products, stats.linear_iterations) == (calls, 0, 0)
    else:  # a product with the Jacobian evaluates the field again, in forward mode
        assert stats.evaluations <= calls <= stats.evaluations + stats.products


@every_method
def test_adaptive_work_is_what_was_counted(name):
    method = method_named(name)
    if not (method.adaptive and method.explicit):
        return
    counted = Counted(Riccati())
    sol = solve(counted, Riccati().exact(0.0), [0.0, 3.0], method, rtol=1e-4)
    assert sol.stats.evaluations == counted.calls[0]


@every_method
def test_step_is_pure(name):
    """A step may be repeated, also after others were taken; what it was given stays as it was."""
    method = method_named(name)
    problem, t, dt = Problem(problem_for(method), **TIGHT), 0.0, 0.05
    y = problem.field.exact(0.0)
    state, work = method.init(problem, t, y)
    assert isinstance(work, Work)
    for _ in range(7):
        given = y.clone()
        first = method.step(problem, t, dt, y, state)
        result = first.y.clone()
        method.step(problem, t + dt, dt, first.y, first.state)
        again = method.step(problem, t, dt, y, state)
        assert torch.equal(y, given) and torch.equal(first.y, result), "the step changed its input, or its result later"
        assert torch.equal(again.y, result) and again.work == first.work
        repeated = method.step(problem, t, dt, y, again.retry)
        assert torch.allclose(repeated.y, result, rtol=1e-13, atol=1e-13), "the state for a rejected step is another one"
        assert repeated.work.evaluations <= first.work.evaluations
        y, state, t = again.y, again.state, t + dt


@every_method
def test_sees_the_right_time(name):
    method = method_named(name)
    here, there = problem_for(method), problem_for(method, shift=8.0)
    times = torch.tensor([0.0, 0.33, 1.0], dtype=torch.float64)
    a = solve(here, here.exact(0.0), times, method, dt=0.1, **TIGHT).y
    b = solve(there, there.exact(8.0), times + 8, method, dt=0.1, **TIGHT).y
    assert torch.allclose(a, b, rtol=1e-11, atol=1e-11)


@every_method
def test_reductions_per_graph_are_accepted(name):
    method = method_named(name)
    problem = problem_for(method)
    y0 = problem.exact(0.0)
    space = PerGraph(torch.tensor([0, 0, 1]) if y0.shape[-2] == 3 else torch.tensor([0]))
    plain = solve(problem, y0, [0.0, 0.33, 1.0], method, dt=0.1, **TIGHT).y
    assert torch.allclose(solve(problem, y0, [0.0, 0.33, 1.0], method, dt=0.1, space=space, **TIGHT).y, plain, rtol=1e-10)
    if method.adaptive:
        sol = solve(problem, y0, [0.0, 1.0], method, rtol=1e-5, space=space)
        assert errors(sol.y[-1], problem.exact(1.0)) < 1e-3


@pytest.mark.parametrize("name", EVERY)
def test_is_a_frozen_value_with_a_name(name):
    method = method_named(name)
    assert dataclasses.is_dataclass(method)
    assert method == method_named(name) and hash(method) == hash(method_named(name))
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        method.order = 7  # type: ignore[misc]
    assert method_named(method) is method
    assert type(method_named(name.upper().replace("_", "-"))) is type(method)
    assert type(method).__doc__ and "order" in type(method).__doc__.lower(), "the docstring states the order"


def test_every_exported_class_has_a_name():
    found = {type(method_named(name)) for name in EVERY}
    for export in integrators.__all__:
        cls = getattr(integrators, export)
        if inspect.isclass(cls) and issubclass(cls, Integrator) and not inspect.isabstract(cls) and hasattr(cls, "order"):
            assert cls in found, f"{export} is exported, but no name leads to it"


@every_method
def test_a_field_of_the_wrong_shape_is_refused(name):
    method = method_named(name)
    shape = (2, 3, 1) if method.needs == "partitioned" else (3, 1)

    @dataclass(frozen=True, eq=False)
    class Short:
        damping: float = 0.0

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return y[..., :1, :]

        force = velocity = nonlinear_part = __call__

        def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
            return Dense(torch.eye(3, dtype=y.dtype))

    with pytest.raises(ValueError, match="shape"):
        solve(Short(), torch.ones(shape, dtype=torch.float64), [0.0, 1.0], method, dt=0.1)
