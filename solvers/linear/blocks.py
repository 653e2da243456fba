"""States side by side: several vectors under one recurrence, and their weights in its outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .series import Series


def joined(vectors: Sequence[Tensor]) -> Tensor:
    """The blocks side by side along the last axis: one product serves them all."""
    if len(vectors) == 1:
        return vectors[0]
    return torch.cat([v.unsqueeze(-1) if v.dim() == 1 else v for v in vectors], -1)


def parted(v: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The blocks of `v`, in the shapes of `like`."""
    if len(like) == 1:
        return [v]
    parts = v.split(_widths(like), -1)
    return [p.reshape(x.shape) for p, x in zip(parts, like, strict=True)]


def add_terms(out: Tensor, series: Series, k: int, v: Tensor, like: Sequence[Tensor]) -> None:
    """`out_i += sum_b p_{b,i,k} v_b`."""
    for b, part in enumerate(parted(v, like)):
        for i in range(len(out)):
            weight = float(series.coefficients[b, i, k])
            if weight != 0.0:
                out[i].add_(part, alpha=weight)


def last(series: Series, g: Tensor | Sequence[Tensor], like: Sequence[Tensor]) -> Tensor:
    """l_K = H_K, in fresh memory."""
    out = torch.zeros_like(joined([v.detach() for v in like]))
    return with_source(out, series, series.degree, g, like)


def with_source(out: Tensor, series: Series, k: int, g: Tensor | Sequence[Tensor], like: Sequence[Tensor]) -> Tensor:
    """`out += H_k`, with `H_k = sum_i p_{b,i,k} g_i` in block b."""
    for b, part in enumerate(out.split(_widths(like), -1) if len(like) > 1 else [out]):
        for i in range(len(g)):
            weight = float(series.coefficients[b, i, k])
            if weight != 0.0:
                part.add_(g[i].reshape(part.shape), alpha=weight)
    return out


def _widths(like: Sequence[Tensor]) -> list[int]:
    return [1 if x.dim() == 1 else x.shape[-1] for x in like]
