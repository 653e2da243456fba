"""The Runge-Kutta-Legendre method of order 2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from .stabilised import Recursion, Stabilised


@dataclass(frozen=True)
class RKL2(Stabilised):
    """Runge-Kutta-Legendre, order 2: stable for real eigenvalues up to `(s^2 + s - 2) / 2` with s stages.

    The stability polynomial is `a_s + b_s P_s(1 + w_1 z)`, `w_1 = 4 / (s^2 + s - 2)`, `b_j = (j^2 + j - 2) / (2 j (j + 1))`,
    `a_j = 1 - b_j`, P_s the Legendre polynomial: |P_s| < 1 inside, so that no damping parameter is needed. An odd number of
    stages damps at the end of the interval too, and is what is chosen. The error estimate is
    `(12 (y - y_new) + 6 dt (f + f_new)) / 18`, the principal error for many stages; cubic Hermite interpolant.

    Args:
        stages, radius, refresh: see `Stabilised`.

    Reference: Meyer, Balsara & Aslam (2014) J. Comp. Phys. 257, 594.
    """

    order = dense_order = 2
    adaptive = True
    dense_output = True
    imaginary_stability = 0.0
    error_weight = 12 / 18

    @staticmethod
    def recursion(stages: int) -> Recursion:
        return _recursion(stages)

    @staticmethod
    def interval(stages: int) -> float:
        return (stages**2 + stages - 2) / 2

    @classmethod
    def needed(cls, z: float) -> int:
        stages = max(3, math.ceil((math.sqrt(9 + 8 * z) - 1) / 2))
        return stages + 1 - stages % 2


@cache
def _recursion(s: int) -> Recursion:
    w1 = 4 / (s**2 + s - 2)
    b = [1 / 3, 1 / 3] + [(j * j + j - 2) / (2 * j * (j + 1)) for j in range(2, s + 1)]
    c = [0.0, b[1] * w1] + [(j * j + j - 2) / (s * s + s - 2) for j in range(2, s + 1)]
    rows = []
    for j in range(2, s + 1):
        mu, nu = (2 * j - 1) / j * b[j] / b[j - 1], -(j - 1) / j * b[j] / b[j - 2]
        rows.append((mu, nu, mu * w1, -(1 - b[j - 1]) * mu * w1))
    return Recursion(tuple(c), b[1] * w1, tuple(rows))
