"""The two-step backward differentiation formula."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..interpolate import through
from ..protocols import Problem
from .base import Step
from .implicit_stage import ImplicitMethod, ImplicitState, taken
from .sdirk2 import SDIRK2

_LARGEST_RATIO = 2.0  # of successive steps; the formula is stable up to 1 + sqrt 2


@dataclass(frozen=True)
class BDF2(ImplicitMethod):
    """BDF2, order 2, L-stable; with `r` the ratio of this step to the last:

        y_new = (1 + r)^2/(1 + 2r) y - r^2/(1 + 2r) y_before + dt (1 + r)/(1 + 2r) f(t + dt, y_new)

    (r = 1: `3/2 y_new - 2 y + 1/2 y_before = dt f`). The first step, and one over twice as long as the last, is SDIRK2's.
    Dense output of order 2: the parabola through the three states.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Curtiss & Hirschfelder (1952) PNAS 38, 235; Hairer, Norsett & Wanner (1993) III.5 (variable steps).
    """

    order = dense_order = 2
    dense_output = True
    real_stability = imaginary_stability = float("inf")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        state = taken(state, self)
        if state.before is None or not 0 < dt / state.dt <= _LARGEST_RATIO:
            return self._start(problem, t, dt, y, state)
        r = dt / state.dt
        scale = 1 / (1 + 2 * r)
        b = (scale * (1 + r) ** 2) * y - (scale * r * r) * state.before
        solved = self.stage(problem, t + dt, scale * (1 + r) * dt, b, y + r * (y - state.before), state)
        if solved.failed is not None:
            return solved.failed
        after = replace(solved.state, before=y, dt=dt)
        retry = replace(solved.state, before=state.before, dt=state.dt)
        dense = through((1.0, 0.0, -1 / r), (solved.y, y, state.before))
        return Step(solved.y, state=after, retry=retry, dense=dense, work=solved.work)

    def _start(self, problem: Problem, t: float, dt: float, y: Tensor, state: ImplicitState) -> Step:
        method = SDIRK2(self.linear_solver, self.linear_rtol, self.max_newton)
        step = method.step(replace(problem, error_control=False), t, dt, y, replace(state, slope=None))
        if step.status != "ok":
            return replace(step, retry=state)
        kept = taken(step.state, self)
        return replace(step, state=replace(kept, slope=None, before=y, dt=dt), retry=state)
