"""A solve of a piecewise field: one solve for each piece, put together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .errors import IntegrationError
from .options import SolveOptions
from .pieces import Piecewise
from .plan import ROUNDING
from .progress import TextProgress
from .protocols import Callback, Problem, VectorField
from .solution import PerGraphSteps, Solution, Stats
from .times import carry_initial_time, carry_times, read_times


def solve_in_pieces(
    solve: Callable[..., Solution], field: Piecewise, y0: Any, t: Any, method: Any, options: SolveOptions
) -> Solution:
    """Solve piece by piece; every method, gradient and space is that of a solve of its own.

    A piece ends where the next one begins, so that fixed steps land there with a shorter one.

    Args:
        solve: the front door, for one piece.
        field: the pieces.
        y0, t, method, options: as for `solve`.

    Raises:
        TypeError: a state that is not one tensor.
        IntegrationError: as the piece that fails; `.solution` is what was computed until then, of all pieces.
    """
    if not isinstance(y0, Tensor):
        raise TypeError(f"a Piecewise field takes one tensor as its state, got a {type(y0).__name__}; put its parts into one")
    times = read_times(t)
    forward = times[-1] > times[0]
    stops = _stops(field, times)
    first, step = field.knots.index(times[0], forward), 1 if forward else -1
    watchers = list(options.get("callbacks", ()))
    if options.get("progress"):
        watchers.append(TextProgress(times[0], times[-1], sys.stderr))
    whole = _Whole(y0, t, times, options.get("save", "times"))
    for i, (start, end) in enumerate(pairwise(stops)):
        now, y = field.enter(first + step * i, whole.y)
        y = carry_initial_time(Problem(now), t, y) if i == 0 else y
        grid = [start, *(s for s in times if min(start, end) < s < max(start, end)), end]
        jumps: list[tuple[float, Tensor]] = []
        mine = [_InPiece(c, start if i else None, jumps) for c in watchers]
        limit = options.get("max_steps", 100_000) - whole.tried
        given: SolveOptions = {**options, "callbacks": mine, "progress": False, "max_steps": limit}
        try:
            whole.add(now, solve(now, y, grid, method, **given), end)
        except IntegrationError as error:
            if error.solution is not None:
                whole.add(now, error.solution, None)
                error.solution = whole.solution()
            raise
        whole.y = next((new for at, new in reversed(jumps) if at == end), whole.y)
        if whole.parts[-1].status == "event":
            break
    return whole.solution()


def _stops(field: Piecewise, times: Sequence[float]) -> list[float]:
    """The ends of the pieces, in the order of integration; a knot that is an output time but for rounding is that time."""
    low, high = sorted((times[0], times[-1]))
    near = ROUNDING * (high - low)
    inner = [next((s for s in times if abs(s - knot) <= near), knot) for knot in field.knots.between(low, high)]
    inner = [knot for knot in inner if low < knot < high]
    return [times[0], *(inner if times[-1] > times[0] else reversed(inner)), times[-1]]


@dataclass(frozen=True, eq=False)
class _InPiece:
    """A callback in a piece; the state at the start of a later piece has been reported by the piece before.

    Args:
        callback: the callback.
        start: of the piece; None for the first.
        jumps: states by which it replaced others, with their times.
    """

    callback: Callback
    start: float | None
    jumps: list[tuple[float, Tensor]]

    @property
    def times(self) -> Sequence[float] | None:
        times = self.callback.times
        return None if times is None else [t for t in times if t != self.start]

    def before(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.before(t, y, dt)

    def after(self, t: float, y: Tensor, dt: float) -> Tensor | None:
        new = None if t == self.start and dt == 0 else self.callback.after(t, y, dt)
        if new is not None and self.callback.times is None:
            self.jumps.append((t, new))
        return new

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.rejected(t, y, dt)


class _Whole:
    """The solutions of the pieces so far.

    Args:
        y0: the initial state.
        t: output times as they were given, perhaps with a gradient.
        times: these as numbers.
        save: as for `solve`.
    """

    def __init__(self, y0: Tensor, t: Any, times: Sequence[float], save: str):
        self.y, self.given, self.times, self.save = y0, t, set(times), save
        self.parts: list[Solution] = []
        self.t = [] if save == "final" else [times[0]]
        self.states = [] if save == "final" else [y0]

    @property
    def tried(self) -> int:
        """Steps so far."""
        return sum(part.stats.steps for part in self.parts)

    def add(self, field: VectorField, part: Solution, end: float | None) -> None:
        """Append the next piece; `end` is where it was to end, None if it failed. A knot does not move with an output time."""
        self.parts.append(part)
        self.y = part.y[-1]
        part = carry_times(Problem(field), self.given, part)
        rows = list(zip(part.t.tolist(), part.y.unbind(), strict=True))
        stopped = part.status != "ok"
        if self.save != "final":
            for t, y in rows[1:]:
                if self.save == "steps" or t in self.times or (stopped and t == rows[-1][0]):
                    self.t.append(t)
                    self.states.append(y)
        elif stopped or end is None or end in self.times:
            self.t, self.states = [rows[-1][0]], [rows[-1][1]]

    def solution(self) -> Solution:
        """All pieces as one."""
        last, stats = self.parts[-1], [part.stats for part in self.parts]
        names = Stats.__dataclass_fields__
        total = Stats(**{name: sum(getattr(s, name) for s in stats) for name in names})
        pieces = f"{len(self.parts)} pieces, {total.accepted} steps, {total.rejected} rejected; the last: {last.message}"
        return replace(
            last,
            t=torch.tensor(self.t, dtype=torch.float64),
            y=torch.stack(self.states),
            stats=total,
            message=pieces if len(self.parts) > 1 else last.message,
            segments=[segment for part in self.parts for segment in part.segments],
            crossings=[crossing for part in self.parts for crossing in part.crossings],
            per_graph=_together([part.per_graph for part in self.parts]),
        )


def _together(parts: Sequence[PerGraphSteps | None]) -> PerGraphSteps | None:
    found = [part for part in parts if part is not None]
    if not found:
        return None
    groups = range(len(found[0].times))
    return PerGraphSteps(
        sum((part.accepted for part in found[1:]), found[0].accepted),
        sum((part.rejected for part in found[1:]), found[0].rejected),
        found[-1].status,
        [torch.cat([found[0].times[g], *(part.times[g][1:] for part in found[1:])]) for g in groups],
    )
