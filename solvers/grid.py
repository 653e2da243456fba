"""Steps on a given grid of times, with outputs read from the straight line or the cubic between grid points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .controllers import Controller
from .integrators.base import Integrator, Step
from .integrators.wrapping import Wrapping
from .interpolate import hermite
from .protocols import Problem, VectorField, Work


@dataclass(frozen=True)
class Grid(Controller):
    """The steps of a grid, one after the other.

    Args:
        steps: their sizes, positive.
    """

    steps: tuple[float, ...]
    adaptive = False

    @classmethod
    def of(cls, grid: Sequence[float], eps: float) -> Grid:
        """The grid's steps; steps that are equal to within rounding (`eps`, relative to the times) are made equal."""
        at, steps = grid[0], []
        slack = 4 * eps * max(abs(t) for t in grid)
        for t in grid[1:]:
            same = bool(steps) and abs(at + steps[-1] - t) <= slack
            steps.append(steps[-1] if same else t - at)
            at += steps[-1]
        return cls(tuple(abs(s) for s in steps))

    def first(self, problem: Problem, method: Integrator, t: float, y: Tensor, span: float) -> tuple[float, object, Work]:
        return self.steps[0], 0, Work()

    def next(self, dt: float, step: Step, ratio: float, cstate: object) -> tuple[bool, float, object]:
        done = int(cstate) + 1  # type: ignore[call-overload]
        return step.status == "ok", self.steps[min(done, len(self.steps) - 1)], done


@dataclass(frozen=True, eq=False)
class OnGrid(Wrapping):
    """A method whose outputs between grid points are interpolated, so that it steps over them.

    Args:
        method: what takes the steps.
        cubic: the cubic through values and slopes, else the straight line.
        perturb: evaluate the field just inside a step where it is asked for at its ends (for jumps on the grid).
    """

    cubic: bool = False
    perturb: bool = False
    adaptive = False  # type: ignore[assignment]
    dense_output = True  # type: ignore[assignment]

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        here = problem.with_field(Within(problem.field, t, t + dt)) if self.perturb else problem
        step = self.method.step(here, t, dt, y, state)

        def dense(theta: float) -> Tensor:
            if not self.cubic:
                return y + theta * (step.y - y)
            return hermite(y, step.y, here.f(t, y), here.f(t + dt, step.y), dt)(theta)

        return replace(step, dense=dense)


@dataclass(frozen=True, eq=False)
class Within:
    """A field between two jumps: at the ends it is evaluated at the next representable times inside."""

    field: VectorField
    start: float
    end: float

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        a, b = torch.full_like(t, self.start), torch.full_like(t, self.end)
        first, last = torch.nextafter(a, b), torch.nextafter(b, a)
        return self.field(t.clamp(torch.minimum(first, last), torch.maximum(first, last)), y)
