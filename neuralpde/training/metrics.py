"""Accuracies over splits and seeds in a few numbers: mean, spread, interval, and differences with their errors.

Seeds are averaged within each split, and the splits are the sample: runs on one split are not independent of each other.
Where there is one split only (a public one), its seeds are the sample, and say nothing about other splits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

Scores = Mapping[Any, Sequence[float]]
_LEVEL = 0.975  # both sides: 95 %


@dataclass(frozen=True)
class Summary:
    """A sample of scores; all in the unit of the scores.

    Args:
        mean: over the sample.
        std: standard deviation of the sample, with n - 1; nan for a sample of one.
        count: n, the size of the sample: splits, or the seeds of a single split.
        runs: how many runs there were.
    """

    mean: float
    std: float
    count: int
    runs: int

    @property
    def standard_error(self) -> float:
        """Of the mean, std / sqrt(n)."""
        return self.std / math.sqrt(self.count)

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 % for the mean, by Student's t with n - 1 degrees of freedom; nan for a sample of one."""
        half = _quantile(self.count - 1) * self.standard_error
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Difference:
    """The difference of two means.

    Args:
        value: first minus second.
        standard_error: of it.
        freedom: degrees of freedom of that error.
        pairs: number of splits on which both were run, for a paired difference; else 0.
    """

    value: float
    standard_error: float
    freedom: float
    pairs: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 %, by Student's t."""
        half = _quantile(self.freedom) * self.standard_error
        return self.value - half, self.value + half

    @property
    def in_errors(self) -> float:
        """The difference in units of its standard error."""
        return self.value / self.standard_error if self.standard_error else math.copysign(math.inf, self.value)


def summarise(scores: Scores) -> Summary:
    """Mean and standard deviation over splits, with the seeds averaged within each.

    Args:
        scores: for each split the scores of its seeds.

    Raises:
        ValueError: there are none.

    Example:
        >>> s = summarise({"split 0": [0.80, 0.82], "split 1": [0.84]})
        >>> round(s.mean, 4), s.count, s.runs
        (0.825, 2, 3)
    """
    if not scores or not all(scores.values()):
        raise ValueError(f"there are no scores to summarise: {dict(scores)}; expected at least one for each split")
    runs = sum(len(values) for values in scores.values())
    sample = list(next(iter(scores.values()))) if len(scores) == 1 else list(_by_split(scores).values())
    return _of(sample, runs)


def published(mean: float, std: float, count: int) -> Summary:
    """A published mean and standard deviation over so many splits (or seeds of one split)."""
    return Summary(mean, std, count, count)


def difference(first: Summary, second: Summary) -> Difference:
    """Difference of the means of two independent samples, with Welch's error and degrees of freedom."""
    parts = [(s.standard_error**2, s.count - 1) for s in (first, second)]
    variance = sum(v for v, _ in parts)
    below = sum(v**2 / n for v, n in parts if n > 0)
    freedom = variance**2 / below if below else math.nan
    return Difference(first.mean - second.mean, math.sqrt(variance), freedom)


def split_differences(first: Scores, second: Scores) -> dict[Any, float]:
    """First minus second on each split that both have, with the seeds averaged within it."""
    a, b = _by_split(first), _by_split(second)
    return {split: a[split] - b[split] for split in a if split in b}


def paired_difference(first: Scores, second: Scores) -> Difference:
    """Mean of `split_differences`.

    What makes one split harder than another falls out, so the error is smaller than that of `difference`.

    Raises:
        ValueError: fewer than two splits in common.
    """
    gains = split_differences(first, second)
    if len(gains) < 2:
        raise ValueError(f"{len(gains)} splits in common; a paired difference needs two: run both on the same splits")
    found = _of(list(gains.values()), len(gains))
    return Difference(found.mean, found.standard_error, len(gains) - 1, len(gains))


def reaches(ours: Summary, theirs: Summary, margin: float = 0.01, larger: bool = True) -> bool:
    """Whether `ours >= theirs - max(margin, 1.96 standard errors of the difference)`; an unknown error counts as none.

    Args:
        larger: False for scores of which the smaller is better: then `ours <= theirs + max(...)`.
    """
    return shortfall(ours, theirs, margin, larger) <= 0


def shortfall(ours: Summary, theirs: Summary, margin: float = 0.01, larger: bool = True) -> float:
    """By how much ours would have to be better to reach theirs; not positive where it does. Arguments: those of `reaches`."""
    error = difference(ours, theirs).standard_error
    allowed = max(margin, 0.0 if math.isnan(error) else 1.96 * error)
    return theirs.mean - allowed - ours.mean if larger else ours.mean - (theirs.mean + allowed)


def _by_split(scores: Scores) -> dict[Any, float]:
    return {split: math.fsum(values) / len(values) for split, values in scores.items()}


def _of(sample: Sequence[float], runs: int) -> Summary:
    n = len(sample)
    mean = math.fsum(sample) / n
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in sample) / (n - 1)) if n > 1 else math.nan
    return Summary(mean, std, n, runs)


def _quantile(freedom: float) -> float:
    return float(stdtrit(freedom, _LEVEL)) if freedom > 0 else math.nan
