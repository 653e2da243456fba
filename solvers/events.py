"""Events: where a function of the solution crosses zero.

A crossing is bracketed by the ends of an accepted step and found by bisection on the method's interpolant. Its time t* and
state y* = y(t*) depend on everything that the solution depends on, by the implicit function theorem:

    g(t*, y(t*)) = 0   =>   dt* = -dg / (g_t + g_y f),   dy* = dy + f dt*
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .protocols import Problem

_NEAR = 1e-9  # an event function that starts below this share of its size one step later starts at zero
_INSIDE = 1e-6  # where in the first step its sign is read then


@dataclass(frozen=True)
class Event:
    """A zero crossing of `function(t, y)`. A zero at the initial time is no event.

    Args:
        function: function of time and state; if it returns several numbers, each may cross.
        direction: +1 only from negative to positive in the course of the integration, -1 only the reverse, 0 both.
        terminal: whether the solve ends there; else the crossing is recorded in `solution.crossings` (one per step and
            event at most).
    """

    function: Callable[[Tensor, Tensor], Tensor]
    direction: int = 0
    terminal: bool = True

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"Event takes a function g(t, y); got a {type(self.function).__name__}")
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"direction = {self.direction}; expected 1 (upward), -1 (downward) or 0 (both)")


@dataclass(frozen=True)
class Hit:
    """A crossing: its time, which event, and which entry of the event's function."""

    time: float
    index: int
    entry: int


@dataclass(frozen=True, eq=False)
class Crossing:
    """A crossing in a solution.

    Attributes:
        index: which of the events.
        entry: which entry of the event's function.
        t: the time, a float64 scalar.
        y: the state there.
    """

    index: int
    entry: int
    t: Tensor
    y: Tensor


def locate(
    events: Sequence[Event],
    at: Callable[[float], Tensor],
    start: float,
    end: float,
    initial: bool = False,
) -> list[Hit]:
    """The crossings in a step in the order of integration, up to and including the first terminal one.

    Args:
        events: what to look for.
        at: the solution at a time of the step.
        start, end: the step.
        initial: whether this is the first step of the solve.
    """
    hits = []
    with torch.no_grad():
        for index, event in enumerate(events):
            hit = _first_crossing(event, index, at, start, end, initial)
            if hit is not None:
                hits.append(hit)
    hits.sort(key=lambda h: h.time, reverse=end < start)
    stop = next((i for i, h in enumerate(hits) if events[h.index].terminal), len(hits))
    return hits[: stop + 1]


def _first_crossing(
    event: Event, index: int, at: Callable[[float], Tensor], start: float, end: float, initial: bool
) -> Hit | None:
    def value(t: float) -> Tensor:
        return _value(event, torch.tensor(t, dtype=torch.float64), at(t))

    g, last = value(start), value(end)
    first, lo, hi = torch.sign(g), start, end
    if initial:
        near = g.abs() <= _NEAR * last.abs()
        if bool(near.any()):
            lo = start + _INSIDE * (end - start)
            first = torch.where(near, torch.sign(value(lo)), first)
    crosses = (first * last <= 0) & (first != 0)
    if event.direction:
        crosses &= first * event.direction < 0
    if not bool(crosses.any()):
        return None

    def crossed(t: float) -> Tensor:
        return crosses & (torch.sign(value(t)) != first)

    while (mid := lo + (hi - lo) / 2) not in (lo, hi):
        lo, hi = (lo, mid) if bool(crossed(mid).any()) else (mid, hi)
    return Hit(hi, index, int(crossed(hi).to(torch.uint8).argmax()))


def _value(event: Event, t: Tensor, y: Tensor) -> Tensor:
    return torch.as_tensor(event.function(t.to(y.device), y)).reshape(-1)


def carry_crossing(problem: Problem, events: Sequence[Event], crossing: Crossing) -> Crossing:
    """The crossing with its derivatives, by the implicit function theorem.

    Raises:
        ValueError: if the solution touches zero without crossing it at a rate: the time has no derivative there.
    """
    if not torch.is_grad_enabled():
        return crossing
    event, y = events[crossing.index], crossing.y
    g = _value(event, crossing.t, y)[crossing.entry]
    if not g.requires_grad:
        return crossing
    time, slope = float(crossing.t), problem.f(float(crossing.t), y)
    t_leaf, y_leaf = crossing.t.detach().requires_grad_(), y.detach().requires_grad_()
    again = _value(event, t_leaf, y_leaf)[crossing.entry]
    g_t, g_y = torch.autograd.grad(again, (t_leaf, y_leaf), allow_unused=True) if again.requires_grad else (None, None)
    rate = 0.0 if g_t is None else float(g_t)
    if g_y is not None:
        rate += float(problem.space.dot([(g_y, slope.detach())]).real.sum())
    if rate == 0.0:
        raise ValueError(
            f"event {crossing.index} is tangential at t = {time:.6g} (dg/dt = 0 along the solution), so the event time "
            "has no derivative; detach y0 and the parameters, or choose an event function that changes sign at a rate"
        )
    shift = (g.detach() - g).double() / rate
    return Crossing(crossing.index, crossing.entry, crossing.t + shift, y + slope * shift.to(y.dtype))
