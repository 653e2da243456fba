"""Where the numbers of several heads of attention stand: a pattern repeated for each head."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from solvers import Pattern, segment_softmax, segment_sum


@dataclass(frozen=True, eq=False)
class HeadLayout:
    """A pattern sorted by row, repeated for each head between the rows `i H + h` of queries and keys.

    Args:
        rows: `[E]`, of the entries in order.
        bags: pointers `[N + 1]` and the numbers of the entries `[E]`: what sums over rows.
        pattern: of the heads, sorted: row by row, head by head, entry by entry.
        heads: H.
        here, back: where `(e, h)` stands in `pattern`, `[E H]`, and the inverse; None for one head.
    """

    rows: Tensor
    bags: tuple[Tensor, Tensor]
    pattern: Pattern
    heads: int
    here: Tensor | None
    back: Tensor | None

    @staticmethod
    def of(pattern: Pattern, heads: int) -> HeadLayout:
        """The layout of a pattern; entries are numbered in its row-compressed order."""
        c = pattern.by_row
        entries = torch.arange(len(pattern), device=c.rows.device)
        bags = (c.pointers, entries)
        if heads == 1:
            sorted_pattern = Pattern(c.rows, c.columns, pattern.num_rows, pattern.num_cols)
            return HeadLayout(c.rows, bags, sorted_pattern, 1, None, None)
        head = torch.arange(heads, device=c.rows.device)
        start, count = c.pointers[:-1], c.pointers.diff()
        here = (((heads - 1) * start[c.rows] + entries).unsqueeze(1) + count[c.rows].unsqueeze(1) * head).reshape(-1)
        back = torch.empty_like(here).scatter_(0, here, torch.arange(len(here), device=here.device))
        rows = (c.rows.unsqueeze(1) * heads + head).reshape(-1)[back]
        cols = (c.columns.unsqueeze(1) * heads + head).reshape(-1)[back]
        many = Pattern(rows, cols, pattern.num_rows * heads, pattern.num_cols * heads)
        return HeadLayout(c.rows, bags, many, heads, here, back)

    def by_entry(self, x: Tensor) -> Tensor:
        """`[H E]` in the order of `pattern` as `[E, H]`."""
        return (x if self.here is None else x.index_select(0, self.here)).view(-1, self.heads)

    def by_head(self, x: Tensor) -> Tensor:
        """`[E, H]` in the order of `pattern`, `[H E]`."""
        return x.reshape(-1) if self.back is None else x.reshape(-1).index_select(0, self.back)

    @property
    def on_cuda(self) -> bool:
        """Whether sums and softmax over rows go segment by segment: no atomics, and the same result in every run."""
        return self.rows.is_cuda

    def softmax(self, x: Tensor) -> Tensor:
        """`exp(x) / sum over the row of exp(x)`, `[E, H]`, segment by segment."""
        return segment_softmax(self.bags[0], self.rows, x)

    def row_sums(self, x: Tensor) -> Tensor:
        """The sums over rows, `[E, H] -> [N, H]`."""
        pointers, entries = self.bags
        if not self.on_cuda and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and len(entries):
            return F.embedding_bag(entries, x, pointers, mode="sum", include_last_offset=True)
        if self.on_cuda:
            return segment_sum(pointers, x)
        return x.new_zeros(len(pointers) - 1, x.shape[1]).index_add_(0, self.rows, x)


_LAYOUTS: WeakKeyDictionary[Pattern, dict[int, HeadLayout]] = WeakKeyDictionary()


def layout_of(pattern: Pattern, heads: int) -> HeadLayout:
    """The layout of a pattern, made once."""
    made = _LAYOUTS.setdefault(pattern, {})
    if heads not in made:
        made[heads] = HeadLayout.of(pattern, heads)
    return made[heads]
