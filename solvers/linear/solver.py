"""Solvers of `A x = b`: what they take, what they return, and the outer loop that all of them share.

All columns of the right-hand side are one vector: there is one set of scalars for each group of the `Space`, not one for
each column, which makes an iteration 5 to 7 times cheaper. Convergence is always judged on a residual that was computed
afresh, `b - A x`: the one that a recurrence carries along parts from it in finite precision.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..host import host_may_look
from ..operator import LinearOperator
from ..space import Space
from ..structure import requiring_grad
from .implicit_gradient import differentiable_solve
from .preconditioners import Apply, Preconditioner, preconditioner_named

SolveStatus = Literal["ok", "rounding", "iterations", "breakdown", "stagnated", "nonfinite"]


@dataclass(frozen=True, eq=False)
class Solve:
    """The outcome of one linear solve.

    Attributes:
        x: the solution, of the shape of b.
        iterations: iterations spent.
        products: products with the operator, those that check the residual included.
        residual: `|b - A x| / |b|`, the largest over the groups, computed afresh; nan where the host may not look.
        status: "ok"; "rounding": the residual is as small as this precision lets it be (at most the root of eps);
            "iterations", "breakdown", "stagnated", "nonfinite": not solved.
        message: the status in words; empty if ok.
        hops: how far along the edges an entry of x can see b, at most: each iteration adds the reach of its products (x0
            not counted); infinite for direct methods and full matrices.
    """

    x: Tensor
    iterations: int
    products: int
    residual: float
    status: SolveStatus
    message: str = ""
    hops: float = math.inf

    @property
    def converged(self) -> bool:
        return self.status in ("ok", "rounding")


@dataclass(frozen=True, eq=False)
class Cycle:
    """What a method did between two checks of the true residual.

    Attributes:
        x: the new iterate.
        iterations, products: what it cost.
        claims: whether the method's own residual met the target.
        broken: whether the method cannot go on without a restart.
    """

    x: Tensor
    iterations: int
    products: int
    claims: bool
    broken: bool = False


@dataclass(frozen=True)
class LinearSolver(ABC):
    """A method for `A x = b`.

    Args:
        max_iterations: iterations after which the solve is given up.
        preconditioner: None, "jacobi" or a `Preconditioner`.
    """

    max_iterations: int = 1000
    preconditioner: str | Preconditioner | None = None
    needs_symmetric: ClassVar[bool] = False
    products_each: ClassVar[float] = 1.0  # products with the operator in an iteration; infinite for direct methods

    def __post_init__(self) -> None:
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations = {self.max_iterations}; expected at least 1")
        preconditioner_named(self.preconditioner)

    def prepare(self, A: LinearOperator, space: Space) -> Prepared:
        """Everything that can be done before b is known.

        Args:
            A: a square operator.
            space: how reductions over the state are done; each of its groups has its own scalars.

        Raises:
            ValueError: if the method cannot solve with this operator.
        """
        if A.shape[0] != A.shape[1]:
            raise ValueError(f"{self.name} needs a square operator; got one of shape {tuple(A.shape)}")
        if self.needs_symmetric and not A.symmetric:
            raise ValueError(
                f"{self.name} needs a symmetric operator; {type(A).__name__} of shape {tuple(A.shape)} is not marked as one. "
                "Use linear_solver=GMRES() or BiCGStab(), or build the operator with symmetric=True if it is"
            )
        chosen = preconditioner_named(self.preconditioner)
        if self.needs_symmetric and chosen is not None and not chosen.symmetric:
            raise ValueError(f"{self.name} needs a symmetric preconditioner; {type(chosen).__name__} is none: take GMRES()")
        return Prepared(self, A, space, _nothing if chosen is None else chosen.prepare(A))

    @abstractmethod
    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        """Iterate from `x` with its residual `r` (both may be overwritten) until `|r| <= target`, `[groups]`.

        A group whose residual is zero must be left alone.
        """

    @property
    def fixed_count(self) -> int | None:
        """The iterations of every solve, if they do not depend on the numbers; else None."""
        return None

    @property
    def name(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, eq=False)
class Prepared:
    """An operator with a method for it: `solve` as often as there are right-hand sides.

    Attributes:
        solver: the method.
        operator: A.
        space: how reductions are done.
        precondition: `r -> M r`.
    """

    solver: LinearSolver
    operator: LinearOperator
    space: Space
    precondition: Apply

    def solve(self, b: Tensor, x0: Tensor | None = None, *, rtol: float | Tensor) -> Solve:
        """Solve `A x = b`; gradients flow to b and to the tensors that A holds, by one solve with the adjoint.

        Args:
            b: right-hand sides, `[..., n, c]` or `[n]`.
            x0: where to start, of the same shape (default: zero). It gets no gradient.
            rtol: `|b - A x| <= rtol |b|` in every group; a number or `[groups]`.

        Returns:
            The `Solve`; look at its status.
        """
        if x0 is not None and x0.shape != b.shape:
            raise ValueError(f"x0 has shape {tuple(x0.shape)} and b {tuple(b.shape)}; expected the same")
        held = requiring_grad(self.operator)
        if not (torch.is_grad_enabled() and (b.requires_grad or held)):
            return self.iterate(b, x0, rtol)
        x, record = differentiable_solve(self, b, x0, rtol, held)
        return replace(record, x=x)

    def adjoint(self) -> Prepared:
        """The same for the conjugate transpose."""
        twin = self.operator.adjoint
        if twin is self.operator:
            return self
        turned = getattr(self.precondition, "adjoint", None)  # a factor serves for both
        return self.solver.prepare(twin, self.space) if turned is None else replace(self, operator=twin, precondition=turned)

    def hops(self, iterations: int) -> float:
        """How far an answer sees after so many iterations."""
        chosen = preconditioner_named(self.solver.preconditioner)
        reach = self.operator.hops + (0.0 if chosen is None else chosen.hops(self.operator))
        return iterations * self.solver.products_each * reach if iterations and reach else 0.0

    @torch.no_grad()
    def iterate(self, b: Tensor, x0: Tensor | None, rtol: float | Tensor) -> Solve:
        """The solve itself, outside autograd: cycles of the method with the true residual between them.

        Where the host may not look (see `host`), one cycle of a method with a fixed count; its residual is not known.
        """
        if not host_may_look(b):
            return self._unseen(b, x0)
        space, size = self.space, self.space.norm(b)
        x, r, products, iterations = torch.zeros_like(b), b.clone(), 0, 0
        if x0 is not None:
            x = x0 * space.spread(size > 0, b)  # a zero right-hand side has a zero solution, wherever one starts
            r, products = b - self.operator.matvec(x), 1
        target, before, cycle = rtol * size, math.inf, None
        while True:
            left = space.norm(r)
            share, residual = _shares(left, target, size)
            status = self._verdict(share, before, residual, iterations, cycle, b.dtype)
            if status is not None:
                message = self._message(status, iterations, residual, rtol)
                return Solve(x, iterations, products, residual, status, message, self.hops(iterations))
            if space.groups > 1:  # groups that are done stay as they are
                r = r * space.spread(left > target, r)
            cycle = self.solver.cycle(self, x, r, target, self.solver.max_iterations - iterations)
            x, iterations, products = cycle.x, iterations + cycle.iterations, products + cycle.products + 1
            r = b - self.operator.matvec(x)
            before = share

    def _unseen(self, b: Tensor, x0: Tensor | None) -> Solve:
        count = self.solver.fixed_count
        if count is None:
            raise ValueError(
                f"{self.solver.name} looks at its residual to know when to stop, which a captured CUDA graph cannot do. "
                "Take linear_solver=Chebyshev(degree=k) (k iterations each), or run this solve outside the capture"
            )
        x = torch.zeros_like(b) if x0 is None else x0.clone()
        r = b.clone() if x0 is None else b - self.operator.matvec(x)
        done = self.solver.cycle(self, x, r, torch.zeros_like(self.space.norm(b)), count)
        products = done.products + (x0 is not None)
        return Solve(done.x, done.iterations, products, math.nan, "ok", "not looked at", self.hops(done.iterations))

    def _verdict(
        self, share: float, before: float, residual: float, iterations: int, cycle: Cycle | None, dtype: torch.dtype
    ) -> SolveStatus | None:
        """The status if the solve is over; `share` and `before` are the residuals now and a cycle ago over the target."""
        if share <= 1:
            return "ok"
        if not math.isfinite(share) and not (math.isinf(share) and math.isfinite(residual)):
            return "nonfinite"
        if cycle is not None and cycle.claims and share > 0.5 * before:
            return "rounding" if residual <= torch.finfo(dtype).eps ** 0.5 else "stagnated"
        if cycle is not None and cycle.broken and (share >= before or cycle.iterations == 0):
            return "breakdown"
        return "iterations" if iterations >= self.solver.max_iterations else None

    def _message(self, status: SolveStatus, iterations: int, residual: float, rtol: float | Tensor) -> str:
        if status == "ok":
            return ""
        wanted = float(rtol.amin()) if isinstance(rtol, Tensor) else rtol
        did = {
            "rounding": "met the limit of this precision after",
            "iterations": "reached",
            "breakdown": "broke down after",
            "stagnated": "stagnated after",
            "nonfinite": "met values that are not finite after",
        }[status]
        text = f"{self.solver.name} {did} {iterations} iterations at relative residual {residual:.1e} (wanted {wanted:.1e})"
        return text + self._advice(status)

    def _advice(self, status: SolveStatus) -> str:
        if status == "breakdown":
            other = "GMRES()" if self.solver.name != "GMRES" else "a smaller dt"
            return f"; the operator may be indefinite or singular: try {other}"
        if status == "stagnated":
            return "; take float64, or a larger rtol"
        if status == "iterations":
            helps = self.solver.preconditioner is None and self.operator.diagonal() is not None
            return "; try " + ('preconditioner="jacobi", ' if helps else "") + "a smaller dt or a larger max_iterations"
        return ""


def _shares(left: Tensor, target: Tensor, size: Tensor) -> tuple[float, float]:
    """Largest residual over its target and over the size of b, in one transfer."""

    def largest(over: Tensor) -> Tensor:
        return torch.where(left == 0, torch.zeros_like(left), left / over).amax()

    if left.numel() == 0:
        return 0.0, 0.0
    share, residual = torch.stack([largest(target), largest(size)]).tolist()
    return share, residual


def _nothing(r: Tensor) -> Tensor:
    return r


def check_every(x: Tensor) -> int:
    """Iterations between two looks at the residual: a look at a GPU's number waits for all its work."""
    return 1 if x.device.type == "cpu" else 8
