"""The implicit midpoint rule."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..protocols import Problem
from .base import Step
from .implicit_stage import ImplicitMethod, taken


@dataclass(frozen=True)
class ImplicitMidpoint(ImplicitMethod):
    """Implicit midpoint (one-stage Gauss), order 2: `Y = y + dt/2 f(t + dt/2, Y)`, `y_new = 2 Y - y`.

    Symplectic and symmetric: it keeps quadratic invariants exactly (the energy of a linear oscillator, the norm under a
    skew field), for any field and any step. A-stable, not L-stable: `R(-inf) = -1`, like Crank-Nicolson.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Hairer, Lubich & Wanner (2006) Geometric Numerical Integration, II.1.3 and VI.4.
    """

    order = 2
    real_stability = imaginary_stability = float("inf")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        state, h = taken(state, self), dt / 2
        guess = y if state.slope is None else y + h * state.slope
        solved = self.stage(problem, t + h, h, y, guess, state)
        if solved.failed is not None:
            return solved.failed
        after = replace(solved.state, slope=solved.slope.detach())  # for the next guess only
        return Step(2 * solved.y - y, state=after, retry=replace(solved.state, slope=state.slope), work=solved.work)
