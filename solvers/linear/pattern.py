"""Where the entries of a sparse matrix are: sorted and transposed once, shared by every operator on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Compressed:
    """Row-compressed order of a pattern: entry `order[k]` of the pattern is the k-th stored one."""

    pointers: Tensor  # [rows + 1]
    columns: Tensor  # [entries]
    rows: Tensor  # [entries]
    order: Tensor | None  # [entries], None if the entries come sorted already

    @cached_property
    def place(self) -> Tensor | None:
        """Where entry k of the pattern is stored, `[entries]`: the inverse of `order`."""
        if self.order is None:
            return None
        return torch.empty_like(self.order).scatter_(0, self.order, torch.arange(len(self.order), device=self.order.device))


@dataclass(frozen=True, eq=False)
class Pattern:
    """The positions `(rows[k], cols[k])` of the entries of a sparse matrix, in the user's order; repeats add up.

    Args:
        rows, cols: `[entries]`, int64.
        num_rows, num_cols: size of the matrix.
    """

    rows: Tensor
    cols: Tensor
    num_rows: int
    num_cols: int

    @cached_property
    def by_row(self) -> Compressed:
        """Sorted by row, then column (CSR)."""
        return _compress(self.rows, self.cols, self.num_rows, self.num_cols)

    @cached_property
    def transposed(self) -> Pattern:
        """The pattern of the transpose; its entries are in the same order as here."""
        twin = Pattern(self.cols, self.rows, self.num_cols, self.num_rows)
        twin.__dict__["transposed"] = self
        return twin

    @cached_property
    def on_diagonal(self) -> Tensor:
        """Which entries stand on the diagonal."""
        return (self.rows == self.cols).nonzero().squeeze(1)

    @cached_property
    def one_per_diagonal(self) -> Tensor | None:
        """An entry at each place of the diagonal, `[rows]`; None if some place has none."""
        found = torch.full((self.num_rows,), -1, dtype=torch.int64, device=self.rows.device)
        found[self.rows[self.on_diagonal]] = self.on_diagonal
        return None if self.num_rows != self.num_cols or bool((found < 0).any()) else found

    def __len__(self) -> int:
        return self.rows.numel()


def _compress(rows: Tensor, cols: Tensor, num_rows: int, num_cols: int) -> Compressed:
    key = rows * max(num_cols, 1) + cols
    order: Tensor | None = None
    if key.numel() > 1 and not bool((key[1:] >= key[:-1]).all()):
        order = torch.argsort(key, stable=True)
        rows, cols = rows[order], cols[order]
    pointers = torch.zeros(num_rows + 1, dtype=torch.int64, device=rows.device)
    torch.cumsum(torch.bincount(rows, minlength=num_rows), 0, out=pointers[1:])
    return Compressed(pointers, cols.contiguous(), rows.contiguous(), order)
