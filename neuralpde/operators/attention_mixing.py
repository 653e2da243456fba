"""Attention of several heads that mixes channels, and the relaxation towards what an operator makes of a state."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solvers import LinearOperator, Pattern, spmm

from .attention_weights import layout_of


@dataclass(frozen=True, eq=False)
class ChannelMixing(LinearOperator):
    """`B x = (1/H) sum_h A_h x V_h' O'`: each head moves what its V_h makes of the channels, O brings it back.

    Linear in x; it mixes channels. The values of all heads, `[N, H d]`, are made, nothing of size edges x channels.

    Args:
        pattern: of the A_h, sorted by row.
        weights: their entries, `[entries, H]`.
        value: V, `[H d, C]`, the rows of a head side by side.
        out: O, `[C, d]`.
        turned: this is the adjoint, `(1/H) sum_h A_h' x O V_h`.
    """

    pattern: Pattern
    weights: Tensor
    value: Tensor
    out: Tensor
    turned: bool = False
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.pattern.num_rows, self.pattern.num_cols

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.weights.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.weights.device

    def matvec(self, x: Tensor) -> Tensor:
        heads = self.weights.shape[1]
        layout = layout_of(self.pattern, heads)
        entries = layout.by_head(self.weights)
        if self.turned:
            y = (x @ (self.out / heads)).unsqueeze(-2)
            y = y.expand(*y.shape[:-2], heads, y.shape[-1]).flatten(-3, -2)
            return spmm(layout.pattern.transposed, entries, y).unflatten(-2, (-1, heads)).flatten(-2) @ self.value
        z = (x @ self.value.mT).unflatten(-1, (heads, -1)).flatten(-3, -2)
        return spmm(layout.pattern, entries, z).unflatten(-2, (-1, heads)).mean(-2) @ self.out.mT

    @property
    def adjoint(self) -> LinearOperator:
        return replace(self, turned=not self.turned)

    def bounds(self) -> tuple[float, float]:
        """By `|O| mean_h |V_h|`: the A_h are row- or column-stochastic, so in modulus no eigenvalue is larger."""
        by_head = self.value.detach().unflatten(0, (self.weights.shape[1], -1))
        size = float(torch.linalg.matrix_norm(self.out.detach(), 2) * torch.linalg.matrix_norm(by_head, 2).mean())
        return -size, size


@dataclass(frozen=True, eq=False)
class Relaxation(LinearOperator):
    """`rate (B - I)`, with a rate for each channel or one for all.

    Args:
        operator: B.
        rate: `[C]`, or a scalar tensor; not negative.
        turned: this is the adjoint, whose rate comes first.
    """

    operator: LinearOperator
    rate: Tensor
    turned: bool = False
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.operator.shape

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.operator.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.operator.device

    def matvec(self, x: Tensor) -> Tensor:
        if self.turned:
            z = self.rate * x
            return self.operator.matvec(z) - z
        return self.rate * (self.operator.matvec(x) - x)

    @property
    def adjoint(self) -> LinearOperator:
        return Relaxation(self.operator.adjoint, self.rate, not self.turned)

    def bounds(self) -> tuple[float, float]:
        low, high = self.operator.bounds()
        rate = float(self.rate.detach().max()) if self.rate.numel() else 0.0
        if not self.operator.columnwise and self.rate.dim():  # no common eigenvectors: by the norm
            size = 1 + max(abs(low), abs(high))
            return -rate * size, rate * size
        return min(rate * (low - 1), 0.0), max(rate * (high - 1), 0.0)
