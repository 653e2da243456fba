"""The matrix of an implicit step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import sparse
from torch import Tensor

from .operator import LinearOperator, Wrapping


@dataclass(frozen=True, eq=False)
class Shifted(Wrapping):
    """`a I + b A`: the matrix of an implicit step (`a = 1, b = -dt`)."""

    operator: LinearOperator
    a: float
    b: float

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return self.operator.symmetric

    @property
    def semidefinite(self) -> bool:  # type: ignore[override]
        return self.symmetric and self.bounds()[0] >= 0

    def matvec(self, x: Tensor) -> Tensor:
        y = self.operator.matvec(x)
        return torch.add(x if self.a == 1 else self.a * x, y, alpha=self.b)

    def to_scipy(self) -> sparse.csr_array:
        matrix = self.operator.to_scipy()
        return sparse.csr_array(self.a * sparse.eye_array(self.shape[0], dtype=matrix.dtype) + self.b * matrix)

    @property
    def adjoint(self) -> LinearOperator:
        return self if self.symmetric else Shifted(self.operator.adjoint, self.a, self.b)

    def diagonal(self) -> Tensor | None:
        d = self.operator.diagonal()
        return None if d is None else self.a + self.b * d

    def bounds(self) -> tuple[float, float]:
        if self.b == 0:
            return self.a, self.a
        lo, hi = (self.a + self.b * e for e in self.operator.bounds())
        return min(lo, hi), max(lo, hi)
