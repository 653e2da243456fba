"""Operators whose matrix is stored: the identity, a diagonal, a dense matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..operator import LinearOperator


@dataclass(frozen=True, eq=False)
class Identity(LinearOperator):
    """`A x = x`."""

    size: int
    dtype: torch.dtype = torch.float64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    symmetric = semidefinite = metzler = is_diagonal = True
    hops = 0.0

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.size, self.size

    def matvec(self, x: Tensor) -> Tensor:
        return x

    @property
    def adjoint(self) -> LinearOperator:
        return self

    def diagonal(self) -> Tensor:
        return torch.ones(self.size, dtype=self.dtype, device=self.device)

    def bounds(self) -> tuple[float, float]:
        return 1.0, 1.0


@dataclass(frozen=True, eq=False)
class Diagonal(LinearOperator):
    """`A x = d * x`, row by row; `d` of shape `[n]`."""

    values: Tensor
    metzler = is_diagonal = True
    hops = 0.0

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return len(self.values), len(self.values)

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.values.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.values.device

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return not self.values.is_complex()

    @cached_property
    def semidefinite(self) -> bool:  # type: ignore[override]
        return self.symmetric and bool((self.values >= 0).all())

    def matvec(self, x: Tensor) -> Tensor:
        return self.values * x if x.dim() == 1 else self.values.unsqueeze(-1) * x

    @property
    def adjoint(self) -> LinearOperator:
        return Diagonal(self.values.conj()) if self.values.is_complex() else self

    def diagonal(self) -> Tensor:
        return self.values

    def bounds(self) -> tuple[float, float]:
        real = self.values.detach().real if self.values.is_complex() else self.values.detach()
        return float(real.min()), float(real.max())


@dataclass(frozen=True, eq=False)
class Dense(LinearOperator):
    """A matrix that is stored, `[rows, columns]`: for small systems and for tests."""

    matrix: Tensor
    symmetric: bool = False
    semidefinite: bool = False
    hops = float("inf")

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.matrix.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.matrix.device

    def matvec(self, x: Tensor) -> Tensor:
        return self.matrix @ x

    @property
    def adjoint(self) -> LinearOperator:
        return self if self.symmetric else Dense(self.matrix.mH)

    def diagonal(self) -> Tensor:
        return self.matrix.diagonal()

    def bounds(self) -> tuple[float, float]:
        m = self.matrix.detach()
        m = (m + m.mH) / 2  # numerical range: contains the real part of every eigenvalue
        e = torch.linalg.eigvalsh(m)
        return float(e[0]), float(e[-1])
