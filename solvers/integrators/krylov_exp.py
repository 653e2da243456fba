"""The exact flow of any linear field, by Krylov spaces and sub-steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import IntegrationError
from ..linear.krylov import Basis, krylov_basis, krylov_functions, largest_ratio
from ..linear.phi import exponential, integral
from ..protocols import LinearFlow, Problem, Work
from .exact_flow import ExactFlow

_MOST = 100_000  # sub-steps
_SHARE = 0.1  # of the tolerance: the error is an estimate, not a bound


@dataclass(frozen=True)
class KrylovExp(ExactFlow):
    """`exp(t A) y = |y| V exp(t H) e_1` with V, H from Lanczos's (symmetric A) or Arnoldi's iteration, for any operator.

    Exact to the tolerance (order: infinite): the space grows until the estimated residual is small enough; if that takes
    more than `dimension` products, the basis serves the longest sub-step that it is good for. A source enters through
    `y + t phi_1(t A)(A y + s)`. Output times inside a sub-step cost nothing. Gradients in closed form by a second basis of
    the adjoint operator; memory: one state for each sub-step, and two bases.

    Args:
        dimension: largest dimension of a Krylov space.

    Reference: Saad (1992) SIAM J. Numer. Anal. 29, 209; Hochbruck & Lubich (1997) SIAM J. Numer. Anal. 34, 1911; Sidje (1998)
    ACM TOMS 24, 130.
    """

    dimension: int = 40
    real_stability = imaginary_stability = float("inf")

    def __post_init__(self) -> None:
        if self.dimension < 2:
            raise ValueError(f"dimension = {self.dimension}; expected at least 2")

    def states(self, problem: Problem, flow: LinearFlow, spans: Sequence[float], y: Tensor) -> tuple[Tensor, Work]:
        A, source, space = flow.operator, flow.source, problem.space
        function = exponential if source is None else integral
        out: list[Tensor] = []
        now, size, sign, products = 0.0, space.norm(y.detach()), (1.0 if spans[-1] >= 0 else -1.0), 0
        if source is not None:
            size = torch.maximum(size, abs(spans[-1]) * space.norm(source.detach().expand_as(y)))
        for _ in range(_MOST):
            start = y if source is None else A.matvec(y) + source
            left = abs(spans[-1]) - now
            tolerance = _SHARE * problem.rtol * size * left / abs(spans[-1])
            basis = krylov_basis(A, start, space, function(sign * left), tolerance, self.dimension)
            products += len(basis.vectors) - 1 + (source is not None)
            step = self._reach(basis, function, sign, left, _SHARE * problem.rtol * size / abs(spans[-1]))
            end = abs(spans[-1]) if step == left else now + step
            inside = [abs(s) - now for s in spans[len(out) :] if abs(s) <= end]
            taken = [*inside, step] if not inside or inside[-1] < step else inside
            functions = [function(sign * s) for s in taken]
            ys = krylov_functions(A, space, functions, start, basis, problem.rtol, self._back(basis))
            ys = ys if source is None else ys + y
            out.extend(ys[: len(inside)])
            if len(out) == len(spans):
                return torch.stack(out), Work(products=products)
            y, now = ys[-1], end
        raise IntegrationError(f"KrylovExp: {_MOST} sub-steps were not enough; take a larger dimension", "linear")

    def _back(self, basis: Basis) -> int:
        """The adjoint needs about the dimension that the flow needed, and may take half as much again."""
        return max(3 * len(basis.vectors) // 2, 8)

    def _reach(self, basis: Basis, function, sign: float, left: float, per_time: Tensor) -> float:
        """The longest sub-step whose estimated error is its share of the tolerance."""
        step, limit = left, per_time.double().cpu()
        for _ in range(200):
            ratio = largest_ratio(basis.error(function(sign * step)), limit * step)
            if ratio <= 1 or basis.is_invariant:
                return step
            step *= min(max(0.9 * ratio ** (-1.0 / len(basis.vectors)), 0.1), 0.9)
        raise IntegrationError("KrylovExp: no sub-step meets the tolerance; take a larger rtol", "linear")
