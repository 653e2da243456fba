"""Newton-Krylov: the nonlinear equation of an implicit stage, `G(y) = y - h f(t, y) - b = 0`.

    (I - h J) d = -G(y),  y += d,   J = df/dy at y, every system solved to a relative residual only as small as is needed

Sizes are those of the error control: `|x| = rms(x / (tol (atol + rtol |y|)))`, the largest over the groups of the Space, and
the iteration ends when `|G| <= 1`, or when the updates and their contraction say that the error is below 1. Where full steps
diverge, and where asked, a second attempt halves each step until |G| falls, in every group by itself. By the implicit
function theorem the gradient of the root is one solve with `I - h J^H` (`implicit_root`).

Reference: Dembo, Eisenstat & Steihaug (1982) SIAM J. Numer. Anal. 19, 400; Hairer & Wanner (1996) IV.8; Deuflhard (2004)
Newton Methods for Nonlinear Problems, 3.1 (damping).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from .errors import IntegrationError
from .implicit_root import Implicit
from .linear.default import default_solver
from .linear.jacobian import Jacobian, linearise
from .linear.solver import LinearSolver, Solve
from .operator import LinearOperator
from .protocols import Problem, Work
from .shifted import Shifted
from .space import Space
from .structure import rebind, requiring_grad

TOLERANCE = 0.02  # of the error that a step may make
_LOOSEST, _TIGHTEST = 0.1, 1e-3  # relative residual of the linear solves
_SMALL = 0.3  # an update below this ends the iteration: the next is a tenth of it at most
_GOOD_ENOUGH = 0.3  # a linear solve that ran out of iterations there is still a step forward


@dataclass(frozen=True, eq=False)
class Root:
    """The outcome of a nonlinear solve.

    Attributes:
        y: the root.
        status: "ok", "nonlinear", "linear" or "nonfinite".
        work: what it cost.
        message: the status in words; empty if ok.
    """

    y: Tensor
    status: Literal["ok", "nonlinear", "linear", "nonfinite"]
    work: Work
    message: str = ""


def weights(problem: Problem, like: Tensor) -> Tensor:
    """What an error of size 1 is, entry by entry: `0.02 (atol + rtol |y|)`, and not below the rounding of the entry."""
    with torch.no_grad():
        info, size = torch.finfo(like.dtype), like.detach().abs()
        return size.mul_(TOLERANCE * problem.rtol + info.eps).add_(TOLERANCE * problem.atol + info.tiny)


@dataclass(frozen=True)
class NewtonKrylov:
    """Newton's method with Krylov solves inside.

    Args:
        linear_solver: for `I - h J` (None: GMRES).
        linear_rtol: relative residual of the linear solves; None lets it follow from what is left to do.
        max_iterations: Newton iterations after which an attempt is given up.
        max_halvings: how often a step may be halved in a second attempt, made after full steps diverged; 0 for none.
    """

    linear_solver: LinearSolver | None = None
    linear_rtol: float | None = None
    max_iterations: int = 12
    max_halvings: int = 12

    def solve(self, problem: Problem, t: float, h: float, b: Tensor, guess: Tensor) -> Root:
        """The root of `y - h f(t, y) - b`, from `guess`; gradients flow to b and to what the field holds."""
        fixed, start = b.detach(), guess.detach()
        root = self._iterate(problem, t, h, fixed, start, 0)
        if root.status in ("nonlinear", "nonfinite") and self.max_halvings:
            again = self._iterate(problem, t, h, fixed, start, self.max_halvings)
            root = replace(again if again.status == "ok" else root, work=root.work + again.work)
        if root.status != "ok" or not torch.is_grad_enabled():
            return root
        y, evaluations = _Stage(partial(self._inverse, problem), problem, t, h).connected(root.y, b)
        return Root(y, "ok", root.work + Work(evaluations=evaluations))

    @torch.no_grad()
    def _iterate(self, problem: Problem, t: float, h: float, b: Tensor, y: Tensor, halvings: int) -> Root:
        """Newton's iteration from y; with full steps if there are no halvings."""
        space, equation = problem.space, _Equation(problem, t, h, b, weights(problem, y))
        at, work = equation.at(y), Work(evaluations=1)
        previous, done, delta = None, at.sizes <= 1, float("inf")
        for count in range(self.max_iterations + 1):
            y, size, left = at.y, *torch.stack([at.sizes.amax(), (~done).any()]).tolist()
            if not size < float("inf"):
                return Root(y, "nonfinite", work, f"Newton's method met values that are not finite in iteration {count}")
            if not left:
                return Root(y, "ok", work)
            if count == self.max_iterations:
                break
            solved = self._update(space, at, h, done, size)
            work = work + Work(products=solved.products, linear_iterations=solved.iterations)
            if not solved.converged and not solved.residual < _GOOD_ENOUGH:
                status = "nonfinite" if solved.status == "nonfinite" else "linear"
                return Root(y, status, work, f"{solved.message}, in Newton iteration {count + 1}")
            y = y + solved.x
            deltas = space.rms(solved.x / equation.scale)
            delta = float(deltas.amax())
            rounding = 4 * torch.finfo(y.dtype).eps * space.rms(y)
            done = done | (deltas <= _SMALL) | (space.rms(solved.x) <= rounding)
            if previous is not None:
                rate = deltas / previous
                if not halvings and bool((~done & (rate > 2)).any()):
                    return Root(y, "nonlinear", work, self._message("diverged after", count + 1, size, delta))
                done = done | ((rate < 1) & (rate / (1 - rate) * deltas <= 1))
            if bool(done.all()):
                return Root(y, "ok", work)
            at, factor, tried = equation.along(at, solved.x, done, halvings)
            work = work + Work(evaluations=tried)
            done = done | (at.sizes <= 1)
            previous = deltas.clamp_min(torch.finfo(deltas.dtype).tiny)
            if halvings:  # an update says how close the root is only if it was a full step
                previous = torch.where(factor < 1, torch.zeros_like(previous), previous)
        return Root(y, "nonlinear", work, self._message("reached", self.max_iterations, size, delta))

    def _update(self, space: Space, at: _Point, h: float, done: Tensor, size: float) -> Solve:
        """The solution d of `(I - h J) d = -G`, to the relative residual that is worth while."""
        defect = at.defect * space.spread(~done, at.defect) if space.groups > 1 else at.defect
        rtol = self.linear_rtol or min(max(0.5 / size, _TIGHTEST), _LOOSEST)
        system = Shifted(at.jacobian, 1.0, -h)
        solver = self.linear_solver or default_solver(system, space)
        return solver.prepare(system, space).solve(-defect, rtol=rtol)

    def _message(self, did: str, count: int, size: float, delta: float) -> str:
        return (
            f"Newton's method {did} {count} iterations at a residual of {size:.1e} and an update of {delta:.1e}, "
            f"in units of {TOLERANCE:g} times the step's tolerance (wanted 1)"
        )

    def _inverse(self, problem: Problem, system: LinearOperator) -> Callable[[Tensor], Tensor]:
        """`g -> system^-1 g`, to the accuracy of the gradient."""
        prepared = (self.linear_solver or default_solver(system, problem.space)).prepare(system, problem.space)

        def solve(g: Tensor) -> Tensor:
            rtol = max(min(self.linear_rtol or 1.0, TOLERANCE * problem.rtol), 50 * torch.finfo(g.dtype).eps)
            solved = prepared.solve(g, rtol=rtol)
            if not solved.converged:
                raise IntegrationError(f"the gradient of an implicit step needs a linear solve: {solved.message}", "linear")
            return solved.x

        return solve


