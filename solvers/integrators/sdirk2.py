"""The two-stage, L-stable, singly diagonally implicit Runge-Kutta method."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..interpolate import through
from ..protocols import Problem
from .base import Step
from .implicit_stage import ImplicitMethod, taken

GAMMA = 1 - 0.5**0.5


@dataclass(frozen=True)
class SDIRK2(ImplicitMethod):
    """SDIRK2, order 2(1), L-stable, both stages with the same `I - g dt J`, `g = 1 - 1/sqrt 2`:

        k1 = f(t + g dt, y + g dt k1),  k2 = f(t + dt, y + (1 - g) dt k1 + g dt k2),  y_new = y + dt ((1 - g) k1 + g k2)

    Error estimate: against `y + dt k1`, filtered by `(I - g dt J)^-1`. Dense output of order 2: the parabola through y and
    the states of both stages.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Alexander (1977) SIAM J. Numer. Anal. 14, 1006.
    """

    order = dense_order = 2
    adaptive = dense_output = True
    real_stability = imaginary_stability = float("inf")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        state, h = taken(state, self), GAMMA * dt
        guess = y if state.slope is None else y + h * state.slope
        first = self.stage(problem, t + h, h, y, guess, state)
        if first.failed is not None:
            return first.failed
        b = y + (dt - h) * first.slope
        second = self.stage(problem, t + dt, h, b, y + dt * first.slope, first.state)
        work = first.work + second.work
        if second.failed is not None:
            return replace(second.failed, work=work, retry=replace(second.state, slope=state.slope))
        error, cost = self.estimate(problem, t + dt, second, h, h * (second.slope - first.slope))
        after = replace(second.state, slope=second.slope.detach())  # for the next guess only
        retry = replace(second.state, slope=state.slope)
        dense = through((0.0, GAMMA, 1.0), (y, first.y, second.y))
        return Step(second.y, error, 1, state=after, retry=retry, dense=dense, work=work + cost)
