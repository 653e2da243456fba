"""What a solve returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .events import Crossing


@dataclass(frozen=True)
class Stats:
    """What a solve cost: accepted and rejected steps, field evaluations, operator products, linear iterations."""

    steps: int = 0
    accepted: int = 0
    rejected: int = 0
    evaluations: int = 0
    products: int = 0
    linear_iterations: int = 0


@dataclass(frozen=True, eq=False)
class PerGraphSteps:
    """The steps that each graph of a batch took by itself (`PerGraph(batch, own_steps=True)`).

    Attributes:
        accepted, rejected: numbers of steps, `[graphs]`.
        status: "ok" or the reason of a failure, one for each graph.
        times: of each graph, the times at which its accepted steps end, the initial time first; float64.
    """

    accepted: Tensor
    rejected: Tensor
    status: Sequence[str]
    times: Sequence[Tensor] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Segment:
    """The solution over one accepted step: `evaluate(t)` for `t` between `start` and `end`."""

    start: float
    end: float
    evaluate: Callable[[float], Tensor]


@dataclass(frozen=True, eq=False)
class Solution:
    """The result of `solve`.

    Attributes:
        t: times of the saved states, `[times]`, float64.
        y: saved states, `[times, *state]`.
        stats: what it cost.
        status: "ok", "event", or the reason of a failure.
        message: the status in words, with the method that ran and why it was chosen.
        t_event, y_event: where a terminal event stopped the solve.
        crossings: every event on the way, in the order of integration, the terminal one included.
        per_graph: the steps of each graph, where each took its own.
        restore: turns a tensor into the structure of the state, where that is a tuple, list or dict.
    """

    t: Tensor
    y: Tensor
    stats: Stats
    status: str
    message: str = ""
    method: str = ""
    segments: Sequence[Segment] = field(default=(), repr=False)
    t_event: Tensor | None = None
    y_event: Tensor | None = None
    crossings: Sequence[Crossing] = ()
    per_graph: PerGraphSteps | None = None
    restore: Callable[[Tensor], Any] | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        return self.status in ("ok", "event")

    def __call__(self, t: float | Tensor) -> Any:
        """The solution at any time of the interval, by the method's own interpolant; needs `save="dense"`.

        Args:
            t: a time, or `[k]` times.

        Returns:
            `[*state]`, or `[k, *state]`.
        """
        if not self.segments:
            raise ValueError('sol(t) needs the interpolants of all steps: solve(..., save="dense")')
        times = torch.as_tensor(t, dtype=torch.float64)
        y = torch.stack([self._at(v) for v in times.tolist()]) if times.dim() else self._at(float(t))
        return y if self.restore is None else self.restore(y)

    def _at(self, at: float) -> Tensor:
        forward = self.segments[-1].end >= self.segments[0].start
        first, last = self.segments[0].start, self.segments[-1].end
        if not min(first, last) <= at <= max(first, last):
            raise ValueError(f"t = {at} lies outside the solved interval [{first}, {last}]")
        lo, hi = 0, len(self.segments) - 1
        while lo < hi:
            mid = (lo + hi) // 2
            beyond = at > self.segments[mid].end if forward else at < self.segments[mid].end
            lo, hi = (mid + 1, hi) if beyond else (lo, mid)
        return self.segments[lo].evaluate(at)
