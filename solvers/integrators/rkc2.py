"""The Runge-Kutta-Chebyshev method of order 2."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

from .stabilised import Recursion, Stabilised

_DAMPING = 2 / 13


@dataclass(frozen=True)
class RKC2(Stabilised):
    """Runge-Kutta-Chebyshev, order 2, damped: stable for real eigenvalues up to `0.653 (s^2 - 1)` with s stages.

    The stability polynomial is `a_s + b_s T_s(w_0 + w_1 z)`, `w_0 = 1 + eps / s^2`, `eps = 2/13`, `w_1 = T_s'(w_0) /
    T_s''(w_0)`, `b_j = T_j''(w_0) / T_j'(w_0)^2`, `b_0 = b_1 = b_2`, `a_j = 1 - b_j T_j(w_0)`. The error estimate is
    `(12 (y - y_new) + 6 dt (f + f_new)) / 15`; cubic Hermite interpolant. Without damping on the imaginary axis: advection
    needs another method.

    Args:
        stages, radius, refresh: see `Stabilised`.

    Reference: Sommeijer, Shampine & Verwer (1997) J. Comp. Appl. Math. 88, 315.
    """

    order = dense_order = 2
    adaptive = True
    dense_output = True
    imaginary_stability = 0.0
    error_weight = 12 / 15

    @staticmethod
    def recursion(stages: int) -> Recursion:
        return _recursion(stages)

    @staticmethod
    def interval(stages: int) -> float:
        return 2 / 3 * (stages**2 - 1) * (1 - 2 / 15 * _DAMPING)

    @classmethod
    def needed(cls, z: float) -> int:
        return max(2, 1 + int(math.sqrt(1.54 * z + 1)))


@cache
def _recursion(s: int) -> Recursion:
    w0 = 1 + _DAMPING / s**2
    _, d, dd = chebyshev_at(s, w0)
    stages, _ = chebyshev_stages(s, w0, d[s] / dd[s])
    return replace(stages, c=(*stages.c[:-1], 1.0))


def chebyshev_at(s: int, x: float) -> tuple[list[float], list[float], list[float]]:
    """`T_0 .. T_s` at x, and their first and second derivatives."""
    t, d, dd = [1.0, x], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, s + 1):
        dd.append(4 * d[-1] + 2 * x * dd[-1] - dd[-2])
        d.append(2 * t[-1] + 2 * x * d[-1] - d[-2])
        t.append(2 * x * t[-1] - t[-2])
    return t, d, dd


def chebyshev_stages(s: int, w0: float, w1: float) -> tuple[Recursion, list[float]]:
    """The stages `1 - b_j T_j(w0) + b_j T_j(w0 + w1 z)`, `b_j = T_j''(w0) / T_j'(w0)^2`, and these b_j.

    From the second on, stage j has order 2 as a solution at `t + c_j dt`, `c_j = w1 T_j''(w0) / T_j'(w0)`.
    """
    t, d, dd = chebyshev_at(s, w0)
    b = [dd[max(j, 2)] / d[max(j, 2)] ** 2 for j in range(s + 1)]
    c = [0.0, b[1] * w1] + [w1 * dd[j] / d[j] for j in range(2, s + 1)]
    rows = []
    for j in range(2, s + 1):
        mu, nu, w = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], 2 * b[j] * w1 / b[j - 1]
        rows.append((mu, nu, w, -(1 - b[j - 1] * t[j - 1]) * w))
    return Recursion(tuple(c), b[1] * w1, tuple(rows)), b
