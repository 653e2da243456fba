"""The forward solution at any time, for the way back: recorded steps, repeated piece by piece without a graph."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import torch
from torch import Tensor

from .integrators.base import Step
from .interpolate import Reusing, hermite
from .protocols import Problem
from .recording import Mark
from .replay import Recorded, check_same, repeated, restart

_LOADED = 2  # pieces in memory: a rejected step leads back over a boundary


class Trajectory:
    """`path(t)`, the solution of a recorded solve, by the interpolants of its steps.

    About `2 sqrt(N)` states of N steps are kept, and the interpolants of two pieces of about `sqrt(N)` steps. A read from
    the end to the beginning repeats every step once.

    Args:
        run: the forward solve.
        y0: its initial state.
    """

    def __init__(self, run: Recorded, y0: Tensor):
        self._run = run
        self._marks = [Mark(0, y0.detach(), None, (), ()), *run.tape.marks]
        self._firsts = [m.index for m in self._marks]
        self._loaded: dict[int, list[Callable[[float], Tensor]]] = {}

    @torch.no_grad()
    def __call__(self, t: float) -> Tensor:
        tape = self._run.tape
        index = tape.step_containing(t)
        which = bisect_right(self._firsts, index) - 1
        start, end = tape.times[index], self._run.end(index)
        return self._piece(which)[index - self._firsts[which]]((t - start) / (end - start))

    def _piece(self, which: int) -> list[Callable[[float], Tensor]]:
        if which not in self._loaded:
            while len(self._loaded) >= _LOADED:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[which] = self._repeated(which)
        return self._loaded[which]

    def _repeated(self, which: int) -> list[Callable[[float], Tensor]]:
        run, mark = self._run, self._marks[which]
        after = self._marks[which + 1] if which + 1 < len(self._marks) else None
        problem, tape = run.task.problem, run.tape
        state = restart(run, problem, mark, mark.y, [x.clone() for x in mark.own])
        found, y = [], mark.y
        span = range(mark.index, after.index if after else len(tape.times))
        for index, start, step in repeated(run, problem, span, mark.y, state):
            found.append(interpolant(problem, run.task.method.order, tape.times[index], run.end(index), start, step))
            y = step.y
        if after is not None:
            check_same(run, tape.times[after.index], y, after.y)
        return found


def interpolant(problem: Problem, order: float, t: float, end: float, y: Tensor, step: Step) -> Callable[[float], Tensor]:
    """`theta -> y(t + theta (end - t))` in a step: the method's own, or a polynomial through the ends.

    Without one of its own, a method of order up to 2 gets a straight line, which is as accurate and takes no slopes, which
    a stiff field would amplify; others the cubic with the slopes at the ends.
    """
    dense, new = step.dense, step.y
    if dense is not None:
        return dense.keep() if isinstance(dense, Reusing) else dense
    if order <= 2:
        return lambda theta: torch.lerp(y, new, theta)
    return hermite(y, new, problem.f(t, y), problem.f(end, new), end - t)
