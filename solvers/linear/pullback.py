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


def pulled(A: LinearOperator, held: list[Tensor], v: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """A leaf with the value v, its image under A, and the leaves in the place of what A holds."""
    with torch.enable_grad():
        leaf, leaves = v.detach().requires_grad_(), [h.detach().requires_grad_() for h in held]
        return leaf, rebind(A, held, leaves).matvec(leaf), leaves


def accumulate(total: list[Tensor], parts: Sequence[Tensor | None], scale: float) -> None:
    for t, part in zip(total, parts, strict=True):
        if part is not None:
            t.add_(part, alpha=scale)


def only_scales(A: LinearOperator, held: list[Tensor]) -> bool:
    return {id(h) for h in held} <= {id(s) for s in _scales(A)}


def _scales(A: LinearOperator) -> list[Tensor]:
    found, base = [], A
    while isinstance(base, Scaled):
        found += [base.scale] if isinstance(base.scale, Tensor) else []
        base = base.operator
    return found


def to_scales(A: LinearOperator, series: Series, out: Tensor, held: list[Tensor], g: Tensor) -> list[Tensor]:
    """For `y_i = exp(t_i c B) v`: `dy_i/dc = t_i B y_i`, one product for each output."""
    _, base = unscaled(A)
    slope = torch.zeros((), dtype=g.dtype, device=g.device)
    for t, y, grad in zip(series.times or (), out, g, strict=True):
        slope = slope + t * torch.vdot(base.matvec(y).reshape(-1), grad.reshape(-1))
    with torch.enable_grad():
        leaves = [h.detach().requires_grad_() for h in held]
        replaced = rebind(A, held, leaves)
        product: Any = 1.0
        while isinstance(replaced, Scaled):
            product, replaced = product * replaced.scale, replaced.operator
        # the gradient of a number: handing grad_outputs would load half a second of torch's modules
        return list(torch.autograd.grad((product * slope.real.to(product.dtype)).reshape(()), leaves))


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
