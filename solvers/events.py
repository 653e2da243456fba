"""Events: where a function of the solution crosses zero.

The crossing is bracketed by the ends of an accepted step and found by bisection on the method's interpolant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Event:
    """A zero crossing of `function(t, y)` that stops the solve.

    Args:
        function: scalar (or tensor: any entry may cross) function of time and state.
        direction: +1 only upward crossings, -1 only downward, 0 both.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    direction: int = 0
    terminal: bool = True


@dataclass(frozen=True)
class Hit:
    """The first event in a step."""

    time: float
    index: int


def locate(
    events: Sequence[Event], at: Callable[[float], Tensor], start: float, end: float, y0: Tensor, y1: Tensor
) -> Hit | None:
    """The earliest crossing in a step, or None."""
    hits = []
    with torch.no_grad():
        for index, event in enumerate(events):

            def sign(t: float, y: Tensor, event: Event = event) -> Tensor:
                return torch.sign(event.function(torch.as_tensor(t, dtype=torch.float64, device=y.device), y))

            first, last = sign(start, y0), sign(end, y1)
            crosses = first * last < 0
            crosses |= (last == 0) & (first != 0)
            if event.direction:
                crosses &= (last - first) * event.direction > 0
            if bool(crosses.any()):
                hits.append(Hit(_bisect(sign, at, start, end, first, crosses), index))
    key = min if end >= start else max
    return key(hits, key=lambda h: h.time) if hits else None


def _bisect(
    sign: Callable[[float, Tensor], Tensor],
    at: Callable[[float], Tensor],
    lo: float,
    hi: float,
    first: Tensor,
    crosses: Tensor,
) -> float:
    for _ in range(200):
        mid = lo + (hi - lo) / 2
        if mid in (lo, hi):
            break
        if bool((crosses & (sign(mid, at(mid)) != first)).any()):
            hi = mid
        else:
            lo = mid
    return hi
