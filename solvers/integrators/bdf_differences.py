"""Backward differences of states at equal distances: `D_0 = y_n, D_j(n) = D_{j-1}(n) - D_{j-1}(n-1)`, `[rows, *state]`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def weighted(weights: Sequence[float], rows: Tensor) -> Tensor:
    """`sum_j w_j D_j` over the first rows."""
    w = torch.tensor(weights, dtype=rows.dtype, device=rows.device)
    return torch.tensordot(w, rows[: len(weights)], 1)


def of_states(states: Sequence[Tensor]) -> Tensor:
    """The differences of states, newest first."""
    level, rows = torch.stack(list(states)), []
    while len(level):
        rows.append(level[0])
        level = level[:-1] - level[1:]
    return torch.stack(rows)


def rescaled(rows: Tensor, ratio: float) -> Tensor:
    """The differences, of the same polynomial, of states that are `ratio` times as far apart (Shampine & Reichelt, eq. 7)."""
    change = _table(len(rows) - 1, ratio) @ _table(len(rows) - 1, 1.0)
    return torch.tensordot(torch.as_tensor(change.T, dtype=rows.dtype, device=rows.device), rows, 1)


def _table(order: int, ratio: float) -> np.ndarray:
    i, j = np.arange(1, order + 1)[:, None], np.arange(1, order + 1)
    factors = np.zeros((order + 1, order + 1))
    factors[0] = 1
    factors[1:, 1:] = (i - 1 - ratio * j) / i
    return np.cumprod(factors, axis=0)


def advanced(rows: Tensor, new: Tensor, last: Tensor, earlier: Tensor) -> Tensor:
    """The differences at the next state.

    Args:
        rows: `D_0 ... D_k` at the current state.
        new: the next state.
        last: `D_{k+1}` there: what it differs from the prediction `sum_j D_j`.
        earlier: `D_{k+1}` at the current state.

    Returns:
        `D_0 ... D_{k+2}` at the next state.
    """
    filled = torch.cat((rows, last.unsqueeze(0))).flip(0).cumsum(0).flip(0)
    return torch.cat((new.unsqueeze(0), filled[1:], (last - earlier).unsqueeze(0)))


def inside(rows: Tensor, theta: float) -> Tensor:
    """The polynomial through the states at `t_n + (theta - 1) dt`, by Newton's backward formula."""
    weights = [1.0]
    for j in range(1, len(rows)):
        weights.append(weights[-1] * (theta - 2 + j) / j)
    return weighted(weights, rows)
