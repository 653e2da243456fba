"""Coefficients of ROCK2 for any number of stages, computed when they are first asked for.

With `u = a + d z`, `w(u) = (u - alpha)^2 + beta^2` and P the polynomial of degree `s - 2` that is orthogonal on [-1, 1] with
the weight `w(u)^2 / sqrt(1 - u^2)`,

    R(z) = w(u) P(u) / (w(a) P(a))

oscillates with nearly equal amplitudes on -1 <= u <= 1. `alpha` and `beta` make that amplitude 0.95 on an interval of nearly
the greatest length; `a` and `d` follow from `R'(0) = R''(0) = 1`. In units of 1/s^2 all four tend to limits, so that two
formulas take the place of the published tables.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.fft import dct
from scipy.optimize import brentq

from .rkc2 import chebyshev_stages
from .stabilised import Recursion

_ALPHA = -3.0  # (alpha - 1) s^2: the interval is longest there within 0.1 %; its length depends on alpha very little
_BETA = (3.371, 1.97, 8.0)  # beta s^2 as a polynomial in 1/s^2: an amplitude of 0.95 within 0.003 for every s


@cache
def rock2_coefficients(stages: int) -> tuple[Recursion, float]:
    """The recursion of `s >= 2` stages, and the length `(a + 1) / d` of its damped interval; O(s^2), 3 ms for 200 stages.

    `R = sum_j g_j T_j(a + d z)`, T_j the Chebyshev polynomials: the stages are those of RKC with `w_0 = a`, `w_1 = d`, and
    the new state is their sum with the weights `g_j / b_j`. Rounding grows as s^2, and the error is the same multiple of
    `y'''` on any field. (The published scheme follows the recursion of P and multiplies by w in two last stages: rounding
    grows as `w(-1) / w(a) = 0.18 s^4` there, which is 2 % of the state for 40 stages in single precision.)
    """
    s = stages
    alpha = 1 + _ALPHA / s**2
    beta = sum(b / s ** (2 * k) for k, b in enumerate(_BETA)) / s**2
    u = np.cos((2 * np.arange(s + 1) + 1) * math.pi / (2 * s + 2))
    at_nodes, centres, lengths = _orthogonal(s - 2, u, ((u - alpha) ** 2 + beta**2) ** 2)

    def product(x: float) -> tuple[float, float, float]:
        """`w P` and its first two derivatives."""
        p, dp, ddp = _at(centres, lengths, x)
        w, dw = (x - alpha) ** 2 + beta**2, 2 * (x - alpha)
        return w * p, dw * p + w * dp, 2 * p + 2 * dw * dp + w * ddp

    def curvature(x: float) -> float:
        r, dr, ddr = product(x)
        return r * ddr / dr**2 - 1

    a = float(brentq(curvature, 1.0, 1 + 2 / s**2, xtol=1e-15, rtol=1e-15))  # type: ignore[arg-type]
    r, dr, _ = product(a)
    d = r / dr
    sums = np.asarray(dct(((u - alpha) ** 2 + beta**2) * at_nodes / r, type=2)) / (s + 1)
    sums[0] /= 2
    found, b = chebyshev_stages(s, a, d)
    t, b = np.cosh(np.arange(s + 1) * math.acosh(a)), np.array(b)
    weights = sums / b
    ones = np.ones_like(u)
    weights[0] = sums @ t - ones[1:] @ weights[1:]
    weights /= ones @ weights  # 1 but for rounding: a constant state stays one
    length = (a + 1) / d if s > 2 else 2.0  # with two stages R = 1 + z + z^2 / 2 whatever w is
    return replace(found, weights=tuple(weights.tolist())), length


def _orthogonal(n: int, u: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, list[float], list[float]]:
    """The polynomial of degree n at the nodes, and `lengths_k q_{k+1} = (u - centres_k) q_k - lengths_{k-1} q_{k-1}`.

    Stieltjes' procedure, orthonormal; with n + 3 Chebyshev nodes all inner products are exact.
    """
    before, now, length = np.zeros_like(u), np.ones_like(u), 0.0
    weight = weight / (now @ weight)
    centres: list[float] = []
    lengths: list[float] = []
    for _ in range(n):
        centres.append(float(weight @ (u * now * now)))
        after = (u - centres[-1]) * now - length * before
        length = math.sqrt(float(weight @ (after * after)))
        lengths.append(length)
        before, now = now, after / length
    return now, centres, lengths


def _at(centres: list[float], lengths: list[float], x: float) -> tuple[float, float, float]:
    """The last polynomial and its first two derivatives."""
    p0 = dp0 = ddp0 = dp = ddp = length = 0.0
    p = 1.0
    for centre, after in zip(centres, lengths, strict=True):
        gap = x - centre
        ddp0, ddp = ddp, (gap * ddp + 2 * dp - length * ddp0) / after
        dp0, dp = dp, (gap * dp + p - length * dp0) / after
        p0, p = p, (gap * p - length * p0) / after
        length = after
    return p, dp, ddp
