"""What the gradients of polynomials of an operator share: products with their pullback, scales, derivatives of any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..operator import LinearOperator, Scaled
from ..structure import rebind
from .blocks import joined, parted
from .series import Series
from .walk import Walk, unscaled

_BLOCK = 1 << 16  # numbers that are made precise at a time


def pulled(A: LinearOperator, held: list[Tensor], v: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """A leaf with the value v, its image under A, and the leaves in the place of what A holds."""
    with torch.enable_grad():
        leaf, leaves = v.detach().requires_grad_(), [h.detach().requires_grad_() for h in held]
        return leaf, rebind(A, held, leaves).matvec(leaf), leaves


def accumulate(total: list[Tensor], parts: Sequence[Tensor | None], scale: float) -> None:
    for t, part in zip(total, parts, strict=True):
        if part is not None:
            t.add_(part, alpha=scale)


def by_id(held: Sequence[Tensor], found: Sequence[Any]) -> dict[int, Any]:
    """The gradients at what an operator holds, by the identity of the tensors."""
    return dict(zip(map(id, held), found, strict=True))


def scales_of_flow(A: LinearOperator, series: Series, held: Sequence[Tensor]) -> list[Tensor]:
    """The held factors c of `A = c B` whose gradient `to_scales` finds from what the flow led to.

    With a source that loses `1 / |t A|` of the digits, so that a flow of less than about one unit of time has none.
    """
    c, base, found = unscaled(A)[0], A, []
    driven = series.coefficients.shape[0] > 1
    if series.times is None or (driven and (c == 0 or max(map(abs, series.times)) * series.radius < 1)):
        return []
    while isinstance(base, Scaled):
        found.append(base.scale)
        base = base.operator
    return [h for h in held if any(h is scale for scale in found)]


def to_scales(
    A: LinearOperator,
    series: Series,
    scales: list[Tensor],
    vectors: Sequence[Tensor],
    to_vectors: Sequence[Tensor | None],
    out: Tensor,
    g: Tensor,
) -> list[Tensor]:
    """The gradient at c for `A = c B`, `y_i = exp(t_i A) v + t_i phi_1(t_i A) s`.

        dy_i/dc = t_i (B y_i + s / c) - t_i phi_1(t_i A) s / c
        at c: sum_i t_i <g_i, B y_i + s / c> - <to_s, s> / c  =  t <to_v, B v + s / c> - <to_s, s> / c  for one output

    with the gradients to_v and to_s at the vectors. What smooths leaves little of B y, and the rounding of y much beside it:
    the second form, in which v is exact, is taken where to_v is there. Sums are made in double precision. (The gradient at
    each entry of A, summed with the entries, cancels worse: to a ten thousandth of its parts.)

    Args:
        scales: the factors of c that want a gradient.
        vectors: v, and s where there is a source.
        to_vectors: to_v if it is known, and to_s.
        out, g: the y_i and the gradients there.
    """
    c, base = unscaled(A)
    times = list(series.times or ())
    to_v, *to_s = to_vectors
    ends = zip(times, out, g, strict=True) if to_v is None or len(times) > 1 else [(times[0], vectors[0], to_v)]
    slope = torch.zeros((), dtype=torch.float64, device=g.device)
    for t, y, grad in ends:
        slope += t * _real_dot(base.matvec(y.detach()), grad)
        for s in vectors[1:]:
            slope += t / c * _real_dot(s, grad)
    for s, grad in zip(vectors[1:], to_s, strict=True):
        if grad is not None:
            slope -= _real_dot(s, grad) / c
    with torch.enable_grad():
        leaves = [h.detach().requires_grad_() for h in scales]
        replaced = rebind(A, scales, leaves)
        product: Any = 1.0
        while isinstance(replaced, Scaled):
            product, replaced = product * replaced.scale, replaced.operator
        # the gradient of a number: handing grad_outputs would load half a second of torch's modules
        return list(torch.autograd.grad((product * slope.to(product.dtype)).reshape(()), leaves))


def _real_dot(a: Tensor, b: Tensor) -> Tensor:
    """In double precision, block by block."""
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    precise = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    for x, y in zip(a.detach().reshape(-1).split(_BLOCK), b.detach().reshape(-1).split(_BLOCK), strict=True):
        total += torch.vdot(x.to(precise), y.to(precise)).real
    return total


def unrolled(
    A: LinearOperator, series: Series, vectors: Sequence[Tensor], held: Sequence[Tensor], g: Tensor
) -> tuple[list[Any], list[Any]]:
    """The gradient as a function that can be differentiated again: through every step, on aliases."""
    with torch.enable_grad():
        aliases = [v.view_as(v) for v in vectors]
        leaves = [h.view_as(h) for h in held]
        walk, v = Walk(_Plain(rebind(A, held, leaves)), series), joined(aliases)  # type: ignore[arg-type]
        out, before = _weighted(series, 0, v, aliases), v
        for k in range(series.degree):
            before, v = v, walk.on(k, v, before)
            out = out + _weighted(series, k + 1, v, aliases)
        inputs = [*(a for a in aliases if a.requires_grad), *leaves]
        found = iter(torch.autograd.grad(out, inputs, g, create_graph=True, allow_unused=True))
    return [next(found) if a.requires_grad else None for a in aliases], list(found)


def _weighted(series: Series, k: int, v: Tensor, like: Sequence[Tensor]) -> Tensor:
    weights = torch.from_numpy(np.ascontiguousarray(series.coefficients[:, :, k])).to(v)
    return sum(
        (w.reshape(-1, *[1] * p.dim()) * p for w, p in zip(weights, parted(v, like), strict=True)),
        torch.zeros((), dtype=v.dtype, device=v.device),
    )


class _Plain:
    """An operator whose scale is not taken out: every factor stays in the graph."""

    def __init__(self, A: LinearOperator):
        self.matvec = A.matvec
