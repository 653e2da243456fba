"""The weights of attention along edges from queries and keys: scores, normalisation, mean over heads, as one function.

    s_eh = c <q_i^h, k_j^h>,   p_eh = exp(s_eh) or (s + sqrt(s^2 + 4)) / 2,   w_eh = p_eh / sum over row i of p,
    a_e = (1/H) sum_h w_eh        for the entry e = (i, j), with c = 1 / sqrt(d) unless given

and their gradients in closed form, with r = 1 (softmax) or 1 / sqrt(s^2 + 4) (squareplus):

    ds_eh = r_eh w_eh (g_e - sum over row i of g w^h) / H,   dq_i^h = c sum_j ds_eh k_j^h,   dk_j^h likewise

`head_weights` is the middle part alone: w from any scores s. Nothing of size edges x channels is made. Queries and keys stay
where they are: the heads of node i are the rows i H + h of `[N H, d]`, and `HeadLayout` is the pattern between those.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from solvers import is_transformed, sddmm, spmm

from .attention_layout import HeadLayout
from .attention_layout import layout_of as layout_of

SAFE = 60.0  # exp of scores within [-60, 60] neither over- nor underflows in float32


def attention_weights(
    layout: HeadLayout, query: Tensor, key: Tensor, activation: str = "softmax", scale: float | None = None
) -> Tensor:
    """`a_e`, `[E]`, in the order of `layout`; rows sum to one.

    Differentiable any number of times and in forward mode; the first gradient is made in closed form.

    Args:
        layout: the entries (i, j) and the heads.
        query: `[N, H d]`, of the rows.
        key: `[M, H d]`, of the columns.
        activation: "softmax" or "squareplus".
        scale: c, or None for 1 / sqrt(d).
    """
    scale = 1 / math.sqrt(query.shape[1] // layout.heads) if scale is None else scale
    if is_transformed(query, key):
        return _composed(layout, head_dots(layout, query, key, scale), activation).mean(1)
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
        return _Weights.apply(layout, query, key, activation, scale)  # type: ignore[return-value]
    return _mean(layout, _normalised(layout, head_dots(layout, query, key, scale), activation)[0])


def head_dots(layout: HeadLayout, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """`scale <q_i^h, k_j^h>`, `[E, H]`, in the order of `layout`."""
    width = query.shape[1] // layout.heads
    s = sddmm(layout.pattern, query.reshape(-1, width), key.reshape(-1, width))
    return layout.by_entry(s) * scale


def head_weights(layout: HeadLayout, scores: Tensor, activation: str = "softmax") -> Tensor:
    """`w_eh`, `[E, H]`, from scores `[E, H]`; the rows of each head sum to one. Differentiable as `attention_weights` is."""
    if is_transformed(scores):
        return _composed(layout, scores, activation)
    if torch.is_grad_enabled() and scores.requires_grad:
        return _HeadWeights.apply(layout, scores, activation)  # type: ignore[return-value]
    return _normalised(layout, scores.clone(), activation)[0]


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


def _composed(layout: HeadLayout, scores: Tensor, activation: str) -> Tensor:
    """`w_eh` by operations that torch can differentiate in every way."""
    if activation == "softmax":
        scores = shifted(scores, layout.rows, len(layout.bags[0]) - 1)
    p = positive_part(scores, activation)
    total = p.new_zeros(len(layout.bags[0]) - 1, layout.heads).index_add(0, layout.rows, p)
    return p / total.index_select(0, layout.rows)


def _normalised(layout: HeadLayout, scores: Tensor, activation: str) -> tuple[Tensor, Tensor | None]:
    """The weights of each head `[E, H]` and the factor r; the scores may be overwritten."""
    slope = None
    if activation == "softmax" and layout.on_cuda:
        return layout.softmax(scores), None
    if activation == "softmax":
        w = shifted(scores, layout.rows, len(layout.bags[0]) - 1).exp_()
    else:
        w, slope = positive_part(scores, activation), torch.rsqrt(scores * scores + 4)
    if layout.heads == 1:
        return w.div_(layout.row_sums(w).index_select(0, layout.rows)), slope
    return w.mul_(layout.row_sums(w).reciprocal_().index_select(0, layout.rows)), slope


def _mean(layout: HeadLayout, w: Tensor) -> Tensor:
    return w.view(-1) if layout.heads == 1 else w @ w.new_full((layout.heads,), 1 / layout.heads)


def _to_scores(layout: HeadLayout, w: Tensor, slope: Tensor | None, g: Tensor) -> Tensor:
    """The gradient of the scores `[E, H]` from that of the weights `[E, H]` (or `[E, 1]`, the same for all heads)."""
    d = w * g
    d.addcmul_(w, layout.row_sums(d).index_select(0, layout.rows), value=-1)
    return d if slope is None else d.mul_(slope)


class _Weights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: HeadLayout, query: Tensor, key: Tensor, activation: str, scale: float) -> Tensor:
        w, slope = _normalised(layout, head_dots(layout, query.detach(), key.detach(), scale), activation)
        ctx.layout, ctx.activation, ctx.scale = layout, activation, scale
        ctx.save_for_backward(query, key, w, slope)
        out = _mean(layout, w)
        return out.clone() if layout.heads == 1 else out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        query, key, w, slope = ctx.saved_tensors
        layout = ctx.layout
        if torch.is_grad_enabled():  # to be differentiated again
            return None, *_recomposed(layout, query, key, ctx.activation, ctx.scale, g), None, None
        width = query.shape[1] // layout.heads
        d = layout.by_head(_to_scores(layout, w, slope, g.unsqueeze(1)).mul_(ctx.scale / layout.heads))
        to_query = to_key = None
        if ctx.needs_input_grad[1]:
            to_query = spmm(layout.pattern, d, key.reshape(-1, width), d).view_as(query)
        if ctx.needs_input_grad[2]:
            to_key = spmm(layout.pattern.transposed, d, query.reshape(-1, width)).view_as(key)
        return None, to_query, to_key, None, None


class _HeadWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: HeadLayout, scores: Tensor, activation: str) -> Tensor:
        w, slope = _normalised(layout, scores.detach().clone(), activation)
        ctx.layout, ctx.activation = layout, activation
        ctx.save_for_backward(scores, w, slope)
        return w

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        scores, w, slope = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, _to_scores(ctx.layout, w, slope, g), None
        s = scores.view_as(scores)
        (to_scores,) = torch.autograd.grad(_composed(ctx.layout, s, ctx.activation), s, g, create_graph=True)
        return None, to_scores, None


def _recomposed(
    layout: HeadLayout, query: Tensor, key: Tensor, activation: str, scale: float, g: Tensor
) -> list[Tensor | None]:
    q, k = query.view_as(query), key.view_as(key)
    inputs = [x for x in (q, k) if x.requires_grad]
    weights = _composed(layout, head_dots(layout, q, k, scale), activation).mean(1)
    found = iter(torch.autograd.grad(weights, inputs, g, create_graph=True))
    return [next(found) if x.requires_grad else None for x in (q, k)]
