"""Adams methods of variable order with variable steps: slopes at any times are interpolated, the polynomial is integrated.

With l_j the Lagrange polynomials on the times of q slopes, in units of dt from t_n, and `w_j(theta) = int_0^theta l_j`:

    p = y_n + dt sum_j v_j f_{n-j}                                (predictor, q - 1 slopes: f_n, f_{n-1}, ...)
    y_{n+1} = y_n + dt (w_0 f(t_{n+1}, p) + sum_j w_{j+1} f_{n-j})    (corrector of order q: one slope more)

and the slope of the next step is `f(t_{n+1}, y_{n+1})`: PECE, two evaluations a step. The error of order q - 1 is what the
correctors of orders q and q - 1 differ by; the same difference at q - 2, q - 1 and q + 1 says which order is best.

Reference: Krogh (1974) in LNM 362, 22; Shampine & Gordon (1975) Computer Solution of Ordinary Differential Equations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ..protocols import Problem, Work
from .adams_quadrature import Quadrature, combined, difference, weights
from .base import Integrator, Step
from .explicit import Dopri5
from .tableau import StageState

_STARTER = Dopri5()
_HIGHEST, _FIXED = 12, 5
_SAFETY, _SHRINK, _GROW = 0.9, 0.3, 2.0
_KEEP = 1.15  # a ratio of step sizes between 1 and this is not worth a change


@dataclass(frozen=True, eq=False)
class AdamsHistory:
    """What the method remembers.

    Attributes:
        order: of the next step.
        steps: steps taken with this order.
        slope: the field at the current state, if it is known already.
        past: slopes before it, newest first.
        ages: how long before the current time they are, positive in the direction of the integration.
    """

    order: int = 2
    steps: int = 0
    slope: Tensor | None = None
    past: tuple[Tensor, ...] = ()
    ages: tuple[float, ...] = ()


@dataclass(frozen=True)
class AdamsVariable(Integrator):
    """Adams-Bashforth-Moulton PECE of orders 2 to 12 with variable steps, for smooth fields that are dear to evaluate.

    Under error control it starts at `min_order` and chooses order and step size for itself. With `dt=` the order is 5
    throughout, whatever these say. Starting values are made by Dormand-Prince 5(4) then, and where `min_order` is above 2.

    Args:
        max_order: the highest order, 2 to 12.
        min_order: the lowest.

    Reference: Krogh (1974); Shampine & Gordon (1975).
    """

    max_order: int = _HIGHEST
    min_order: int = 2
    order = dense_order = _FIXED
    adaptive = True
    dense_output = True
    presets: ClassVar = {"adams": {}}
    real_stability = 1.4114614859974
    imaginary_stability = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.min_order <= self.max_order <= _HIGHEST:
            got = f"min_order = {self.min_order}, max_order = {self.max_order}"
            raise ValueError(f"{got}; expected 2 <= min_order <= max_order <= {_HIGHEST}")

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[AdamsHistory, Work]:
        return AdamsHistory(self.min_order if problem.error_control else _FIXED), Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, AdamsHistory):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        slope = problem.f(t, y) if state.slope is None else state.slope
        cost = Work(evaluations=1 if state.slope is None else 0)
        slopes, times = (slope, *state.past), (0.0, *state.ages)
        state = replace(state, slope=slope)
        if len(slopes) < state.order - 1:
            step = _STARTER.step(problem, t, dt, y, StageState(slope=slope))
            known = step.state.slope if isinstance(step.state, StageState) else None
            after = AdamsHistory(state.order, 0, known)
        else:
            step, after = self._advance(problem, t, dt, y, state, slopes, times)
        kept = (self.max_order if problem.error_control else _FIXED) - 1
        past, ages = slopes[:kept], tuple(age + dt for age in times[:kept])
        return replace(step, state=replace(after, past=past, ages=ages), retry=state, work=cost + step.work)

    def _advance(
        self,
        problem: Problem,
        t: float,
        dt: float,
        y: Tensor,
        state: AdamsHistory,
        slopes: tuple[Tensor, ...],
        times: tuple[float, ...],
    ) -> tuple[Step, AdamsHistory]:
        q = state.order
        back = tuple(-age / dt for age in times)
        predicted = combined(y, dt, weights(back[: q - 1], 1.0), slopes[: q - 1])
        nodes, known = (1.0, *back), (problem.f(t + dt, predicted), *slopes)
        new = combined(y, dt, weights(nodes[:q], 1.0), known[:q])
        dense = Quadrature(y, dt, nodes[:q], known[:q])
        step = Step(new, order=q - 1, dense=dense, work=Work(evaluations=1))
        if not problem.error_control:
            return step, AdamsHistory(q)
        with torch.no_grad():
            error = difference(dt, nodes, known, q)
            factor, order = self._control(problem, y, new, error, state, dt, nodes, known)
        after = AdamsHistory(order, state.steps + 1 if order == q else 0)
        return replace(step, error=error, factor=factor), after

    def _control(
        self,
        problem: Problem,
        y: Tensor,
        new: Tensor,
        error: Tensor,
        state: AdamsHistory,
        dt: float,
        nodes: tuple[float, ...],
        known: tuple[Tensor, ...],
    ) -> tuple[float, int]:
        """The ratio of step sizes and the order of the next step."""

        def size(order: int) -> float:
            return problem.error_ratio(difference(dt, nodes, known, order), y, new)

        q, here = state.order, problem.error_ratio(error, y, new)
        best, found = q, here
        if not here <= 1:
            return (max(_SHRINK, min(_SAFETY, _SAFETY * _ratio(here, q))) if here < float("inf") else _SHRINK), q
        if q > self.min_order and (lower := size(q - 1)) <= here:
            best, found = q - 1, lower
        elif q < self.max_order and state.steps >= q - 1 and len(known) > q and (higher := size(q + 1)) < here:
            best, found = q + 1, higher
        factor = min(_GROW, _SAFETY * _ratio(found, best))
        return (1.0 if 1.0 <= factor < _KEEP else factor), best


def _ratio(size: float, q: int) -> float:
    """The ratio of step sizes at which an error of this size, of order q - 1, becomes 1."""
    return max(size, 1e-10) ** (-1 / q)
