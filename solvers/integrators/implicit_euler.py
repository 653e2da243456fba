"""Implicit Euler."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..protocols import Problem
from .base import Step
from .implicit_stage import ImplicitMethod, taken


@dataclass(frozen=True)
class ImplicitEuler(ImplicitMethod):
    """Implicit Euler, order 1, L-stable: `y_new = y + dt f(t + dt, y_new)`; keeps signs and maxima where the flow does.

    On `y' = -L y` a step is `(I + dt L)^-1 y`: with the random-walk Laplacian, personalised PageRank with the teleport
    probability `1 / (1 + dt)`.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.
    """

    order = 1
    real_stability = imaginary_stability = float("inf")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        state = taken(state, self)
        guess = y if state.slope is None else y + dt * state.slope
        solved = self.stage(problem, t + dt, dt, y, guess, state)
        if solved.failed is not None:
            return solved.failed
        slope = solved.slope.detach()  # for the next guess only
        after = replace(solved.state, slope=slope)
        return Step(solved.y, state=after, retry=replace(solved.state, slope=state.slope), work=solved.work)
