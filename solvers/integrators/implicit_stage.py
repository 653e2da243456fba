"""What all implicit methods share: the equation of a stage, `Y = b + h f(t, Y)`, and what is kept from step to step.

A linear field `A y + s` makes it one linear system, `(I - h A) Y = b + h s`; any other field is solved by Newton-Krylov.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..linear.default import default_solver
from ..linear.gmres import GMRES
from ..linear.jacobian import linearise
from ..linear.solver import LinearSolver, Prepared, Solve
from ..nonlinear import NewtonKrylov, weights
from ..protocols import LinearFlow, Problem, Work, linear_flow
from ..shifted import Shifted
from .base import Integrator, Step

_FILTER_RTOL = 0.05  # an error estimate needs no more


@dataclass(frozen=True, eq=False)
class ImplicitState:
    """What an implicit method keeps.

    Attributes:
        prepared: the solver of `I - h A` of a linear field.
        h: the h that it was prepared for.
        slope: `f(t, y)` at the current state, as the last stage left it, or None.
        before: the state a step ago, or None.
        dt: the size of that step.
    """

    prepared: Prepared | None = None
    h: float = 0.0
    slope: Tensor | None = None
    before: Tensor | None = None
    dt: float = 0.0


@dataclass(frozen=True, eq=False)
class Stage:
    """A solved stage.

    Attributes:
        y: the stage Y.
        slope: `(Y - b) / h`, which is `f(t, Y)` without the amplification of the solver's error by a stiff field.
        work: what it cost.
        state: with the prepared solver in it.
        failed: the step to return, if the stage could not be solved.
    """

    y: Tensor
    slope: Tensor
    work: Work
    state: ImplicitState
    failed: Step | None = None


@dataclass(frozen=True)
class ImplicitMethod(Integrator):
    """A method whose stages are `Y = b + h f(t, Y)`.

    Args:
        linear_solver: for the systems inside; None takes CG for a symmetric operator and GMRES(30) for any other, with
            Jacobi's preconditioner where the diagonal is uneven.
        linear_rtol: relative residual of these systems; None derives it from the solve's tolerances.
        max_newton: Newton iterations after which a step fails (nonlinear fields).
    """

    linear_solver: LinearSolver | None = None
    linear_rtol: float | None = None
    max_newton: int = 12
    explicit = False

    def __post_init__(self) -> None:
        if self.linear_solver is not None and not isinstance(self.linear_solver, LinearSolver):
            got = self.linear_solver
            kind = f"the class {got.__name__}; pass an instance" if isinstance(got, type) else f"a {type(got).__name__}"
            raise TypeError(f"linear_solver is {kind}; expected a LinearSolver such as CG() or GMRES()")
        if self.linear_rtol is not None and not 0 < self.linear_rtol < 1:
            raise ValueError(f"linear_rtol = {self.linear_rtol}; expected a number between 0 and 1, or None")
        if self.max_newton < 1:
            raise ValueError(f"max_newton = {self.max_newton}; expected at least 1")

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[ImplicitState, Work]:
        return ImplicitState(), Work()

    def stage(self, problem: Problem, t: float, h: float, b: Tensor, guess: Tensor, state: ImplicitState) -> Stage:
        """Solve `Y = b + h f(t, Y)`, starting from `guess`."""
        flow = linear_flow(problem.field)
        if flow is not None:
            return self._linear(problem, flow, h, b, guess, state)
        root = self._newton(problem).solve(problem, t, h, b, guess)
        failed = None
        if root.status != "ok":
            failed = Step(root.y.detach(), status=root.status, retry=state, work=root.work, message=root.message)
        return Stage(root.y, (root.y - b) / h, root.work, state, failed)

    def _newton(self, problem: Problem) -> NewtonKrylov:
        """Where a failed step is taken anew with a smaller dt, that is the better answer to updates that diverge."""
        halvings = 0 if problem.error_control else NewtonKrylov.max_halvings
        return NewtonKrylov(self.linear_solver, self.linear_rtol, self.max_newton, halvings)

    def _linear(self, problem: Problem, flow: LinearFlow, h: float, b: Tensor, guess: Tensor, state: ImplicitState) -> Stage:
        prepared = self._prepared(problem, flow, h, state)
        rhs = b if flow.source is None else b + h * flow.source
        rtol = self._rtol(problem, rhs, guess)
        solved = prepared.solve(rhs, guess.detach(), rtol=rtol)
        work = Work(products=solved.products, linear_iterations=solved.iterations)
        if solved.status == "breakdown" and self.linear_solver is None and prepared.solver.needs_symmetric:
            instead = GMRES(preconditioner=prepared.solver.preconditioner)  # symmetric, but not definite
            prepared = instead.prepare(prepared.operator, problem.space)
            solved = prepared.solve(rhs, guess.detach(), rtol=rtol)
            work = work + Work(products=solved.products, linear_iterations=solved.iterations)
        state = replace(state, prepared=prepared, h=h)
        failed = None if solved.converged else _failed(solved, state, work)
        return Stage(solved.x, (solved.x - b) / h, work, state, failed)

    def _prepared(self, problem: Problem, flow: LinearFlow, h: float, state: ImplicitState) -> Prepared:
        if state.prepared is not None and state.h == h:
            return state.prepared
        solver = self.linear_solver
        if solver is None:  # chosen once, by A itself: what suits large steps does no harm to small ones
            solver = default_solver(flow.operator, problem.space) if state.prepared is None else state.prepared.solver
        return solver.prepare(Shifted(flow.operator, 1.0, -h), problem.space)

    def _rtol(self, problem: Problem, rhs: Tensor, guess: Tensor) -> float | Tensor:
        """The relative residual at which an evenly spread error is one of size 1 in the norm of `weights`."""
        if self.linear_rtol is not None:
            return self.linear_rtol
        with torch.no_grad():
            space, eps = problem.space, torch.finfo(rhs.dtype).eps
            size = space.rms(rhs.detach()) * space.rms(weights(problem, guess).reciprocal_())
            floor = (8 if problem.error_control else 50) * eps  # an error estimate shows the noise of the solves
            return size.clamp_min(torch.finfo(size.dtype).tiny).reciprocal().clamp(floor, 0.1)

    @torch.no_grad()
    def estimate(self, problem: Problem, t: float, end: Stage, h: float, raw: Tensor) -> tuple[Tensor | None, Work]:
        """`(I - h J)^-1 raw`: an estimate that does not overrate what a stiff field damps (Hosea & Shampine 1996).

        None if the problem's steps are not controlled by it.
        """
        if not problem.error_control:
            return None, Work()
        raw, work, prepared = raw.detach(), Work(), end.state.prepared
        if prepared is None:
            system = Shifted(linearise(problem, t, end.y), 1.0, -h)
            prepared = (self.linear_solver or default_solver(system, problem.space)).prepare(system, problem.space)
            work = Work(evaluations=1)
        solved = prepared.iterate(raw, None, _FILTER_RTOL)
        work = work + Work(products=solved.products, linear_iterations=solved.iterations)
        return (solved.x if solved.converged else raw), work


def _failed(solved: Solve, state: ImplicitState, work: Work) -> Step:
    status = "nonfinite" if solved.status == "nonfinite" else "linear"
    return Step(solved.x.detach(), status=status, retry=state, work=work, message=solved.message)


def taken(state: object, method: Integrator) -> ImplicitState:
    """The state as what it must be."""
    if not isinstance(state, ImplicitState):
        raise TypeError(f"{method.name} got a {type(state).__name__} as its state; it takes what init or step returned")
    return state
