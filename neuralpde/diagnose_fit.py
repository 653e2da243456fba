"""The rate at which a positive quantity decays or grows: a robust slope of its logarithm, after the transient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

Array = NDArray[np.float64]

_MOST_POINTS = 200  # of the fit, which costs their square
_FEWEST = 4
_BENT = 0.05  # how much the slope may still change within the window, relative to it


@dataclass(frozen=True, eq=False)
class Fit:
    """`log mu(t) = log mu_0 + rate t` on a window, by Theil and Sen.

    Attributes:
        rate: the slope, per unit of t; NaN if it cannot be fitted.
        interval: its 95 % interval (Sen's, by ranks; it takes residuals as independent).
        intercept: log mu_0.
        r2: share of the variance of log mu in the window that the line explains; NaN where mu does not vary.
        window: first and last t of the window.
        points: records in it.
        note: what limits the fit: an end at the rounding floor, a slope that is still changing; "" if nothing does.
    """

    rate: float
    interval: tuple[float, float]
    intercept: float
    r2: float
    window: tuple[float, float]
    points: int
    note: str = ""

    def line(self, t: Array) -> Array:
        """The fitted quantity at times t."""
        with np.errstate(over="ignore"):
            return np.exp(self.intercept + self.rate * t)


def fit_rate(t: Array, values: Array, floor: Array) -> Fit:
    """Fit the rate of a positive series on its window after the transient.

    The series is read until it first reaches its floor (where rounding, not the dynamics, decides) or stops being finite;
    the window is the later half of that, in t. Where the slope in the window's two halves differs by more than 5 %, the
    note says that the transient is not over.

    Args:
        t: times or depths, increasing, `[records]`.
        values: the quantity there, `[records]`.
        floor: below which a value is rounding, `[records]`: 10 eps |X|^2 for an energy.

    Returns:
        A `Fit`.

    Reference: Theil (1950); Sen (1968), Estimates of the regression coefficient based on Kendall's tau.
    """
    above = np.isfinite(values) & (values > np.maximum(floor, np.finfo(np.float64).tiny))
    end = len(above) if above.all() else int(np.argmin(above))
    notes = []
    if end < len(above):
        why = "rounding takes over" if np.isfinite(values[end]) else "the values overflow"
        notes.append(f"the fit ends at {t[max(end - 1, 0)]:.4g}: beyond, {why}")
    t, values = t[:end], values[:end]
    later = t >= (t[0] + t[-1]) / 2 if end else np.zeros(0, dtype=bool)
    if later.sum() < _FEWEST:
        later = np.arange(end) >= min(1, end - 2)  # few records: all but the first
    t, logs = t[later], np.log(values[later])
    if len(t) < 3 or np.ptp(t) == 0:
        window = (float(t[0]), float(t[-1])) if len(t) else (np.nan, np.nan)
        notes.append(f"only {len(t)} records can be used for the rate, which is too few")
        return Fit(np.nan, (np.nan, np.nan), np.nan, np.nan, window, len(t), "; ".join(notes))
    rate, intercept, interval = _slope(t, logs)
    spread = float(((logs - logs.mean()) ** 2).sum())
    left = float(((logs - intercept - rate * t) ** 2).sum())
    r2 = 1 - left / spread if spread > 0 else np.nan
    if len(t) >= 2 * _FEWEST and abs(rate) * np.ptp(t) > 0.1:
        half = len(t) // 2
        early, late = _slope(t[:half], logs[:half])[0], _slope(t[half:], logs[half:])[0]
        if abs(early - late) > _BENT * abs(rate):
            notes.append(f"the slope still changes in the window, from {early:.3g} to {late:.3g}: look further")
    return Fit(rate, interval, intercept, r2, (float(t[0]), float(t[-1])), len(t), "; ".join(notes))


def envelope(t: Array, values: Array, share: float = 0.125) -> Array:
    """The largest value within `share` of the whole span around each time: what an oscillation swings up to."""
    reach = share * np.ptp(t) / 2
    with np.errstate(invalid="ignore"):
        return np.array([np.max(values[np.abs(t - at) <= reach]) for at in t])


def _slope(t: Array, logs: Array) -> tuple[float, float, tuple[float, float]]:
    at = np.linspace(0, len(t) - 1, min(len(t), _MOST_POINTS)).astype(int)
    slope, intercept, low, high = np.asarray(theilslopes(logs[at], t[at]), dtype=np.float64).tolist()
    return slope, intercept, (low, high)
