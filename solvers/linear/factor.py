"""Factors of an assembled matrix, applied to states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ..operator import LinearOperator


def assembled(A: LinearOperator) -> sparse.csc_array:
    """The matrix of an operator in compressed columns, double precision."""
    with torch.no_grad():
        matrix = A.to_scipy()
    return sparse.csc_array(matrix.astype(np.complex128 if np.iscomplexobj(matrix) else np.float64))


@dataclass(frozen=True, eq=False)
class Factor:
    """`(L U)^-1` (or its adjoint) applied to every column of a state; to the whole state where columns are mixed.

    Args:
        lu: scipy's SuperLU object.
        columnwise: whether the same matrix acts on every column.
        transposed: whether this is `(L U)^-H`.
    """

    lu: Any
    columnwise: bool
    transposed: bool = False

    @property
    def adjoint(self) -> Factor:
        return Factor(self.lu, self.columnwise, not self.transposed)

    def __call__(self, r: Tensor) -> Tensor:
        rows = r.reshape(-1, 1) if r.dim() == 1 or not self.columnwise else r.movedim(-2, 0).reshape(r.shape[-2], -1)
        b: Any = rows.detach().cpu().numpy()
        real = np.iscomplexobj(b) and self.lu.U.dtype.kind != "c"
        x = self._solve(b.real) + 1j * self._solve(b.imag) if real else self._solve(b)
        out = torch.from_numpy(np.ascontiguousarray(x)).to(r)
        if r.dim() == 1 or not self.columnwise:
            return out.reshape(r.shape)
        others = [*r.shape[:-2], r.shape[-1]]
        return out.reshape(r.shape[-2], *others).movedim(0, -2)

    def _solve(self, b: np.ndarray) -> np.ndarray:
        kind = np.complex128 if self.lu.U.dtype.kind == "c" else np.float64
        return self.lu.solve(np.ascontiguousarray(b, dtype=kind), "H" if self.transposed else "N")
