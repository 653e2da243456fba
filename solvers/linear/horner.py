"""One output of polynomials of an operator, by Horner's rule on one vector however many vectors it is made of, and gradients.

    y = sum_b p_b(A) v_b,   p_b in T_k(X) or X^k,   X = (A - c) / r,   c_k = sum_b p_{b,k} v_b

    powers: w_k = c_k + X w_{k+1};     Chebyshev: w_k = c_k + 2 X w_{k+1} - w_{k+2} (k > 0),  w_0 = c_0 + X w_1 - w_2

y = w_0: states of C columns take `degree` products, where a recurrence for each v_b would take as many for each. Back with
`u_0 = G` and the adjoint operator, `u_k = (X^H)^k G` or `T_k(X^H) G`: v_b gets `sum_k p_{b,k} u_k`, `dX` gets
`sum_k (2) u_k w_{k+1}^H`. Powers: the w_k are made anew between checkpoints that lie the farther apart the later they are
used, since memory that one leaves is there for the next stretch: `sqrt(2 degree)` states in all. Chebyshev: the w_k are made
anew from the first, and the u_k come back to them by their recurrence, which runs in both directions: a few states whatever
the degree, none kept. (The w_k would come back as well, but their errors then grow where they should be small.)

Reference: Clenshaw (1955) Math. Comp. 9, 118; Griewank & Walther (2008), Evaluating Derivatives, ch. 12 (checkpoints).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..structure import requiring_grad
from .blocks import last
from .kernels import sddmm
from .pullback import accumulate, by_id, pulled, scales_of_flow, to_scales, unrolled
from .series import Series
from .walk import Walk, downwards


def polynomial_sum(A: LinearOperator, series: Series, vectors: Sequence[Tensor]) -> Tensor:
    """`sum_b p_b(A) v_b`, `[1, *state]`, from `series.degree` products.

    Args:
        A: an operator on columns; the tensors that it holds get gradients.
        series: polynomials with one output.
        vectors: one state for each block of the series.
    """
    dtype = reduce(torch.promote_types, [v.dtype for v in vectors])
    vectors, held = [v.to(dtype) for v in vectors], requiring_grad(A)
    if torch.is_grad_enabled() and (held or any(v.requires_grad for v in vectors)):
        return _Sum.apply(A, series, len(vectors), *vectors, *held)  # type: ignore[return-value]
    return _down(A, series, vectors)[0].unsqueeze(0)


def stops(degree: int) -> list[int]:
    """The last k of each stretch of w_1 .. w_degree, so that checkpoints and the stretch at hand are few at any time."""
    room, found = 1, []
    while (room + 1) * room // 2 + room - 1 < degree:
        room += 1
    while (found[-1] if found else 0) < degree:
        found.append(min((found[-1] if found else 0) + min(len(found) + 2, room), degree))
    return found


def _down(A: LinearOperator, series: Series, vectors: Sequence[Tensor], keep: bool = False) -> tuple[Tensor, list[Tensor]]:
    """w_0, and what the way back through powers starts from: the ends of all stretches but the last."""
    walk, at = Walk(A, series.transposed), set(stops(series.degree)[:-1]) if keep and series.powers else set()
    one, two = last(walk.series, vectors, vectors[:1]), None
    kept: list[Tensor] = []
    for k in reversed(range(series.degree)):
        if k + 1 in at:
            kept.append(one)
        new = walk.down(k, one, two, vectors, vectors[:1])
        one, two = new, None if series.powers else one
    return one, kept


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, A: LinearOperator, series: Series, blocks: int, *tensors: Tensor) -> Tensor:
        held = tensors[blocks:]
        scales = scales_of_flow(A, series, held)
        y, kept = _down(A, series, [v.detach() for v in tensors[:blocks]], len(scales) < len(held))
        ctx.A, ctx.series, ctx.blocks, out = A, series, blocks, y.unsqueeze(0)
        ctx.save_for_backward(out if scales else None, *tensors, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        A, series, count = ctx.A, ctx.series, len(ctx.needs_input_grad) - 3
        out, *rest = ctx.saved_tensors
        tensors, kept = rest[:count], rest[count:]
        del rest
        vectors, held = tensors[: ctx.blocks], tensors[ctx.blocks :]
        needed = ctx.needs_input_grad[3:]
        wanted = [h for h, n in zip(held, needed[ctx.blocks :], strict=True) if n]
        if torch.is_grad_enabled():
            to_vectors, found = unrolled(A, series, vectors, wanted, g)
            to_held = by_id(wanted, found)
        else:
            ctx.maybe_clear_saved_tensors()  # each checkpoint is given back when it is used, unless the graph is retained
            scales = [] if out is None else scales_of_flow(A, series, wanted)
            driven = bool(scales) and ctx.blocks > 1
            sums = [torch.zeros_like(v) if n or driven else None for v, n in zip(vectors, needed, strict=False)]
            to_held = _to_others(A, series, vectors, [h for h in wanted if not any(h is c for c in scales)], kept, g, sums)
            if out is not None and scales:
                to_held |= by_id(scales, to_scales(A, series, scales, vectors, sums, out, g))
            to_vectors = [x if n else None for x, n in zip(sums, needed, strict=False)]
        return None, None, None, *to_vectors, *(to_held.get(id(h)) for h in held)


def _to_others(
    A: LinearOperator,
    series: Series,
    vectors: list[Tensor],
    held: list[Tensor],
    kept: list[Tensor],
    g: Tensor,
    sums: Sequence[Tensor | None],
) -> dict[int, Tensor]:
    """The gradients at what A holds but for its scales; those at the vectors are added to `sums`."""
    if not held:
        if any(out is not None for out in sums):
            _up(A, series, g, sums)
        return {}
    walk = Walk(A, series.transposed)
    if walk.is_sparse(held, vectors):
        return by_id(held, _through_sparse(A, walk, vectors, kept, g, sums))
    through = _through if series.powers else _through_chebyshev
    return by_id(held, through(A, series.transposed, vectors, held, kept, g, sums))


def _add(sums: Sequence[Tensor | None], series: Series, k: int, u: Tensor) -> None:
    """`sums_b += p_{b,k} u_k`, where a gradient is wanted; series with blocks for outputs."""
    for i, out in enumerate(sums):
        weight = float(series.coefficients[0, i, k])
        if out is not None and weight != 0.0:
            out.add_(u, alpha=weight)


def _up(A: LinearOperator, series: Series, g: Tensor, sums: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """The gradients at the vectors, by products with the adjoint operator alone; the last two u_k."""
    walk, before, u = Walk(A.adjoint, series.transposed), g[0], g[0].contiguous()
    _add(sums, walk.series, 0, u)
    for k in range(series.degree):
        before = u if series.powers else before  # which is then not kept
        before, u = u, walk.on(k, u, before, reuse=k > 1)
        _add(sums, walk.series, k + 1, u)
    return before, u


def _through_sparse(
    A: LinearOperator, walk: Walk, vectors: list[Tensor], kept: list[Tensor], g: Tensor, sums: Sequence[Tensor | None]
) -> list[Tensor]:
    """The way back through a sparse matrix whose entries alone need a gradient: no graph is recorded, no image kept."""
    pattern, total = walk.pattern, torch.zeros(len(walk.pattern), dtype=g.dtype, device=g.device)
    pairs = _pairs_of_powers if walk.series.powers else _pairs_of_chebyshev
    for k, u, w in pairs(A, walk, vectors, kept, g, sums):
        total.add_(sddmm(pattern, *(x.unsqueeze(1) if x.dim() == 1 else x for x in (u, w))), alpha=walk.twice(k))
        del u, w
    return [total.mul_(walk.scale / walk.series.radius)]


_Pairs = Iterator[tuple[int, Tensor, Tensor]]


def _pairs_of_powers(
    A: LinearOperator, walk: Walk, vectors: list[Tensor], kept: list[Tensor], g: Tensor, sums: Sequence[Tensor | None]
) -> _Pairs:
    """k, u_k, w_{k+1}, upwards; the gradients at the vectors on the way."""
    series, back, u = walk.series, Walk(A.adjoint, walk.series), g[0].contiguous()
    states = _rising(walk, vectors, kept)
    _add(sums, series, 0, u)
    for k in range(series.degree):
        yield k, u, next(states)
        if k + 1 < series.degree or any(out is not None for out in sums):
            u = back.on(k, u, u)
            _add(sums, series, k + 1, u)


def _pairs_of_chebyshev(
    A: LinearOperator, walk: Walk, vectors: list[Tensor], kept: list[Tensor], g: Tensor, sums: Sequence[Tensor | None]
) -> _Pairs:
    """k, u_k, w_{k+1}, downwards; before, upwards, the gradients at the vectors."""
    series, back = walk.series, Walk(A.adjoint, walk.series)
    u, after = _up(A, series.transposed, g, sums)
    one, two = last(series, vectors, vectors[:1]), None
    for k in reversed(range(series.degree)):
        u = g[0].contiguous() if k == 0 else u
        yield k, u, one
        if k > 0:  # u_{k-1} = 2 X u_k - u_{k+1}
            u, after = back.on(k, u, after), u
            one, two = walk.down(k, one, two, vectors, vectors[:1]), one


def _rising(walk: Walk, vectors: list[Tensor], kept: list[Tensor]) -> Iterator[Tensor]:
    """w_1 to w_K for powers, each given away; those of a stretch are made anew from its end."""
    for low, top, end in _stretches(walk.series, vectors, kept):
        states = [end]
        del end
        for j in reversed(range(low, top)):
            states.append(walk.down(j, states[-1], None, vectors, vectors[:1]))
        while states:
            yield states.pop()


def _stretches(series: Series, vectors: list[Tensor], kept: list[Tensor]) -> Iterator[tuple[int, int, Tensor]]:
    """First and last k of each stretch, and w_k at its end, which is given away."""
    low = 1
    for top in stops(series.degree):
        yield low, top, kept.pop() if kept else last(series, vectors, vectors[:1])
        low = top + 1


def _through(
    A: LinearOperator,
    series: Series,
    vectors: list[Tensor],
    held: list[Tensor],
    kept: list[Tensor],
    g: Tensor,
    sums: Sequence[Tensor | None],
) -> list[Tensor]:
    """The way back through powers of any operator, by the pullback of every product; series with blocks for outputs."""
    total, walk, u = [torch.zeros_like(h) for h in held], Walk(A, series), g[0].contiguous()
    _add(sums, series, 0, u)
    for k, leaf, image, leaves in _records(A, series, vectors, held, kept):
        back, *parts = torch.autograd.grad(image, [leaf, *leaves], u, allow_unused=True)
        del leaf, image, leaves
        accumulate(total, parts, 1 / series.radius)
        u = walk.after(k, back, u, u)
        _add(sums, series, k + 1, u)
    return total


def _records(
    A: LinearOperator, series: Series, vectors: list[Tensor], held: list[Tensor], kept: list[Tensor]
) -> Iterator[tuple[int, Tensor, Tensor, list[Tensor]]]:
    """k, and w_{k+1} with its product, as `pulled` makes them, upwards."""
    for low, top, w in _stretches(series, vectors, kept):
        records = []
        for j in reversed(range(low - 1, top)):
            records.append((j, *pulled(A, held, w)))
            if j >= low:
                w = downwards(series, j, records[-1][2].detach(), w, None, vectors, vectors[:1])
        while records:
            yield records.pop()


def _through_chebyshev(
    A: LinearOperator,
    series: Series,
    vectors: list[Tensor],
    held: list[Tensor],
    kept: list[Tensor],
    g: Tensor,
    sums: Sequence[Tensor | None],
) -> list[Tensor]:
    """The same through Chebyshev polynomials, downwards."""
    total, walk = [torch.zeros_like(h) for h in held], Walk(A, series)
    u, after = _up(A, series.transposed, g, sums)
    one, two = last(series, vectors, vectors[:1]), None
    for k in reversed(range(series.degree)):
        u = g[0].contiguous() if k == 0 else u
        leaf, image, leaves = pulled(A, held, one)
        back, *parts = torch.autograd.grad(image, [leaf, *leaves], u, allow_unused=True)
        accumulate(total, parts, walk.twice(k) / series.radius)
        if k > 0:
            u, after = walk.after(k, back, u, after), u
            one, two = downwards(series, k, image.detach(), one, two, vectors, vectors[:1]), one
    return total