@dataclass(frozen=True, eq=False)
class _Point:
    """An iterate y with the Jacobian there, `G(y)` and its size, `[groups]`."""

    y: Tensor
    jacobian: Jacobian
    defect: Tensor
    sizes: Tensor


@dataclass(frozen=True, eq=False)
class _Equation:
    """`G(y) = y - h f(t, y) - b`, and the unit in which it is measured."""

    problem: Problem
    t: float
    h: float
    b: Tensor
    scale: Tensor

    def at(self, y: Tensor) -> _Point:
        jacobian = linearise(self.problem, self.t, y)
        defect = y - self.h * jacobian.value - self.b
        return _Point(y, jacobian, defect, self.problem.space.rms(defect / self.scale))

    def along(self, start: _Point, move: Tensor, done: Tensor, halvings: int) -> tuple[_Point, Tensor, int]:
        """The point at `y + factor move`, the factor halved while |G| has not fallen; and the number of points tried."""
        found, factor = self.at(start.y + move), torch.ones_like(start.sizes)
        for tried in range(1, halvings + 1):
            worse = ~done & ~(found.sizes < start.sizes)  # or not a number
            if not bool(worse.any()):
                return found, factor, tried
            factor = torch.where(worse, factor / 2, factor)
            found = self.at(start.y + self.problem.space.spread(factor, move) * move)
        return found, factor, halvings + 1


@dataclass(frozen=True, eq=False)
class _Stage(Implicit):
    """`r = y - h f(t, y) - b`."""

    def point(self, x: Tensor) -> Tensor:
        return x

    def residual(self, x: Tensor, b: Tensor) -> Tensor:
        return x - self.h * self.problem.f(self.t, x) - b

    def held(self) -> list[Tensor]:
        return requiring_grad(self.problem.field)

    def pulled_back(self, x: Tensor, held: Sequence[Tensor], cotangent: Tensor) -> list[Tensor | None]:
        aliases = [theta.view_as(theta) for theta in held]
        value = rebind(self.problem, list(held), aliases).f(self.t, x)
        if not (aliases and value.requires_grad):
            return [None] * len(aliases)
        return list(torch.autograd.grad(value, aliases, self.h * cotangent, create_graph=True, allow_unused=True))
