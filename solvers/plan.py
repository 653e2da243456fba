"""What is wanted of a solve, and when: states to save, callbacks to call, events to look for."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .events import Event
from .protocols import Callback

ROUNDING = 1e-12  # of the interval: times closer than this are one


@dataclass(frozen=True)
class Plan:
    """The outputs of one solve.

    Args:
        times: times at which the solution is wanted; the first is the initial one.
        save: "times", "final", "steps" or "dense".
        callbacks: watchers.
        events: crossings that end the solve.
        max_steps: steps after which the solve fails.
    """

    times: Sequence[float]
    save: str = "times"
    callbacks: Sequence[Callback] = ()
    events: Sequence[Event] = ()
    max_steps: int = 100_000

    @property
    def start(self) -> float:
        return self.times[0]

    @property
    def end(self) -> float:
        return self.times[-1]

    @cached_property
    def direction(self) -> float:
        return 1.0 if self.end >= self.start else -1.0

    @property
    def watched(self) -> bool:
        """Whether somebody may want to see steps between two of the `stops`."""
        return bool(self.callbacks or self.events) or self.save not in ("final", "times")

    @cached_property
    def actions(self) -> dict[float, tuple[bool, list[Callback]]]:
        """What is wanted at each time after the first: whether to save the state, and whom to call."""
        found: dict[float, tuple[bool, list[Callback]]] = {}
        saves = self.save in ("times", "dense")
        for t in (*self.times[1:], self.end):
            found[t] = (saves, [])
        lo, hi = sorted((self.start, self.end))
        known = sorted(found)
        for c in self.callbacks:
            for t in c.times or ():
                if lo <= t <= hi and t != self.start:
                    found.setdefault(self._snap(t, known), (False, []))[1].append(c)
        return found

    def _snap(self, t: float, known: list[float]) -> float:
        """A time that is already wanted if `t` is one but for rounding: no step is taken from one to the other.

        Otherwise `t`, which is put among the `known` ones.
        """
        at = bisect(known, t)
        for other in known[max(0, at - 1) : at + 1]:
            if abs(other - t) <= ROUNDING * abs(self.end - self.start):
                return other
        known.insert(at, t)
        return t

    @cached_property
    def stops(self) -> list[float]:
        """The times of `actions`, in the order of integration."""
        return sorted(self.actions, reverse=self.direction < 0)
