"""Coefficients of matrix functions in Chebyshev polynomials and in powers, cut off before any product is made.

    f(A) = sum_k a_k T_k((A - c) / r),   spectrum of A in [c - r, c + r];   |what is cut off| <= sum_{k > K} |a_k|

For the exponential `a_k = (2 - [k = 0]) e^{t c} I_k(t r)` with modified Bessel functions; for others the a_k are the cosine
transform of f at Chebyshev's points. In powers, `exp(t A) = sum_k Pr(N = k) (I + A / q)^k`, N Poisson with mean q t.

Reference: Tal-Ezer & Kosloff (1984) J. Chem. Phys. 81, 3967; Jensen (1953) and Grassmann (1977), uniformisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, special

from .phi import PhiSum

_MOST = 1 << 20  # coefficients


@dataclass(frozen=True, eq=False)
class Series:
    """`y_i = sum_b p_{b,i}(A) v_b`: polynomials in `X = (A - centre) / radius`.

    Args:
        powers: whether the basis is `X^k`; else it is `T_k(X)`.
        centre, radius: of the interval that X maps to [-1, 1].
        coefficients: `[blocks, outputs, degree + 1]`.
        times: the t_i if the first block is `exp(t_i A)` and the second, where there is one, `t_i phi_1(t_i A)`; else None.
    """

    powers: bool
    centre: float
    radius: float
    coefficients: np.ndarray
    times: tuple[float, ...] | None = None

    @property
    def degree(self) -> int:
        return self.coefficients.shape[-1] - 1

    @property
    def transposed(self) -> Series:
        """Outputs for blocks and blocks for outputs: with the adjoint operator, the adjoint of the map."""
        return Series(self.powers, self.centre, self.radius, self.coefficients.transpose(1, 0, 2))


def chebyshev_series(
    functions: Sequence[Sequence[PhiSum]], bounds: tuple[float, float], rtol: float, times: Sequence[float] | None = None
) -> Series:
    """Chebyshev series of functions on an interval, each cut off where the rest is below rtol, relative to f(0).

    Args:
        functions: `[blocks][outputs]`.
        bounds: an interval that contains the spectrum.
        rtol: the tolerance.
        times: see `Series`.
    """
    lo, hi = bounds
    centre = (lo + hi) / 2
    longest = max((abs(c) for block in functions for f in block for _, _, c in f.terms), default=0.0) or 1.0
    radius = max((hi - lo) / 2, 1e-3 * max(abs(lo), abs(hi)), 1e-6 / longest)  # a coefficient below 1e-6 would lose its digits
    rows = [[_cut(_coefficients(f, centre, radius), f, rtol) for f in block] for block in functions]
    return Series(False, centre, radius, _padded(rows), None if times is None else tuple(times))


def poisson_series(times: Sequence[float], rate: float, growth: float, rtol: float, source: bool) -> Series:
    """The uniformised series of `exp(t A)` and, with a source, of `t phi_1(t A)`: all coefficients positive for t > 0.

    Args:
        times: the t_i.
        rate: q, at least as large as every exit rate `-a_ii`.
        growth: a bound of the logarithmic norm of A, 0 for a generator: `|exp(t A)| <= exp(t growth)`.
        rtol: the tail of the Poisson distribution that is cut off.
        source: whether there is a second block, `t phi_1(t A)`.
    """
    rows, integrals = [], []
    for t in times:
        mean = rate * abs(t)
        top = abs(t) * (rate + max(growth, 0.0))
        count = int(top + 12 * math.sqrt(top) + 80)
        k = np.arange(count + 1)
        keep = 2 + int(np.argmax(special.pdtrc(k, top) <= rtol)) if top > 0 else 1  # one more: so is the gradient's tail
        k = k[:keep]
        with np.errstate(divide="ignore"):
            weights = np.exp(special.xlogy(k, mean) - mean - special.gammaln(k + 1)) if mean else (k == 0) * 1.0
        if t < 0:
            weights = weights * np.where(k % 2, -1.0, 1.0) * math.exp(2 * mean)
        rows.append(weights)
        # t phi_1(t A) is the integral of exp(s A): its weights are those of exp(t A) beyond k, over the rate
        integrals.append(_integrated(k, mean) * math.copysign(1.0, t) / rate if t >= 0 else _integrated_back(weights, rate))
    blocks = [rows, integrals] if source else [rows]
    return Series(True, -rate, rate, _padded(blocks), tuple(times))


def _integrated(k: np.ndarray, mean: float) -> np.ndarray:
    return special.gammainc(k + 1.0, mean)


def _integrated_back(weights: np.ndarray, rate: float) -> np.ndarray:
    """The integral of `sum_k w_k(s) X^k` for s from 0 to t < 0: `w_k' = rate (w_{k-1} - w_k)` gives it term by term."""
    return (1.0 - np.cumsum(weights)) / rate


def _coefficients(f: PhiSum, centre: float, radius: float) -> np.ndarray:
    if len(f.terms) == 1 and f.terms[0][1] == 0:
        weight, _, t = f.terms[0]
        x = abs(t * radius)
        k = np.arange(int(x + 12 * math.sqrt(x) + 80) if x < 100 else int(12 * math.sqrt(x) + 200))
        a = 2.0 * weight * math.exp(t * centre + x) * special.ive(k, x)
        a[0] /= 2
        return a * np.where((k % 2 == 1) & (t < 0), -1.0, 1.0)
    count = 64
    while True:
        nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        values = f(centre + radius * nodes)
        a = np.asarray(fft.dct(values, type=2)) / count
        a[0] /= 2
        largest = float(np.abs(values).max())  # coefficients are computed to rounding errors of this, not of their own size
        if np.abs(a[-count // 8 :]).max() <= 1e-15 * max(largest, 1e-300) or count >= _MOST:
            return a
        count *= 2


def _cut(a: np.ndarray, f: PhiSum, rtol: float) -> np.ndarray:
    unit = sum(abs(w) / math.factorial(k) for w, k, _ in f.terms)  # the size of f at zero
    rest = np.cumsum(np.abs(a)[::-1])[::-1]  # rest[k] = sum of |a_j|, j >= k
    needed = int((rest > max(rtol * unit, 1e-16 * float(rest[0]))).sum())
    return a[: max(needed, 1)]


def _padded(rows: list[list[np.ndarray]]) -> np.ndarray:
    width = max(len(a) for block in rows for a in block)
    out = np.zeros((len(rows), len(rows[0]), width))
    for b, block in enumerate(rows):
        for i, a in enumerate(block):
            out[b, i, : len(a)] = a
    return out
