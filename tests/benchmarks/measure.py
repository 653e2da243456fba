"""Interleaved repeats, CPU time of one thread, and the spread of ratios.

A ratio is taken within a round, in which every candidate runs once after the other, so that whatever slows the machine for a
while slows all of them; the table has the median of the ratios and their quartiles. CPU time counts page faults too.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .plan import Plan
from .profiling import print_profiles
from .row import Row

_SAMPLE = 1e-2  # seconds: shorter work is repeated within a sample, after a call that is not timed
_WARM = 1.5  # seconds: shorter work is called twice before it is timed: a first call sorts, loads and finds
_AT_MOST = 4  # a comparison may take so many times what is meant, for the least number of rounds
OURS = "ours"


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of samples."""

    median: float
    low: float
    high: float
    rounds: int


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles."""
    low, median, high = (float(q) for q in np.quantile(np.asarray(samples, float), (0.25, 0.5, 0.75)))
    return Spread(median, low, high, len(samples))


def once(work: Callable[[], object]) -> float:
    """CPU seconds of one call, with what it allocates and frees; collections are left to run between calls."""
    gc.disable()
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    gc.enable()
    return seconds


def sample(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of a call, the mean over some repeats."""

    def repeated() -> None:
        for _ in range(repeats):
            work()

    return once(repeated) / repeats


@dataclass
class Kept:
    """Work whose last result is kept, for a look at its error."""

    work: Callable[[], Any]
    result: Any = None

    def __call__(self) -> Any:
        self.result = self.work()
        return self.result


def interleave(candidates: Mapping[str, Callable[[], object]], plan: Plan) -> dict[str, list[float]]:
    """CPU seconds of every candidate in every round.

    A first call of each is not counted, and says how often what is fast is repeated within a sample, and how many rounds
    there is time for; if there is none for a round, the first calls are the one round.
    """
    if plan.profile:
        print_profiles(candidates)
    first = {name: once(work) for name, work in candidates.items()}
    again = {name: min(s, once(candidates[name])) if s < _WARM else s for name, s in first.items()}
    total = sum(max(s, _SAMPLE) for s in again.values())
    rounds = min(plan.rounds[1], max(plan.rounds[0], int(plan.seconds / total)), max(1, int(_AT_MOST * plan.seconds / total)))
    if rounds == 1:
        return {name: [s] for name, s in again.items()}
    repeats = {name: max(1, math.ceil(_SAMPLE / max(s, 1e-6))) for name, s in again.items()}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        gc.collect()
        for name, work in candidates.items():
            if repeats[name] > 1:
                work()  # what ran before has emptied the caches; in a loop of steps they hold the candidate's own data
            seconds[name].append(sample(work, repeats[name]))
    return seconds


def ratio_rows(
    case: str, graph: str, seconds: Mapping[str, Sequence[float]], note: str = "", notes: Mapping[str, str] | None = None
) -> list[Row]:
    """A row per peer: its time over ours, by rounds."""
    rows = []
    for peer, theirs in seconds.items():
        if peer == OURS:
            continue
        s = spread([b / a for a, b in zip(seconds[OURS], theirs, strict=True)])
        own, other = (1e3 * spread(x).median for x in (seconds[OURS], theirs))
        more = "; ".join(text for text in (note, (notes or {}).get(peer, "")) if text)
        rows.append(Row(case, graph, peer, "ratio", s.median, s.low, s.high, s.rounds, own, other, "ms", more))
    return rows


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of the line through (log x, log y), by least squares."""
    return float(np.polyfit(np.log(np.asarray(x, float)), np.log(np.asarray(y, float)), 1)[0])


def copy_rate(megabytes: float, plan: Plan) -> Spread:
    """Bytes per second read and written by a copy within a reused buffer of so many megabytes."""
    count = max(1, int(megabytes * 1e6) // 4)
    source, target = torch.ones(count), torch.empty(count)
    seconds = interleave({OURS: lambda: target.copy_(source)}, plan)[OURS]
    return spread([8 * count / s for s in seconds])
