"""Chebyshev's iteration: no inner products, and the number of products is known beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..operator import LinearOperator
from ..space import Space
from .preconditioners import chebyshev_steps
from .solver import Cycle, LinearSolver, Prepared


@dataclass(frozen=True)
class Chebyshev(LinearSolver):
    """Chebyshev's semi-iteration for symmetric positive definite operators whose bounds `0 < lo, hi` are known.

    After k steps the error is below `2 q^k / (1 + q^(2k))`, `q = (sqrt(hi/lo) - 1) / (sqrt(hi/lo) + 1)`: k follows from the
    tolerance, no reduction over the state is made on the way, and the answer is one and the same polynomial filter of b for
    every b.

    Args:
        degree: steps between two checks of the residual; None derives them from the tolerance. In a captured CUDA graph a
            solve is that many steps, and nothing is checked.

    Reference: Golub & Varga (1961) Numer. Math. 3, 147; Saad (2003) 12.3.2.
    """

    degree: int | None = None
    needs_symmetric = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.degree is not None and self.degree < 1:
            raise ValueError(f"degree = {self.degree}; expected at least 1, or None")
        if self.preconditioner is not None:
            raise ValueError("Chebyshev takes no preconditioner: it would need bounds of the preconditioned operator; take CG")

    def prepare(self, A: LinearOperator, space: Space) -> Prepared:
        lo, hi = A.bounds()
        if A.symmetric and not 0 < lo <= hi < math.inf:
            raise ValueError(
                f"Chebyshev needs positive, finite bounds of the spectrum; {type(A).__name__} has ({lo:.4g}, {hi:.4g}). Use "
                "CG() or MINRES(), or give the operator an interval"
            )
        return super().prepare(A, space)

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        lo, hi = on.operator.bounds()
        count = max(1, min(self.degree or self._needed(on, r, target, lo, hi), budget))
        x.add_(chebyshev_steps(on.operator, r, lo, hi, count)[0])
        return Cycle(x, count, count - 1, claims=True)

    @property
    def fixed_count(self) -> int | None:
        return self.degree

    def _needed(self, on: Prepared, r: Tensor, target: Tensor, lo: float, hi: float) -> int:
        """The steps that bring r to the target in every group."""
        wanted = (target / on.space.norm(r).clamp_min(1e-300)).clamp(max=1.0)
        positive = wanted[(wanted > 0) & (wanted < 1)]
        return chebyshev_count(lo, hi, float(positive.amin()) if len(positive) else 1e-16)


def chebyshev_count(lo: float, hi: float, share: float) -> int:
    """Steps after which the residual has fallen to a share of itself, for certain."""
    root = math.sqrt(hi / lo)
    q = (root - 1) / (root + 1)
    return max(1, math.ceil(math.acosh(max(1.0 / share, 1.0)) / -math.log(q))) if q > 0 else 1
