"""Linear operators and their algebra: what a solver may know of a matrix without seeing one.

An operator acts on axis -2 of `[..., n, c]` (`[n]` is taken as one column): every column is multiplied by the same matrix.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from .memory import refuse_dense


class LinearOperator(ABC):
    """A linear map `y = A x` on axis -2.

    Attributes:
        shape: `(rows, columns)`.
        symmetric: A equals its conjugate transpose.
        semidefinite: symmetric with no negative eigenvalue.
        metzler: no negative entry off the diagonal (exp(tA) then keeps signs).
        columnwise: the same matrix acts on every column; False if columns are mixed (a Jacobian over channels).
        is_diagonal: nothing stands off the diagonal.
        hops: how far a product sees along the edges of the sparsity pattern; infinite for a full matrix.
    """

    shape: tuple[int, int]
    dtype: torch.dtype
    device: torch.device
    symmetric: bool = False
    semidefinite: bool = False
    metzler: bool = False
    columnwise: bool = True
    is_diagonal: bool = False
    hops: float = 1.0

    @abstractmethod
    def matvec(self, x: Tensor) -> Tensor:
        """`A x` for `x` of shape `[..., columns, c]` or `[columns]`."""

    @property
    @abstractmethod
    def adjoint(self) -> LinearOperator:
        """The conjugate transpose."""

    def diagonal(self) -> Tensor | None:
        """The diagonal, `[n]`, or None where it is not known cheaply."""
        return None

    def bounds(self) -> tuple[float, float]:
        """An interval that contains the real part of every eigenvalue; infinite ends where nothing is known."""
        return (0.0 if self.semidefinite else -np.inf), np.inf

    def to_dense(self) -> Tensor:
        """The matrix, `[rows, columns]`; a MemoryError where it does not fit."""
        refuse_dense(f"A {type(self).__name__}", self.shape, self.dtype, self.device)
        return self.matvec(torch.eye(self.shape[1], dtype=self.dtype, device=self.device))

    def to_scipy(self) -> sparse.csr_array:
        """The matrix as a scipy CSR array (on the CPU)."""
        return sparse.csr_array(self.to_dense().detach().cpu().numpy())

    def __call__(self, x: Tensor) -> Tensor:
        return self.matvec(x)

    def __matmul__(self, other: Tensor | LinearOperator) -> Tensor | LinearOperator:
        return self.matvec(other) if isinstance(other, Tensor) else Product(self, _fitting(self, other, product=True))

    def __add__(self, other: LinearOperator) -> LinearOperator:
        return Sum(self, _fitting(self, other))

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return Sum(self, Scaled(_fitting(self, other), -1.0))

    def __mul__(self, scale: float | Tensor) -> LinearOperator:
        return Scaled(self, scale)

    __rmul__ = __mul__

    def __neg__(self) -> LinearOperator:
        return Scaled(self, -1.0)


class Wrapping(LinearOperator):
    """An operator made of one other, of the same shape."""

    operator: LinearOperator

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.operator.shape

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.operator.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.operator.device

    @property
    def columnwise(self) -> bool:  # type: ignore[override]
        return self.operator.columnwise

    @property
    def hops(self) -> float:  # type: ignore[override]
        return self.operator.hops


class _Pair(LinearOperator):
    """An operator made of two others."""

    left: LinearOperator
    right: LinearOperator

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.left.shape[0], self.right.shape[1]

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return torch.promote_types(self.left.dtype, self.right.dtype)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.left.device

    @property
    def columnwise(self) -> bool:  # type: ignore[override]
        return self.left.columnwise and self.right.columnwise


@dataclass(frozen=True, eq=False)
class Scaled(Wrapping):
    """`c A`; `c` a number or a scalar tensor (which may need a gradient).

    Args:
        operator: A.
        scale: c.
        matrix: `c A` as one operator, made of the same tensors, where that is at hand: products are then made with it.
    """

    operator: LinearOperator
    scale: complex | Tensor
    matrix: LinearOperator | None = None

    @property
    def apart(self) -> Scaled:
        """The same with products in two factors: what needs a gradient is then in A and c alone."""
        inner = self.operator.apart if isinstance(self.operator, Scaled) else self.operator
        return self if self.matrix is None and inner is self.operator else Scaled(inner, self.scale)

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return self.operator.symmetric and not isinstance(_number(self.scale), complex)

    @property
    def semidefinite(self) -> bool:  # type: ignore[override]
        return self.symmetric and self.operator.semidefinite and _number(self.scale).real >= 0

    @property
    def is_diagonal(self) -> bool:  # type: ignore[override]
        return self.operator.is_diagonal

    @property
    def metzler(self) -> bool:  # type: ignore[override]
        c = _number(self.scale)
        return self.operator.metzler and not isinstance(c, complex) and (c >= 0 or self.is_diagonal)

    def matvec(self, x: Tensor) -> Tensor:
        return self.scale * self.operator.matvec(x) if self.matrix is None else self.matrix.matvec(x)

    def to_scipy(self) -> sparse.csr_array:
        return sparse.csr_array(_number(self.scale) * self.operator.to_scipy())

    @property
    def adjoint(self) -> LinearOperator:
        c = self.scale
        matrix = None if self.matrix is None else self.matrix.adjoint
        return Scaled(self.operator.adjoint, c.conj() if isinstance(c, Tensor) else c.conjugate(), matrix)

    def diagonal(self) -> Tensor | None:
        d = self.operator.diagonal()
        return None if d is None else self.scale * d

    def bounds(self) -> tuple[float, float]:
        c = _number(self.scale)
        if isinstance(c, complex):
            return -np.inf, np.inf
        if c == 0:
            return 0.0, 0.0
        lo, hi = (c * b for b in self.operator.bounds())
        return min(lo, hi), max(lo, hi)


@dataclass(frozen=True, eq=False)
class Sum(_Pair):
    """`A + B`."""

    left: LinearOperator
    right: LinearOperator

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return self.left.symmetric and self.right.symmetric

    @property
    def semidefinite(self) -> bool:  # type: ignore[override]
        return self.left.semidefinite and self.right.semidefinite

    @property
    def metzler(self) -> bool:  # type: ignore[override]
        return self.left.metzler and self.right.metzler

    def matvec(self, x: Tensor) -> Tensor:
        return self.left.matvec(x) + self.right.matvec(x)

    @property
    def hops(self) -> float:  # type: ignore[override]
        return max(self.left.hops, self.right.hops)

    def to_scipy(self) -> sparse.csr_array:
        return sparse.csr_array(self.left.to_scipy() + self.right.to_scipy())

    @property
    def adjoint(self) -> LinearOperator:
        return Sum(self.left.adjoint, self.right.adjoint)

    def diagonal(self) -> Tensor | None:
        a, b = self.left.diagonal(), self.right.diagonal()
        return None if a is None or b is None else a + b

    def bounds(self) -> tuple[float, float]:
        if not self.symmetric:  # real parts of eigenvalues do not add up for non-normal operators
            return super().bounds()
        (a, b), (c, d) = self.left.bounds(), self.right.bounds()
        return a + c, b + d


@dataclass(frozen=True, eq=False)
class Product(_Pair):
    """`A B` (B acts first)."""

    left: LinearOperator
    right: LinearOperator

    def matvec(self, x: Tensor) -> Tensor:
        return self.left.matvec(self.right.matvec(x))

    @property
    def hops(self) -> float:  # type: ignore[override]
        return self.left.hops + self.right.hops

    def to_scipy(self) -> sparse.csr_array:
        return sparse.csr_array(self.left.to_scipy() @ self.right.to_scipy())

    @property
    def adjoint(self) -> LinearOperator:
        return Product(self.right.adjoint, self.left.adjoint)


def _number(c: complex | Tensor) -> float | complex:
    return c.detach().item() if isinstance(c, Tensor) else c


def _fitting(a: LinearOperator, b: LinearOperator, product: bool = False) -> LinearOperator:
    if (a.shape[1] != b.shape[0]) if product else (a.shape != b.shape):
        what = "multiplied: inner sizes must agree" if product else "added: both must have one shape"
        raise ValueError(f"operators of shapes {a.shape} and {b.shape} cannot be {what}")
    return b
