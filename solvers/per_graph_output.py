"""States at the times that were asked for, collected from graphs that come by at different steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from .bootstrap import Slopes
from .integrators.tableau import Tableau
from .per_graph_control import per_node
from .plan import Plan
from .protocols import Problem


def weighted(weights: Sequence[float], k: Sequence[Tensor]) -> Tensor:
    """`sum_i weights_i k_i`, zero weights left out."""
    used = [(w, slope) for w, slope in zip(weights, k, strict=False) if w != 0.0]
    total = used[0][1] * used[0][0]
    for w, slope in used[1:]:
        total = torch.add(total, slope, alpha=w)
    return total


@dataclass(frozen=True, eq=False)
class Stretch:
    """One attempted step of all graphs.

    Attributes:
        t, after: time of every graph before and after it, `[graphs]`; equal where it was rejected.
        h: signed step sizes, `[graphs]`.
        accept: which graphs advanced, `[graphs]`.
        y, new: states at its ends.
        stages: slopes k_i.
    """

    t: Tensor
    after: Tensor
    h: Tensor
    accept: Tensor
    y: Tensor
    new: Tensor
    stages: Sequence[Tensor]


@dataclass
class Outputs:
    """The stops of a plan, which each graph passes in its own time.

    Args:
        problem: the problem.
        plan: what is wanted.
        tableau: its interpolant is used if it has one; else graphs land on every stop.
        reached: stops that each graph has passed, `[graphs]`.
        inner: slopes inside a step that raise the order of the tableau's interpolant.
    """

    problem: Problem
    plan: Plan
    tableau: Tableau
    reached: Tensor
    inner: Sequence[Slopes] = ()
    evaluations: int = 0
    reported: int = 0  # stops that every graph has passed
    states: dict[float, Tensor] = field(default_factory=dict)

    @cached_property
    def stops(self) -> Tensor:
        return torch.tensor(self.plan.stops, dtype=torch.float64)

    def start(self, y: Tensor) -> None:
        """Save the initial state, and show it to the callbacks that ask for it."""
        if self.plan.save == "times":
            self.states[self.plan.start] = y
        for c in self.plan.callbacks:
            if c.times is not None and self.plan.start in c.times:
                c.after(self.plan.start, y, 0.0)

    def targets(self) -> Tensor:
        """The time on which each graph has to land next, `[graphs]`."""
        last = len(self.plan.stops) - 1
        return self.stops[torch.full_like(self.reached, last) if self.tableau.dense else self.reached.clamp(max=last)]

    def collect(self, step: Stretch) -> None:
        """Take from a step the states at all stops inside it."""
        sign = self.plan.direction
        passed = torch.searchsorted(sign * self.stops, sign * step.after, right=True)
        passed = torch.where(step.accept, passed, self.reached)
        first, last, inner = self.reached.tolist(), passed.tolist(), list[Tensor]()
        for i in sorted({i for a, b in zip(first, last, strict=True) for i in range(a, b)}):
            inside = (self.reached <= i) & (i < passed)
            stop = self.plan.stops[i]
            y = self.states.get(stop)
            y = torch.full_like(step.new, torch.nan) if y is None else y
            self.states[stop] = torch.where(self._nodes(inside, y), self._inside(step, stop, inside, inner), y)
        self.reached = passed

    def _inside(self, step: Stretch, stop: float, inside: Tensor, inner: list[Tensor]) -> Tensor:
        """The states at a stop, right for the graphs whose step has it inside; those that land there get the end of it."""
        between = inside & (step.after != stop)
        if not between.any() or self.tableau.dense is None:
            return step.new
        theta = torch.where(between, (stop - step.t) / (step.after - step.t), 1.0)
        if self.inner and not inner:
            inner.extend(self._slopes_inside(step))
        y = self._by_slopes(step, self.inner[-1], inner, theta) if self.inner else self._by_stages(step, theta)
        return torch.where(self._nodes(between, step.y), y, step.new)

    def _by_stages(self, step: Stretch, theta: Tensor) -> Tensor:
        """The tableau's interpolant at `theta`, `[graphs]`."""
        change = torch.zeros_like(step.y)
        for row, k in zip(self.tableau.dense or (), step.stages, strict=True):
            if any(row):
                b = torch.stack([c * theta ** (m + 1) for m, c in enumerate(row)]).sum(0)
                change = change + per_node(self.problem, step.h * b, step.y) * k
        return step.y + change

    def _by_slopes(self, step: Stretch, here: Slopes, inner: Sequence[Tensor], theta: Tensor) -> Tensor:
        """The polynomial through the ends and the slopes inside at `theta`, `[graphs]`."""
        weights = torch.tensor([here.weights(x) for x in theta.tolist()], dtype=torch.float64)
        out = step.y + per_node(self.problem, weights[:, 1], step.y) * (step.new - step.y)
        for j, slope in enumerate((step.stages[0], step.stages[-1], *inner)):
            out = out + per_node(self.problem, step.h * weights[:, 2 + j], step.y) * slope
        return out

    def _slopes_inside(self, step: Stretch) -> list[Tensor]:
        """Those of the last round; graphs that did not advance are asked at the start of their step."""
        problem, found, advanced = self.problem, list[Tensor](), self._nodes(step.accept, step.y)
        for i, here in enumerate(self.inner):
            slopes = []
            for c in here.nodes:
                theta = torch.full_like(step.h, c)
                y = self._by_slopes(step, self.inner[i - 1], found, theta) if i else self._by_stages(step, theta)
                at = step.t + torch.where(step.accept, c * step.h, 0.0)
                slopes.append(problem.at(per_node(problem, at, step.y), torch.where(advanced, y, step.y)))
            found = slopes
            self.evaluations += len(slopes)
        return found

    def _nodes(self, mask: Tensor, y: Tensor) -> Tensor:
        return self.problem.space.spread(mask.to(y.device), y)

    def report(self, ok: Tensor) -> None:
        """Call the watchers of the stops that all graphs have passed, except those that failed (their states are NaN)."""
        if not ok.any():
            return
        while self.reported < int(self.reached[ok].min()):
            stop = self.plan.stops[self.reported]
            saves, watchers = self.plan.actions[stop]
            y = self.states[stop]
            for c in watchers:
                c.after(stop, y, 0.0)
            if not saves and (self.plan.save != "final" or stop != self.plan.end):
                del self.states[stop]
            self.reported += 1

    def saved(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The times that were asked for, `[times]`, and the states, `[times, *state]`; NaN where a graph did not come."""
        times = [self.plan.end] if self.plan.save == "final" else list(self.plan.times)
        never = torch.full_like(like, torch.nan)
        return torch.tensor(times, dtype=torch.float64), torch.stack([self.states.get(t, never) for t in times])
