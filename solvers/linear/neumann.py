"""The truncated Neumann series: a filter over so many hops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..operator import LinearOperator
from ..space import Space
from .recurrence import polynomials
from .series import Series
from .solver import Cycle, LinearSolver, Prepared, Solve


@dataclass(frozen=True)
class Neumann(LinearSolver):
    """`x = sum_{k <= hops} M^k b` with `M = I - A`: the K-hop truncation of `A^-1 = (I - M)^-1`.

    This is a filter, not a solver to a tolerance: x is this polynomial of A applied to b, whatever the residual, no entry
    sees further than `hops` products, and the gradient is that of the polynomial. The residual `|M^(hops + 1) b| / |b|` is
    reported, and the status is "iterations" where it is above rtol. It converges if the spectral radius of M is below 1.

    Args:
        hops: K.

    Reference: Neumann (1877); as a graph filter: Klicpera, Bojchevski & Guennemann (2019) ICLR (personalised PageRank).
    """

    hops: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hops < 0:
            raise ValueError(f"hops = {self.hops}; expected 0 or more")
        if self.preconditioner is not None:
            raise ValueError("Neumann takes no preconditioner: it would be another filter")

    def prepare(self, A: LinearOperator, space: Space) -> Prepared:
        super().prepare(A, space)
        if not A.columnwise:
            raise ValueError(f"Neumann needs an operator on columns; {type(A).__name__} mixes them")
        return PreparedFilter(self, A, space, _same)

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        filtered = polynomials(on.operator, self.series(), [r])[0]
        return Cycle(x + filtered, self.hops, self.hops, claims=True)

    def series(self) -> Series:
        """`sum_k X^k` with `X = I - A`."""
        return Series(True, 1.0, -1.0, np.ones((1, 1, self.hops + 1)))


@dataclass(frozen=True, eq=False)
class PreparedFilter(Prepared):
    """An operator with the filter: `solve` applies it; where one starts makes no difference."""

    def solve(self, b: Tensor, x0: Tensor | None = None, *, rtol: float | Tensor) -> Solve:
        return self.iterate(b, x0, rtol)

    def iterate(self, b: Tensor, x0: Tensor | None, rtol: float | Tensor) -> Solve:
        """The filter; `x0` is not used, and gradients flow through the polynomial."""
        if x0 is not None and x0.shape != b.shape:
            raise ValueError(f"x0 has shape {tuple(x0.shape)} and b {tuple(b.shape)}; expected the same")
        chosen = self.solver
        if not isinstance(chosen, Neumann):
            raise TypeError(f"a filter is prepared by Neumann; got {chosen.name}")
        hops = chosen.hops
        x = polynomials(self.operator, chosen.series(), [b])[0]
        with torch.no_grad():
            size, left = self.space.norm(b), self.space.norm(b - self.operator.matvec(x))
            share = torch.where(left == 0, torch.zeros_like(left), left / size)
            residual, met = float(share.amax()), bool((share <= rtol).all())
        finite = np.isfinite(residual)
        status = "ok" if met else "iterations" if finite else "nonfinite"
        message = (
            "" if met else f"Neumann({hops}) is the filter over {hops} hops; it leaves a relative residual of {residual:.1e}"
        )
        return Solve(x, hops, hops + 1, residual, status, message, hops * self.operator.hops)


def _same(r: Tensor) -> Tensor:
    return r
