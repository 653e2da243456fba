"""Polynomials of an operator applied to vectors, many outputs from one recurrence, and their gradients in closed form.

    y_i = sum_b p_{b,i}(A) v_b,   p in T_k(X) (three-term recurrence) or X^k,   X = (A - c) / r

With `H_k = sum_i p_{b,i,k} G_i`, G_i the gradient at output i, the adjoint runs the recurrence with the adjoint operator:

    Chebyshev: l_k = H_k + 2 X^H l_{k+1} - l_{k+2} (k > 0),  l_0 = H_0 + X^H l_1 - l_2;     powers: l_k = H_k + X^H l_{k+1}

l_0 is the gradient at v, and `dX` gets `sum_k (2) l_{k+1} v_k^H`. The v_k come backwards: Chebyshev's recurrence runs in
both directions (memory of a few states whatever the degree), powers are recomputed from sqrt(degree) checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..operator import LinearOperator, Scaled
from ..structure import requiring_grad
from .blocks import add_terms, joined, last, parted
from .horner import polynomial_sum
from .kernels import sddmm
from .pullback import accumulate, by_id, pulled, scales_of_flow, to_scales, unrolled
from .series import Series
from .walk import Walk, downwards


def polynomials(A: LinearOperator, series: Series, vectors: Sequence[Tensor]) -> Tensor:
    """`sum_b p_{b,i}(A) v_b`, `[outputs, *state]`, from `series.degree` products.

    Args:
        A: an operator on columns; the tensors that it holds get gradients.
        series: the polynomials.
        vectors: one state for each block of the series.
    """
    A = A.apart if isinstance(A, Scaled) else A
    if series.coefficients.shape[1] == 1 and (series.powers or len(vectors) > 1):
        return polynomial_sum(A, series, vectors)
    held = requiring_grad(A)
    if torch.is_grad_enabled() and (held or any(v.requires_grad for v in vectors)):
        return _Polynomials.apply(A, series, len(vectors), *vectors, *held)  # type: ignore[return-value]
    return _forward(A, series, vectors)[0]


def _forward(A: LinearOperator, series: Series, vectors: Sequence[Tensor], every: int = 0) -> tuple[Tensor, list[Tensor]]:
    """The outputs, and what the way back starts from: the last two v_k, or every so many of them for powers."""
    walk, v = Walk(A, series), joined(vectors)
    out = torch.zeros((series.coefficients.shape[1], *vectors[0].shape), dtype=v.dtype, device=v.device)
    add_terms(out, series, 0, v, vectors)
    before, kept = v, [v]
    for k in range(series.degree):
        before, v = v, walk.on(k, v, before, reuse=not every and k > 1)
        add_terms(out, series, k + 1, v, vectors)
        if every and (k + 1) % every == 0:
            kept.append(v)
    return out, kept if series.powers else [before, v]


class _Polynomials(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, A: LinearOperator, series: Series, blocks: int, *tensors: Tensor) -> Tensor:
        vectors, held = tensors[:blocks], tensors[blocks:]
        scales = scales_of_flow(A, series, held)
        others = len(scales) < len(held)
        every = max(1, math.isqrt(series.degree)) if others and series.powers else 0
        out, kept = _forward(A, series, [v.detach() for v in vectors], every)
        ctx.A, ctx.series, ctx.blocks, ctx.every = A, series, blocks, every
        ctx.save_for_backward(out if scales else None, *tensors, *(kept if others else []))
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        out, *rest = ctx.saved_tensors
        count = len(ctx.needs_input_grad) - 3
        tensors, kept = rest[:count], rest[count:]
        del rest
        if not torch.is_grad_enabled():
            ctx.maybe_clear_saved_tensors()  # checkpoints are given back when they are used, unless the graph is retained
        vectors, held = tensors[: ctx.blocks], tensors[ctx.blocks :]
        wanted = [h for h, needed in zip(held, ctx.needs_input_grad[3 + ctx.blocks :], strict=True) if needed]
        if torch.is_grad_enabled():
            to_vectors, found = unrolled(ctx.A, ctx.series, vectors, wanted, g)
            to_held = by_id(wanted, found)
        else:
            scales = [] if out is None else scales_of_flow(ctx.A, ctx.series, wanted)
            others = [h for h in wanted if not any(h is c for c in scales)]
            needed = any(ctx.needs_input_grad[3 : 3 + ctx.blocks]) or (bool(scales) and ctx.blocks > 1)
            to_vectors, found = _to_others(ctx, vectors, others, kept, g, needed)
            to_held = by_id(others, found)
            if out is not None and scales:
                to_held |= by_id(scales, to_scales(ctx.A, ctx.series, scales, vectors, to_vectors, out, g))
        return None, None, None, *to_vectors, *(to_held.get(id(h)) for h in held)


def _to_others(
    ctx: Any, vectors: list[Tensor], held: list[Tensor], kept: list[Tensor], g: Tensor, needed: bool
) -> tuple[Sequence[Tensor | None], list[Tensor]]:
    """The gradients at the vectors, if they are needed, and at what A holds but for its scales."""
    if not held:
        return _adjoint(ctx.A, ctx.series, vectors, g) if needed else [None] * len(vectors), []
    walk = Walk(ctx.A, ctx.series)
    if walk.is_sparse(held, vectors):
        return _through_sparse(ctx, walk, vectors, kept, g)
    through = _through_powers if ctx.series.powers else _through_chebyshev
    return through(ctx, vectors, held, kept, g)


def _adjoint(A: LinearOperator, series: Series, like: Sequence[Tensor], g: Tensor) -> list[Tensor]:
    """l_0 by products with the adjoint operator alone."""
    walk = Walk(A.adjoint, series)
    one, two = last(series, g, like), None
    for k in reversed(range(series.degree)):
        one, two = walk.down(k, one, two, g, like), one
    return parted(one, like)


def _through_sparse(
    ctx: Any, walk: Walk, vectors: list[Tensor], kept: list[Tensor], g: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """The way back through a sparse matrix whose entries alone need a gradient: no graph is recorded, no image kept."""
    series, every, pattern = ctx.series, ctx.every, walk.pattern
    back, total = Walk(ctx.A.adjoint, series), torch.zeros(len(walk.pattern), dtype=g.dtype, device=g.device)
    one, two = last(series, g, vectors), None
    v, after = (one, one) if series.powers else kept
    states: list[Tensor] = []
    for k in reversed(range(series.degree)):
        if series.powers and not states:
            del kept[k // every + 1 :]
            states = [kept.pop()]
            for j in range(k - k % every, k):
                states.append(walk.on(j, states[-1], states[-1]))
        v = states.pop() if series.powers else joined([x.detach() for x in vectors]) if k == 0 else v
        total.add_(sddmm(pattern, *(x.unsqueeze(1) if x.dim() == 1 else x for x in (one, v))), alpha=walk.twice(k))
        if not series.powers and k > 0:  # v_{k-1} = 2 X v_k - v_{k+1}
            v, after = walk.on(k, v, after), v
        one, two = back.down(k, one, two, g, vectors), one
    return parted(one, vectors), [total.mul_(walk.scale / series.radius)]


def _through_chebyshev(
    ctx: Any, vectors: list[Tensor], held: list[Tensor], kept: list[Tensor], g: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    A, series = ctx.A, ctx.series
    total = [torch.zeros_like(h) for h in held]
    walk, (v, after) = Walk(A, series), kept
    one, two = last(series, g, vectors), None
    for k in reversed(range(series.degree)):
        if k == 0:
            v = joined([x.detach() for x in vectors])
        twice = 1.0 if k == 0 else 2.0
        leaf, image, leaves = pulled(A, held, v)
        back, *parts = torch.autograd.grad(image, [leaf, *leaves], one, allow_unused=True)
        accumulate(total, parts, twice / series.radius)
        if k > 0:  # v_{k-1} = 2 X v_k - v_{k+1}
            v, after = walk.after(k, image.detach(), v, after), v
        one, two = downwards(series, k, back, one, two, g, vectors), one
    return parted(one, vectors), total


def _through_powers(
    ctx: Any, vectors: list[Tensor], held: list[Tensor], kept: list[Tensor], g: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    A, series, every = ctx.A, ctx.series, ctx.every
    total = [torch.zeros_like(h) for h in held]
    walk = Walk(A, series)
    one = last(series, g, vectors)
    for start in reversed(range(0, series.degree, every)):
        del kept[start // every + 1 :]
        v, records = kept.pop(), []
        for k in range(start, min(start + every, series.degree)):
            records.append(pulled(A, held, v))
            v = walk.after(k, records[-1][1].detach(), v, v)
        for k in reversed(range(start, start + len(records))):
            leaf, image, leaves = records.pop()
            back, *parts = torch.autograd.grad(image, [leaf, *leaves], one, allow_unused=True)
            accumulate(total, parts, 1 / series.radius)
            one = downwards(series, k, back, one, None, g, vectors)
    return parted(one, vectors), total
