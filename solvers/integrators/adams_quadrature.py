"""Integrals of the polynomial through slopes at any times: `y + dt sum_j w_j(theta) f_j`, `w_j(theta) = int_0^theta l_j`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Quadrature:
    """`y(t + theta dt) = y + dt sum_j w_j(theta) f_j`: the polynomial that a step integrates."""

    y: Tensor
    dt: float
    nodes: tuple[float, ...]
    slopes: tuple[Tensor, ...]

    def __call__(self, theta: float) -> Tensor:
        return combined(self.y, self.dt, weights(self.nodes, theta), self.slopes)


@cache
def _gauss() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1], exact for the products of 12 factors."""
    x, w = np.polynomial.legendre.leggauss(7)
    return (x + 1) / 2, w / 2


def weights(nodes: Sequence[float], theta: float) -> list[float]:
    """`int_0^theta l_j(s) ds` for the Lagrange polynomials on the nodes."""
    x, w = _gauss()
    at, points = theta * x, np.asarray(nodes)
    apart = points[:, None] - points
    np.fill_diagonal(apart, 1.0)
    factors = (at[:, None, None] - points) / apart  # [quadrature, j, other node]
    index = np.arange(len(points))
    factors[:, index, index] = 1.0
    return list(theta * (w @ np.multiply.reduce(factors, -1)))


def combined(y: Tensor, dt: float, w: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """`y + dt sum_j w_j f_j`."""
    out = torch.add(y, slopes[0], alpha=dt * w[0])
    for c, f in zip(w[1:], slopes[1:], strict=True):
        out.add_(f, alpha=dt * c)
    return out


def difference(dt: float, nodes: tuple[float, ...], known: tuple[Tensor, ...], q: int) -> Tensor:
    """What the corrector of order q and that of order q - 1 differ by."""
    high, low = weights(nodes[:q], 1.0), [*weights(nodes[: q - 1], 1.0), 0.0]
    zero = torch.zeros_like(known[0])
    return combined(zero, dt, [a - b for a, b in zip(high, low, strict=True)], [f.detach() for f in known[:q]])
