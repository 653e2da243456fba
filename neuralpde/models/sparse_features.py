"""Features that are mostly zero (bags of words) as a sparse matrix, found once per tensor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from solvers import Pattern

MAX_DENSITY = 0.15  # beyond it a dense product is as fast
MIN_ENTRIES = 1 << 16  # below it nothing is worth a look


@dataclass(frozen=True, eq=False)
class Nonzeros:
    """The nonzero entries of a matrix: where they are, and their values `[entries]` in row order."""

    pattern: Pattern
    values: Tensor


@dataclass(frozen=True, eq=False)
class _Seen:
    version: int
    found: Nonzeros | None


_SEEN = WeakTensorKeyDictionary()


def nonzeros(x: Tensor) -> Nonzeros | None:
    """The entries of `x` `[rows, columns]` if it is a constant that is mostly zero, else None; looked up once per tensor."""
    if x.requires_grad or x.dim() != 2 or x.numel() < MIN_ENTRIES or x.is_inference():
        return None
    seen = _SEEN.get(x)
    if seen is None or seen.version != x._version:
        seen = _Seen(x._version, _find(x))
        _SEEN[x] = seen
    return seen.found


def _find(x: Tensor) -> Nonzeros | None:
    if int(torch.count_nonzero(x)) > MAX_DENSITY * x.numel():
        return None
    rows, columns = x.nonzero(as_tuple=True)
    return Nonzeros(Pattern(rows, columns, x.size(0), x.size(1)), x[rows, columns])
