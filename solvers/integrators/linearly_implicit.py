"""What linearly implicit methods share: systems `(I - h L) Y = b` with an operator that the field offers, and its rest.

For a semilinear field `y' = L(t, y) y + g(t, y)` a step from `(t_n, y_n)` takes `L(t, y_n)` implicitly, at the time of each
stage, and `f(t, y) - L(t, y_n) y` explicitly. That is `g` where L does not depend on y; where it does, the difference
`(L(t, y) - L(t, y_n)) y` joins the explicit part, so that the order of the method holds for every L.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..linear.solver import LinearSolver
from ..operator import LinearOperator
from ..protocols import LinearFlow, Problem, Semilinear, Work, as_time, semilinear
from .base import Integrator
from .implicit_euler import ImplicitEuler
from .implicit_stage import ImplicitState, Stage

_SHARE = 0.1  # of the tolerance: a step sums the errors of several systems, and the last digit costs one or two products


@dataclass(frozen=True, eq=False)
class SplitState:
    """What a linearly implicit method keeps.

    Attributes:
        solver: the prepared solver of `I - h L`.
        operator: the L that it was prepared for.
        dt: size of the last step (multistep methods).
        past: states before the current one, newest first (multistep methods).
        rests: the explicit part at these (multistep methods).
    """

    solver: ImplicitState = field(default_factory=ImplicitState)
    operator: LinearOperator | None = None
    dt: float = 0.0
    past: tuple[Tensor, ...] = ()
    rests: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class LinearlyImplicit(Integrator):
    """A method that solves linear systems only.

    Args:
        linear_solver: for the systems inside; None takes CG for a symmetric operator and GMRES(30) for any other, with
            Jacobi's preconditioner where the diagonal is uneven.
        linear_rtol: relative residual of these systems; None derives it from the solve's tolerances.
    """

    linear_solver: LinearSolver | None = None
    linear_rtol: float | None = None
    explicit = False

    def __post_init__(self) -> None:
        ImplicitEuler(self.linear_solver, self.linear_rtol)  # which checks them

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[SplitState, Work]:
        return SplitState(), Work()

    def taken(self, state: object) -> SplitState:
        """The state as what it must be."""
        if not isinstance(state, SplitState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        return state

    def linear_stage(
        self, problem: Problem, L: LinearOperator, h: float, b: Tensor, guess: Tensor, state: SplitState
    ) -> tuple[Stage, SplitState]:
        """Solve `(I - h L) Y = b`; what is prepared for L is kept in the state, and serves again where L and h are the same."""
        solver = state.solver
        if state.operator is None or not same_operator(L, state.operator):
            solver = replace(solver, h=0.0)  # prepare anew
        inner = ImplicitEuler(self.linear_solver, self.linear_rtol)
        solved = inner.stage(tightened(problem.with_field(LinearFlow(L))), 0.0, h, b, guess, solver)
        return solved, replace(state, solver=solved.state, operator=L)


@dataclass(frozen=True, eq=False)
class Split:
    """A semilinear field in its two parts.

    Args:
        problem: holds the field.
        field: the field as one that offers both parts.
    """

    problem: Problem
    field: Semilinear

    @classmethod
    def of(cls, problem: Problem, name: str) -> Split:
        found = semilinear(problem.field)
        if found is None:
            raise TypeError(
                f"{name} needs a field that offers linear_part(t, y) and nonlinear_part(t, y); "
                f"{type(problem.field).__name__} does not"
            )
        return cls(problem, found)

    def operator(self, t: float, y: Tensor) -> LinearOperator:
        """`L(t, y)`."""
        return self.field.linear_part(as_time(t, y), y)

    def rest(self, t: float, y: Tensor, used: LinearOperator) -> tuple[Tensor, Work]:
        """`f(t, y) - used y`: the nonlinear part, and what L at `(t, y)` differs from the operator that is used."""
        out = self.problem.with_field(self.field.nonlinear_part).f(t, y)
        here = self.operator(t, y)
        if same_operator(here, used):
            return out, Work(evaluations=1)
        return out + (here.matvec(y) - used.matvec(y)), Work(evaluations=1, products=2)


def tightened(problem: Problem) -> Problem:
    """The problem with a tenth of the tolerances, for linear systems to be solved as closely as error control needs them."""
    return replace(problem, rtol=_SHARE * problem.rtol, atol=_SHARE * problem.atol, error_control=True)


def same_operator(a: object, b: object) -> bool:
    """Whether two operators are made of the very same tensors in the same way (equal copies do not count)."""
    if a is b:
        return True
    if isinstance(a, Tensor) or type(a) is not type(b) or not dataclasses.is_dataclass(a):
        return isinstance(a, int | float | complex | str | torch.dtype | torch.device) and type(a) is type(b) and a == b
    return all(same_operator(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
