"""Adams methods with equal steps: the slopes of the last steps are interpolated and the polynomial is integrated.

    y_{n+1} = y_n + dt sum_j w_j(1) f_j,    y(t_n + theta dt) = y_n + dt sum_j w_j(theta) f_j,    w_j(theta) = int_0^theta l_j

with l_j the Lagrange polynomials on the nodes of the slopes, in units of dt from t_n: 0, -1, ... (Bashforth) and 1, 0, -1,
... (Moulton). The first steps, and those after a change of dt, are steps of Dormand-Prince 5(4), so that the stated order
is reached at every order offered. Source: Hairer, Norsett & Wanner (1993) III.1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ..protocols import Problem, Work
from .adams_weights import integrals, milne, nodes, step_weights
from .base import Integrator, Step
from .explicit import Dopri5
from .tableau import StageState

_STARTER = Dopri5()
_SAME = 1e-9  # relative; steps closer than this count as equal (the loop merges a remainder of that size)


@dataclass(frozen=True, eq=False)
class AdamsState:
    """What an Adams method remembers.

    Attributes:
        dt: the distance in time between the slopes.
        slope: the field at the current state, if it is known already.
        past: the field at the states before, newest first.
    """

    dt: float = 0.0
    slope: Tensor | None = None
    past: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class AdamsInterpolant:
    """`y(t + theta dt) = y + dt sum_j w_j(theta) f_j`: the polynomial that the step itself integrates."""

    y: Tensor
    dt: float
    nodes: tuple[int, ...]
    slopes: tuple[Tensor, ...]

    def __call__(self, theta: float) -> Tensor:
        return _advance(self.y, self.dt, integrals(self.nodes, theta), self.slopes)


class Adams(Integrator):
    """What both families share: history, starting steps, and the choice between a starting step and a step of their own."""

    order: int
    dense_output = True
    intervals: ClassVar[Mapping[int, tuple[float, float]]]  # by order: real and imaginary stability (root condition)

    def __post_init__(self) -> None:
        if self.order not in self.intervals:
            *most, last = self.intervals
            offered = f"{', '.join(map(str, most))} and {last}"
            raise ValueError(f"{type(self).__name__} of order {self.order} is not offered; orders are {offered}")

    @property
    def name(self) -> str:
        return f"{type(self).__name__}(order={self.order})"

    @property
    def dense_order(self) -> int:  # type: ignore[override]
        return self.order

    @property
    def real_stability(self) -> float:  # type: ignore[override]
        return self.intervals[self.order][0]

    @property
    def imaginary_stability(self) -> float:  # type: ignore[override]
        return self.intervals[self.order][1]

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[AdamsState, Work]:
        return AdamsState(), Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, AdamsState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        slope = problem.f(t, y) if state.slope is None else state.slope
        cost = Work(evaluations=1 if state.slope is None else 0)
        past = state.past if abs(dt - state.dt) <= _SAME * abs(dt) else ()
        slopes = (slope, *past)
        if len(slopes) < self.order:
            step = _STARTER.step(problem, t, dt, y, StageState(slope=slope))
            known = step.state.slope if isinstance(step.state, StageState) else None
        else:
            step, known = self._advance(problem, t, dt, y, slopes), None
        return replace(
            step,
            state=AdamsState(dt, known, slopes[: self.order - 1]),
            retry=AdamsState(state.dt, slope, state.past),
            work=cost + step.work,
        )

    @abstractmethod
    def _advance(self, problem: Problem, t: float, dt: float, y: Tensor, slopes: tuple[Tensor, ...]) -> Step:
        """A step with as many slopes as the order, newest first."""


@dataclass(frozen=True)
class AdamsBashforth(Adams):
    """Adams-Bashforth, `y_{n+1} = y_n + dt sum_{j<order} w_j f_{n-j}`: one evaluation a step.

    Args:
        order: 1 (explicit Euler), 2, 3, 4 or 5; the interpolant has the same order.

    Reference: Bashforth & Adams (1883).
    """

    order: int = 2
    presets: ClassVar = {f"ab{k}": {"order": k} for k in (1, 2, 3, 4, 5)}

    intervals: ClassVar = {
        1: (2.0, 0.0),
        2: (1.0, 0.0),
        3: (6 / 11, 0.7236272269866381),
        4: (3 / 10, 0.4299870799099),
        5: (90 / 551, 0.0),
    }

    def _advance(self, problem: Problem, t: float, dt: float, y: Tensor, slopes: tuple[Tensor, ...]) -> Step:
        points = nodes(0, self.order)
        new = _advance(y, dt, step_weights(points), slopes)
        return Step(new, dense=AdamsInterpolant(y, dt, points, slopes))


@dataclass(frozen=True)
class AdamsBashforthMoulton(Adams):
    """Adams-Bashforth predictor, Adams-Moulton corrector of the same order, PECE: two evaluations a step.

        p = y_n + dt sum_j w_j f_{n-j},   y_{n+1} = y_n + dt (v_0 f(t_{n+1}, p) + sum_j v_{j+1} f_{n-j})

    The error of a step is estimated by Milne's device, `c / (C + c) (y_{n+1} - p)` with the error constants C of the
    predictor and c of the corrector; it is reported with every step (in the starting steps: that of Dormand-Prince), but
    the step size cannot be controlled by it, since a change of dt restarts the method.

    Args:
        order: 2, 3, 4 or 5; the interpolant has the same order.

    Reference: Moulton (1926); Milne (1926) Amer. Math. Monthly 33, 455.
    """

    order: int = 2
    presets: ClassVar = {f"abm{k}": {"order": k} for k in (2, 3, 4, 5)}

    intervals: ClassVar = {
        2: (2.0, 1.28718850581),
        3: (1.72878356807, 0.0),
        4: (1.28481626310, 0.0),
        5: (0.94691703453, 0.25871174763),
    }

    def _advance(self, problem: Problem, t: float, dt: float, y: Tensor, slopes: tuple[Tensor, ...]) -> Step:
        points = nodes(1, self.order)
        predicted = _advance(y, dt, step_weights(nodes(0, self.order)), slopes)
        corrector = (problem.f(t + dt, predicted), *slopes[:-1])
        new = _advance(y, dt, step_weights(points), corrector)
        with torch.no_grad():
            error = (new - predicted).mul_(milne(self.order))
        dense = AdamsInterpolant(y, dt, points, corrector)
        return Step(new, error, self.order, dense=dense, work=Work(evaluations=1))


def _advance(y: Tensor, dt: float, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    out = torch.add(y, slopes[0], alpha=dt * weights[0])
    for w, f in zip(weights[1:], slopes[1:], strict=True):
        out.add_(f, alpha=dt * w)
    return out
