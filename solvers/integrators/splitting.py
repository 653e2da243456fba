"""Operator splitting: the linear part and the rest of a semilinear field, one after the other, each by a method of its own.

    Lie:     y_new = B(dt) A(dt) y            Strang:  y_new = A(dt/2) B(dt) A(dt/2) y

A(h) is a step of the `linear` method on `y' = L y`, with `L = L(t + dt/2, y_n)` for the whole step; B(h) one of the `rest`
method on `y' = f(t, y) - L y`, which is `g(t, y)` where L does not depend on t and y.

Reference: Strang (1968) SIAM J. Numer. Anal. 5, 506; Hundsdorfer & Verwer (2003) IV.1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from ..interpolate import WithSlope, through
from ..operator import LinearOperator
from ..protocols import LinearFlow, Problem, Semilinear, Work
from .base import Integrator, Step
from .explicit import RK4, Euler
from .implicit_euler import ImplicitEuler
from .implicit_stage import ImplicitState
from .linearly_implicit import Split, same_operator, tightened
from .sdirk2 import SDIRK2

_IMPLICIT_EULER, _EULER, _SDIRK2, _RK4 = ImplicitEuler(), Euler(), SDIRK2(), RK4()  # the defaults


@dataclass(frozen=True, eq=False)
class RestField:
    """`f(t, y) - L y` of a semilinear field, for one operator L."""

    field: Semilinear
    operator: LinearOperator

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        out, here = self.field.nonlinear_part(t, y), self.field.linear_part(t, y)
        if out.shape != y.shape:
            raise ValueError(
                f"nonlinear_part returned {tuple(out.shape)} for a state of shape {tuple(y.shape)}; expected its shape"
            )
        return out if same_operator(here, self.operator) else out + (here.matvec(y) - self.operator.matvec(y))


@dataclass(frozen=True, eq=False)
class SplittingState:
    """The solver that the linear method prepared, and the operator that it belongs to."""

    solver: ImplicitState | None = None
    operator: LinearOperator | None = None


@dataclass(frozen=True)
class Splitting(Integrator):
    """A splitting: a subclass states the methods of both parts and the order of the substeps."""

    linear: Integrator
    rest: Integrator
    needs = "semilinear"
    dense_output = True
    explicit = False

    def __post_init__(self) -> None:
        for what, method in (("linear", self.linear), ("rest", self.rest)):
            if not isinstance(method, Integrator):
                raise TypeError(f"{what} is a {type(method).__name__}; expected an Integrator such as SDIRK2() or RK4()")
        if self.linear.needs not in (None, "linear") or self.rest.needs is not None:
            raise ValueError(
                f"{self.name} got linear={self.linear.name}, which needs {self.linear.needs!r}, and rest={self.rest.name}, "
                f"which needs {self.rest.needs!r}; the one must take linear fields, the other any field"
            )

    @abstractmethod
    def substeps(self) -> tuple[tuple[str, float, float], ...]:
        """`("linear" or "rest", start, length)` of each substep, in units of dt."""

    def inside(self, problem: Problem, t: float, dt: float, y: Tensor, new: Tensor) -> Callable[[float], Tensor]:
        """The solution inside a step from y to `new`: the straight line."""
        return through((0.0, 1.0), (y, new))

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[SplittingState, Work]:
        return SplittingState(), Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, SplittingState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        split = Split.of(problem, self.name)
        L = split.operator(t + dt / 2, y)
        if state.operator is None or not same_operator(L, state.operator):
            state = SplittingState(None, L)
        rest = replace(problem, error_control=False).with_field(RestField(split.field, L))
        fields = {"linear": tightened(problem).with_field(LinearFlow(L)), "rest": rest}
        work, given, begin = Work(), state, y
        for what, start, length in self.substeps():
            method = self.linear if what == "linear" else self.rest
            at, part = t + start * dt, fields[what]
            inner, cost = method.init(part, at, y)
            if what == "linear" and state.solver is not None:
                inner = state.solver  # without its slopes: the state has moved since
            step = method.step(part, at, length * dt, y, inner)
            work = work + cost + step.work
            if step.status != "ok":
                return replace(step, work=work, state=None, retry=given)
            if what == "linear" and isinstance(step.state, ImplicitState):
                state = replace(state, solver=ImplicitState(step.state.prepared, step.state.h))
            y = step.y
        return Step(y, state=state, retry=given, dense=self.inside(problem, t, dt, begin, y), work=work)


@dataclass(frozen=True)
class Lie(Splitting):
    """Lie splitting, order 1: `y_new = B(dt) A(dt) y`, the linear part first.

    Args:
        linear: the method of the linear part, of order 1 or more, implicit or exponential.
        rest: the method of the rest, of order 1 or more.

    Reference: Hundsdorfer & Verwer (2003) Numerical Solution of Time-Dependent Advection-Diffusion-Reaction Equations, IV.1.
    """

    linear: Integrator = _IMPLICIT_EULER
    rest: Integrator = _EULER
    order = dense_order = 1

    def substeps(self) -> tuple[tuple[str, float, float], ...]:
        return ("linear", 0.0, 1.0), ("rest", 0.0, 1.0)


@dataclass(frozen=True)
class Strang(Splitting):
    """Strang splitting, order 2: `y_new = A(dt/2) B(dt) A(dt/2) y`, the linear part first and last.

    On stiff problems whose boundary or source terms are in the rest, order 1 to 2 is seen. Dense output: the parabola through
    both ends with the slope `f(t + dt, y_new)` at the second, where the linear part has been damped: one evaluation in each
    step in which a time is asked for.

    Args:
        linear: the method of the linear part, of order 2 or more, implicit or exponential.
        rest: the method of the rest, of order 2 or more.

    Reference: Strang (1968) SIAM J. Numer. Anal. 5, 506; Hundsdorfer & Verwer (2003) IV.1.
    """

    linear: Integrator = _SDIRK2
    rest: Integrator = _RK4
    order = dense_order = 2
    dense_is_free = False

    def inside(self, problem: Problem, t: float, dt: float, y: Tensor, new: Tensor) -> Callable[[float], Tensor]:
        line = super().inside(problem, t, dt, y, new)
        return WithSlope(problem, t + dt, dt, new, line, lambda: new - y, _bubble)

    def substeps(self) -> tuple[tuple[str, float, float], ...]:
        return ("linear", 0.0, 0.5), ("rest", 0.0, 1.0), ("linear", 0.5, 0.5)


def _bubble(theta: float) -> float:
    return theta * (theta - 1)
