"""What operators made of a graph have in common: one sparse matrix, one product."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from scipy import sparse
from torch import Tensor

from solvers import LinearOperator, SparseOperator


@dataclass(frozen=True, eq=False, init=False, repr=False)
class GraphOperator(LinearOperator):
    """A linear operator on a graph that is one sparse matrix; subclasses say which, and what is known of it.

    Attributes:
        matrix: the matrix, on a pattern that the graph keeps; its values may need a gradient.
    """

    matrix: SparseOperator

    def __init__(self, matrix: SparseOperator):
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    @abstractmethod
    def example(cls) -> Self:
        """A small one, for the contract tests."""

    def __repr__(self) -> str:
        rows, cols = self.shape
        return f"{type(self).__name__}({rows} x {cols}, {len(self.matrix.pattern)} entries, {str(self.dtype)[6:]})"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.matrix.shape

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.matrix.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.matrix.device

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return self.matrix.symmetric

    @property
    def semidefinite(self) -> bool:  # type: ignore[override]
        return self.matrix.semidefinite

    @property
    def metzler(self) -> bool:  # type: ignore[override]
        return self.matrix.metzler

    def matvec(self, x: Tensor) -> Tensor:
        return self.matrix.matvec(x)

    @property
    def adjoint(self) -> LinearOperator:
        return self if self.symmetric else self.matrix.adjoint

    def diagonal(self) -> Tensor | None:
        return self.matrix.diagonal()

    def bounds(self) -> tuple[float, float]:
        return self.matrix.bounds()

    def to_scipy(self) -> sparse.csr_array:
        return self.matrix.to_scipy()
