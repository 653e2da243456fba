"""A sparse matrix as a linear operator, on the kernel layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ..operator import LinearOperator
from .kernels import in_row_order, spmm
from .pattern import Pattern


@dataclass(frozen=True, eq=False)
class SparseOperator(LinearOperator):
    """`y_i = sum over entries k in row i of values_k x_{cols_k}`; gradients flow to `values` and to `x`.

    Args:
        pattern: where the entries are (sorted and transposed once, shared).
        values: the entries, `[entries]`, in the pattern's order.
        symmetric, semidefinite, metzler: what the caller guarantees of the matrix.
        interval: real parts of all eigenvalues lie in it, if the caller knows a better one than Gershgorin's.
    """

    pattern: Pattern
    values: Tensor
    symmetric: bool = False
    semidefinite: bool = False
    metzler: bool = False
    interval: tuple[float, float] | None = None

    @staticmethod
    def from_edges(
        edge_index: Tensor, values: Tensor, size: int | tuple[int, int], *, symmetric: bool = False
    ) -> SparseOperator:
        """The operator `y_i = sum over edges j -> i of values x_j`.

        Args:
            edge_index: `[2, edges]`, source row first (as in PyG): edge `(j, i)` is the entry in row i, column j.
            values: `[edges]`.
            size: number of nodes, or `(rows, columns)`.
            symmetric: the caller's guarantee that the matrix is symmetric.
        """
        if edge_index.dim() != 2 or edge_index.shape[0] != 2:
            raise ValueError(f"edge_index has shape {tuple(edge_index.shape)}; expected (2, edges)")
        if values.shape != edge_index.shape[1:]:
            raise ValueError(f"values has shape {tuple(values.shape)}; expected one per edge, ({edge_index.shape[1]},)")
        rows, cols = (size, size) if isinstance(size, int) else size
        return SparseOperator(Pattern(edge_index[1], edge_index[0], rows, cols), values, symmetric=symmetric)

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.pattern.num_rows, self.pattern.num_cols

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.values.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.values.device

    @cached_property
    def _stored(self) -> Tensor:
        return in_row_order(self.pattern, self.values.detach())

    def matvec(self, x: Tensor) -> Tensor:
        n = x.shape[0] if x.dim() == 1 else x.shape[-2]
        if n != self.shape[1]:
            raise ValueError(f"operand has {n} rows on axis -2 (shape {tuple(x.shape)}); expected {self.shape[1]}")
        return spmm(self.pattern, self.values, x, self._stored)

    @property
    def adjoint(self) -> LinearOperator:
        if self.symmetric:
            return self
        recorded = torch.is_grad_enabled() and self.values.requires_grad and self.values.is_complex()
        return self._recorded_adjoint if recorded else self._adjoint

    @cached_property
    def _adjoint(self) -> SparseOperator:
        return self._turned()

    @cached_property
    def _recorded_adjoint(self) -> SparseOperator:
        return self._turned()  # conjugate values that were made without a record have no gradient: they are kept apart

    def _turned(self) -> SparseOperator:
        values = self.values.conj().resolve_conj() if self.values.is_complex() else self.values
        twin = SparseOperator(self.pattern.transposed, values, metzler=self.metzler, interval=self.interval)
        vars(twin)["_adjoint"] = vars(twin)["_recorded_adjoint"] = self
        return twin

    def affine(self, gain: float, shift: float) -> SparseOperator | None:
        """`gain A + shift I` as one matrix on the same pattern; None if that lacks an entry of the diagonal."""
        at = self.pattern.one_per_diagonal
        if at is None:
            return None
        values = self.values * gain
        return SparseOperator(self.pattern, values.index_add(0, at, values.new_full(at.shape, shift)), self.symmetric)

    def diagonal(self) -> Tensor:
        on = self.pattern.on_diagonal
        zero = self.values.new_zeros(min(self.shape))
        return zero.index_add(0, self.pattern.rows[on], self.values[on])

    @cached_property
    def _gershgorin(self) -> tuple[float, float]:
        v, p = self.values.detach(), self.pattern
        real = v.real if v.is_complex() else v
        off = p.rows != p.cols
        centre = real.new_zeros(p.num_rows).index_add(0, p.rows[~off], real[~off])
        radius = real.new_zeros(p.num_rows).index_add(0, p.rows[off], v.abs()[off])
        lo, hi = float((centre - radius).min()), float((centre + radius).max())
        return (max(lo, 0.0) if self.semidefinite else lo), hi

    def bounds(self) -> tuple[float, float]:
        if self.interval is not None:
            return self.interval
        return self._gershgorin if self.pattern.num_rows else (0.0, 0.0)

    def to_scipy(self) -> sparse.csr_array:
        p = self.pattern
        at = (p.rows.cpu().numpy(), p.cols.cpu().numpy())
        return sparse.coo_array((np.asarray(self.values.detach().cpu()), at), shape=self.shape).tocsr()
