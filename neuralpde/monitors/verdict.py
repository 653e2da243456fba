"""What a series of energies and norms says, in words: decaying, stationary or growing, in scale and in shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes
from torch import Tensor

LARGE, SMALL = 10.0, 2.0  # a change beyond LARGE is a trend, one within SMALL is none; between them nothing is said
_MOST_POINTS = 200  # of the fit, which costs their square
_MEANINGS = {
    ("stationary", "decaying"): "oversmoothing",
    ("decaying", "decaying"): "collapsing and oversmoothing",
    ("growing", "decaying"): "exploding and oversmoothing",
    ("stationary", "stationary"): "steady",
    ("decaying", "stationary"): "fading, with its shape kept",
    ("growing", "stationary"): "exploding, with its shape kept",
    ("stationary", "growing"): "sharpening",
    ("decaying", "growing"): "fading and sharpening",
    ("growing", "growing"): "exploding and sharpening",
    ("decaying", "inconclusive"): "fading, shape inconclusive",
    ("growing", "inconclusive"): "exploding, shape inconclusive",
    ("inconclusive", "decaying"): "oversmoothing, scale inconclusive",
    ("inconclusive", "stationary"): "shape kept, scale inconclusive",
    ("inconclusive", "growing"): "sharpening, scale inconclusive",
}

Numbers = Tensor | Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Trend:
    """What one positive series does.

    Attributes:
        word: "decaying" or "growing" (the last value differs from the first by more than 10x, and the 95 % interval of
            the slope over the whole series lies on that side of 0, if there is one), "stationary" (all values within 2x of each
            other), else "inconclusive".
        rate: slope of log(value) against time, by Theil and Sen, over the later half of the series; NaN if none can be fitted.
        interval: 95 % interval of the rate (for independent residuals).
        change: last value / first value.
    """

    word: str
    rate: float
    interval: tuple[float, float]
    change: float

    @property
    def stopped(self) -> bool:
        """Whether the rate over the later half does not differ from 0."""
        return self.interval[0] <= 0 <= self.interval[1]

    def __str__(self) -> str:
        rate = "" if np.isnan(self.rate) else f", rate {self.rate:+.3g} [{self.interval[0]:+.3g}, {self.interval[1]:+.3g}]"
        return f"{self.word} (x{self.change:.3g}{rate})"


@dataclass(frozen=True)
class Verdict:
    """Trends of scale (norm) and shape (energy / norm^2), of the rank above one if it was given, and what they mean."""

    scale: Trend
    shape: Trend
    rank: Trend | None = None
    note: str = ""

    @property
    def meaning(self) -> str:
        """In a few words ("oversmoothing", "exploding, with its shape kept, rank collapsing"), or "inconclusive"."""
        found = _MEANINGS.get((self.scale.word, self.shape.word), "inconclusive")
        collapsing = self.rank is not None and self.rank.word == "decaying" and self.shape.word != "decaying"
        return f"{found}, rank collapsing" if collapsing else found

    def __str__(self) -> str:
        parts = [f"scale {self.scale}", f"shape {self.shape}"]
        parts += [f"rank above 1 {self.rank}"] if self.rank is not None else []
        return f"{self.meaning}: " + "; ".join(parts) + (f"; {self.note}" if self.note else "")


def verdict(t: Numbers, energy: Numbers, norm: Numbers, rank: Numbers | None = None, *, eps: float = 2.2e-16) -> Verdict:
    """Judge scale and shape of a run, or of a network layer by layer.

    The energy alone says neither: it falls when features shrink and when they smooth. Scale is the norm |X|; shape is
    `E / |X|^2`, the Rayleigh quotient, free of scale. Values of shape at the rounding floor (10 eps)^2 count as the floor
    and are left out of the fitted rate, as are those of rank - 1 below 10 eps. A series that stops being finite is judged
    until then, and the note says so; it also says from when on all features are 0, which is a scale that decays.

    Args:
        t: times, or depths, increasing, `[records]`.
        energy: Dirichlet energy there, `[records]` (of one graph).
        norm: norm of the features there.
        rank: effective or numerical rank there; its trend is that of rank - 1, the distance from collapse.
        eps: unit roundoff of the computation that made the features (1.2e-7 for float32).

    Returns:
        A `Verdict`; `str` of it is a sentence.

    Raises:
        ValueError: the series differ in length, or hold negative values.

    Reference: Rusch, Bronstein & Mishra (2023), A survey on oversmoothing in graph neural networks (exponential decay);
        Theil (1950), Sen (1968).
    """
    given = {"t": t, "energy": energy, "norm": norm} | ({} if rank is None else {"rank": rank})
    rows = {name: _numbers(name, values) for name, values in given.items()}
    lengths = {name: len(values) for name, values in rows.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the series have {lengths} records; expected equally many")
    with np.errstate(all="ignore"):
        shape = rows["energy"] / rows["norm"] / rows["norm"]
    finite = np.isfinite(rows["energy"]) & np.isfinite(rows["norm"]) & np.isfinite(rows["t"])
    end = len(finite) if finite.all() else int(np.argmin(finite))
    note = "" if end == len(finite) else f"not finite from t = {rows['t'][end]:.4g} on"
    at = rows["t"][:end]
    distance = _trend(at, rows["rank"][:end] - 1, 10 * eps) if "rank" in rows else None
    vanished = rows["norm"][:end] == 0
    shape = np.where(vanished, np.nan, shape[:end])
    scale = _trend(at, rows["norm"][:end], float(np.finfo(np.float64).tiny))
    if end and vanished[-1] and not vanished.all():
        first = at[np.flatnonzero(~vanished)[-1] + 1]
        scale = replace(scale, word="decaying")  # whatever the slope before
        note = "; ".join(one for one in (note, f"all features are 0 from t = {first:.4g} on (units that are dead)") if one)
    return Verdict(scale, _trend(at, shape, (10 * eps) ** 2), distance, note)


def _trend(t: NDArray[np.float64], values: NDArray[np.float64], floor: float) -> Trend:
    known = np.isfinite(values)
    t, values = t[known], values[known]
    if len(values) < 2:
        return Trend("inconclusive", np.nan, (np.nan, np.nan), np.nan)
    above = values > floor
    values = np.maximum(values, floor)
    with np.errstate(all="ignore"):
        change, spread = float(values[-1] / values[0]), float(values.max() / values.min())
    later = above & (t >= (t[0] + t[-1]) / 2)
    rate, interval = _rate(t, values, later if later.sum() >= 4 else above)
    _, whole = _rate(t, values, above)
    if spread < SMALL:
        word = "stationary"
    elif change < 1 / LARGE and not whole[1] >= 0:
        word = "decaying"
    elif change > LARGE and not whole[0] <= 0:
        word = "growing"
    else:
        word = "inconclusive"
    return Trend(word, rate, interval, change)


def _rate(t: NDArray[np.float64], values: NDArray[np.float64], use: NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    at = np.flatnonzero(use)
    at = at[np.linspace(0, len(at) - 1, min(len(at), _MOST_POINTS)).astype(int)] if len(at) else at
    if len(at) < 3 or np.ptp(t[at]) == 0:
        return np.nan, (np.nan, np.nan)
    slope, _, low, high = np.asarray(theilslopes(np.log(values[at]), t[at]), dtype=np.float64).tolist()
    return slope, (low, high)


def _numbers(name: str, values: Numbers) -> NDArray[np.float64]:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    array = np.asarray(array, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; expected [records], the series of one graph: values[:, g]")
    if name != "t" and (array < 0).any():
        raise ValueError(f"{name} has a negative value, {array.min():.3g}; expected energies, norms or ranks")
    return array
