"""Crank-Nicolson."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..protocols import Problem, Work
from .base import Step
from .implicit_stage import ImplicitMethod, taken


@dataclass(frozen=True)
class CrankNicolson(ImplicitMethod):
    """Crank-Nicolson (trapezoidal rule), order 2: `y_new = y + dt/2 (f(t, y) + f(t + dt, y_new))`.

    A-stable, and it keeps quadratic invariants of linear fields; not L-stable: rough data and large steps leave
    oscillations from step to step (take TRBDF2 there).

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Crank & Nicolson (1947) Proc. Camb. Phil. Soc. 43, 50.
    """

    order = 2
    real_stability = imaginary_stability = float("inf")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        state, h = taken(state, self), dt / 2
        b = y + h * problem.f(t, y)
        solved = self.stage(problem, t + dt, h, b, y, state)
        work = solved.work + Work(evaluations=1)
        if solved.failed is not None:
            return replace(solved.failed, work=work)
        return Step(solved.y, state=solved.state, retry=solved.state, work=work)
