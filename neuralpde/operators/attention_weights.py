"""The weights of attention along edges from queries and keys: scores, normalisation, mean over heads, as one function.

    s_eh = <q_i^h, k_j^h> / sqrt(d),   p_eh = exp(s_eh) or (s + sqrt(s^2 + 4)) / 2,   w_eh = p_eh / sum over row i of p,
    a_e = (1/H) sum_h w_eh        for the entry e = (i, j)

and their gradients in closed form, with c = 1 (softmax) or 1 / sqrt(s^2 + 4) (squareplus):

    ds_eh = c_eh w_eh (g_e - sum over row i of g w^h) / H,   dq_i^h = sum_j ds_eh k_j^h / sqrt(d),   dk_j^h likewise

Nothing of size edges x channels is made. Queries and keys stay where they are: the heads of node i are the rows i H + h of
`[N H, d]`, and `HeadLayout` is the pattern between those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from solvers import Pattern, sddmm, spmm

SAFE = 60.0  # exp of scores within [-60, 60] neither over- nor underflows in float32


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

    def row_sums(self, x: Tensor) -> Tensor:
        """The sums over rows, `[E, H] -> [N, H]`."""
        pointers, entries = self.bags
        if x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and len(entries):
            return F.embedding_bag(entries, x, pointers, mode="sum", include_last_offset=True)
        return x.new_zeros(len(pointers) - 1, x.shape[1]).index_add_(0, self.rows, x)


_LAYOUTS: WeakKeyDictionary[Pattern, dict[int, HeadLayout]] = WeakKeyDictionary()


def layout_of(pattern: Pattern, heads: int) -> HeadLayout:
    """The layout of a pattern, made once."""
    made = _LAYOUTS.setdefault(pattern, {})
    if heads not in made:
        made[heads] = HeadLayout.of(pattern, heads)
    return made[heads]


def attention_weights(layout: HeadLayout, query: Tensor, key: Tensor, activation: str = "softmax") -> Tensor:
    """`a_e`, `[E]`, in the order of `layout`; rows sum to one.

    Differentiable any number of times and in forward mode; the first gradient is made in closed form.

    Args:
        layout: the entries (i, j) and the heads.
        query: `[N, H d]`, of the rows.
        key: `[M, H d]`, of the columns.
        activation: "softmax" or "squareplus".
    """
    if _is_transformed(query, key):
        return _composed(layout, query, key, activation)
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
        return _Weights.apply(layout, query, key, activation)  # type: ignore[return-value]
    return _weights(layout, query, key, activation)[0]


def positive_part(scores: Tensor, activation: str) -> Tensor:
    """`exp(s)` or `(s + sqrt(s^2 + 4)) / 2`, the latter without cancellation."""
    if activation == "softmax":
        return scores.exp()
    root = torch.sqrt(scores * scores + 4)
    return torch.where(scores > 0, (scores + root) / 2, 2 / (root - scores.clamp(max=0)))


def shifted(scores: Tensor, rows: Tensor, count: int) -> Tensor:
    """Scores `[E, H]` less their largest of each row, or themselves where exp is safe: the softmax is the same."""
    plain = scores.detach()
    if plain.device.type == "cpu" and plain.numel() and plain.dtype in (torch.float32, torch.float64):
        low, high = torch.aminmax(plain)
        if float(low) > -SAFE and float(high) < SAFE:
            return scores
    index = rows.unsqueeze(1).expand_as(plain)
    largest = plain.new_full((count, plain.shape[1]), -torch.inf).scatter_reduce(0, index, plain, "amax")
    return scores - largest.index_select(0, rows)


def _scores(layout: HeadLayout, query: Tensor, key: Tensor) -> Tensor:
    width = query.shape[1] // layout.heads
    s = sddmm(layout.pattern, query.reshape(-1, width), key.reshape(-1, width))
    return layout.by_entry(s) * (1 / math.sqrt(width))


def _composed(layout: HeadLayout, query: Tensor, key: Tensor, activation: str) -> Tensor:
    scores = _scores(layout, query, key)
    if activation == "softmax":
        scores = shifted(scores, layout.rows, len(layout.bags[0]) - 1)
    p = positive_part(scores, activation)
    total = p.new_zeros(len(layout.bags[0]) - 1, layout.heads).index_add(0, layout.rows, p)
    return (p / total.index_select(0, layout.rows)).mean(1)


def _weights(layout: HeadLayout, query: Tensor, key: Tensor, activation: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """The result, the weights of each head `[E, H]`, and the factor c."""
    scores, slope = _scores(layout, query, key), None
    if activation == "softmax":
        w = shifted(scores, layout.rows, len(layout.bags[0]) - 1).exp_()
    else:
        w, slope = positive_part(scores, activation), torch.rsqrt(scores * scores + 4)
    if layout.heads == 1:
        w = w.div_(layout.row_sums(w).index_select(0, layout.rows))
        return w.view(-1), w, slope
    w = w.mul_(layout.row_sums(w).reciprocal_().index_select(0, layout.rows))
    return w @ w.new_full((layout.heads,), 1 / layout.heads), w, slope


class _Weights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: HeadLayout, query: Tensor, key: Tensor, activation: str) -> Tensor:
        out, w, slope = _weights(layout, query.detach(), key.detach(), activation)
        ctx.layout, ctx.activation = layout, activation
        ctx.save_for_backward(query, key, w, slope)
        return out.clone() if layout.heads == 1 else out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        query, key, w, slope = ctx.saved_tensors
        layout = ctx.layout
        if torch.is_grad_enabled():  # to be differentiated again
            return None, *_recomposed(layout, query, key, ctx.activation, g), None
        width = query.shape[1] // layout.heads
        d = w * g.unsqueeze(1)
        d.addcmul_(w, layout.row_sums(d).index_select(0, layout.rows), value=-1)
        d = d if slope is None else d.mul_(slope)
        d = layout.by_head(d.mul_(1 / (layout.heads * math.sqrt(width))))
        to_query = to_key = None
        if ctx.needs_input_grad[1]:
            to_query = spmm(layout.pattern, d, key.reshape(-1, width), d).view_as(query)
        if ctx.needs_input_grad[2]:
            to_key = spmm(layout.pattern.transposed, d, query.reshape(-1, width)).view_as(key)
        return None, to_query, to_key, None


def _recomposed(layout: HeadLayout, query: Tensor, key: Tensor, activation: str, g: Tensor) -> list[Tensor | None]:
    q, k = query.view_as(query), key.view_as(key)
    inputs = [x for x in (q, k) if x.requires_grad]
    found = iter(torch.autograd.grad(_composed(layout, q, k, activation), inputs, g, create_graph=True))
    return [next(found) if x.requires_grad else None for x in (q, k)]


def _is_transformed(*xs: Tensor) -> bool:
    """Whether forward mode or a transform of torch.func is at work."""
    forward, wrapped = torch.autograd.forward_ad, torch._C._functorch.is_functorch_wrapped_tensor  # type: ignore[attr-defined]
    if any(wrapped(x) for x in xs):
        return True
    return forward._current_level >= 0 and any(forward.unpack_dual(x).tangent is not None for x in xs)
