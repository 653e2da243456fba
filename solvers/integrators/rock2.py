"""The orthogonal Runge-Kutta-Chebyshev method of order 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .rock2_coefficients import rock2_coefficients
from .stabilised import Recursion, Stabilised


@dataclass(frozen=True)
class ROCK2(Stabilised):
    """Orthogonal Runge-Kutta-Chebyshev, order 2, damped: stable for real eigenvalues up to about `0.807 s^2` with s stages.

    The stability polynomial is `w P`: w is quadratic with complex zeros and P orthogonal with the weight
    `w^2 / sqrt(1 - u^2)` on the interval, so that the product oscillates evenly between -0.95 and 0.95. The interval is a
    quarter longer than that of `RKC2` with the same stages. Stages and weights: see `rock2_coefficients`. The error
    estimate is that of `RKC2` with this method's error constant; cubic Hermite interpolant. For real spectra: advection
    needs another method.

    Args:
        stages, radius, refresh: see `Stabilised`.

    Reference: Abdulle & Medovikov (2001) Numer. Math. 90, 1.
    """

    order = dense_order = 2
    adaptive = True
    dense_output = True
    imaginary_stability = 0.0
    error_weight = 0.843

    @staticmethod
    def recursion(stages: int) -> Recursion:
        return rock2_coefficients(stages)[0]

    @staticmethod
    def interval(stages: int) -> float:
        return rock2_coefficients(stages)[1]

    @classmethod
    def needed(cls, z: float) -> int:
        return 2 if z <= 2 else max(3, math.ceil(math.sqrt((z + 1.2) / 0.807)))
