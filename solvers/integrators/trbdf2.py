"""TR-BDF2: a trapezoidal step, then a backward difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from ..protocols import Problem, Work
from .base import Step
from .implicit_stage import ImplicitMethod, taken

GAMMA = 2 - 2**0.5
D, W = GAMMA / 2, 2**0.5 / 4
_LARGEST_RATIO = 2.0  # of successive steps: the error of a stage's slope is that of the stage over its step size
_EXACT = float("inf")  # stands for the step size of a slope that was evaluated
_ERROR = (W - (1 - W) / 3, W - (3 * W + 1) / 3, D - D / 3)  # weights of order 2 minus those of order 3


@dataclass(frozen=True)
class TRBDF2(ImplicitMethod):
    """TR-BDF2, order 2(3), L-stable, both stages with the same `I - d dt J`, `g = 2 - sqrt 2, d = g/2, w = sqrt 2 / 4`:

        Y = y + d dt (k1 + f(t + g dt, Y)),  y_new = y + dt (w k1 + w k2 + d k3),  k1 = f(t, y), k3 = f(t + dt, y_new)

    First same as last. Error estimate: against the weights `((1 - w)/3, (3w + 1)/3, d/3)`, filtered by `(I - d dt J)^-1`.
    Dense output: the parabola through y, Y and y_new (order 2, and no overshoot where the field is stiff).

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Bank et al. (1985) IEEE Trans. CAD 4, 436; Hosea & Shampine (1996) Appl. Numer. Math. 20, 21.
    """

    order = dense_order = 2
    adaptive = True
    dense_output = True
    real_stability = imaginary_stability = float("inf")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        state, h = taken(state, self), D * dt
        known = state.slope is not None and abs(dt) <= _LARGEST_RATIO * abs(state.dt)
        k1 = state.slope if known and state.slope is not None else problem.f(t, y)
        work, smooth = Work(evaluations=0 if known else 1), known and state.dt != _EXACT
        middle = self.stage(problem, t + GAMMA * dt, h, y + h * k1, y + 2 * h * k1 if smooth else y, state)
        work = work + middle.work
        kept = replace(middle.state, slope=k1, dt=state.dt if known else _EXACT)
        if middle.failed is not None:
            return replace(middle.failed, work=work, retry=kept)
        b = y + (W * dt) * (k1 + middle.slope)
        end = self.stage(problem, t + dt, h, b, y + (middle.y - y) / GAMMA, middle.state)
        work, kept = work + end.work, replace(end.state, slope=k1, dt=kept.dt)
        if end.failed is not None:
            return replace(end.failed, work=work, retry=kept)
        raw = dt * (_ERROR[0] * k1 + _ERROR[1] * middle.slope + _ERROR[2] * end.slope)
        error, cost = self.estimate(problem, t + dt, end, h, raw)
        after = replace(end.state, slope=end.slope, dt=dt)
        return Step(end.y, error, 2, state=after, retry=kept, dense=_parabola(y, middle.y, end.y), work=work + cost)


def _parabola(y: Tensor, middle: Tensor, end: Tensor) -> Callable[[float], Tensor]:
    """Through the values at theta = 0, g, 1."""

    def at(theta: float) -> Tensor:
        a = (theta - GAMMA) * (theta - 1) / GAMMA
        m = theta * (theta - 1) / (GAMMA * (GAMMA - 1))
        e = theta * (theta - GAMMA) / (1 - GAMMA)
        return a * y + m * middle + e * end

    return at
