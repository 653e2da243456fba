"""How the next step size is chosen.

Error per step: with `ratio = rms(error / (atol + rtol max|y|))` a step is accepted if `ratio <= 1`, and the next size is

    dt_new = dt safety ratio_n^(-kI - kP - kD) ratio_{n-1}^(kP + 2 kD) ratio_{n-2}^(-kD),   exponents over (order + 1),

limited to [shrink, grow]. Integral control is kP = kD = 0. Source: Soderlind (2003) ACM TOMS 29, 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from .integrators.base import Integrator, Step
from .protocols import Problem, Work


class Controller(ABC):
    """Chooses step sizes; its own state (`cstate`) is passed along, never kept."""

    adaptive: bool

    @abstractmethod
    def first(self, problem: Problem, method: Integrator, t: float, y: Tensor, span: float) -> tuple[float, object, Work]:
        """The first step size (positive), the controller's state, and what finding it cost."""

    @abstractmethod
    def next(self, dt: float, step: Step, ratio: float, cstate: object) -> tuple[bool, float, object]:
        """Whether the step is accepted, the next step size, and the controller's state."""


@dataclass(frozen=True)
class Fixed(Controller):
    """Constant steps of size `dt`; the last one before an end or an output may be shorter."""

    dt: float
    adaptive = False

    def __post_init__(self) -> None:
        if not self.dt > 0:
            raise ValueError(f"dt = {self.dt}; a step size must be positive (the direction of time follows from t)")

    def first(self, problem: Problem, method: Integrator, t: float, y: Tensor, span: float) -> tuple[float, object, Work]:
        return self.dt, None, Work()

    def next(self, dt: float, step: Step, ratio: float, cstate: object) -> tuple[bool, float, object]:
        return step.status == "ok", self.dt, cstate


@dataclass(frozen=True)
class PID(Controller):
    """Proportional-integral-derivative control of the error per step.

    Args:
        integral, proportional, derivative: gains kI, kP, kD (default: integral control).
        safety: the next error is aimed at `safety^(order + 1)` of the tolerance.
        shrink, grow: limits of the ratio of successive step sizes.
        first_dt: the first step size; None lets the heuristic of Hairer, Norsett & Wanner (1993) II.4 choose.
        max_dt: no step is larger.
        min_dt: a step of this size or smaller is accepted whatever its error, and the next is not made smaller.
    """

    integral: float = 1.0
    proportional: float = 0.0
    derivative: float = 0.0
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0
    first_dt: float | None = None
    max_dt: float = float("inf")
    min_dt: float = 0.0
    adaptive = True

    def first(self, problem: Problem, method: Integrator, t: float, y: Tensor, span: float) -> tuple[float, object, Work]:
        if self.first_dt is not None:
            return min(self.first_dt, self.max_dt), (1.0, 1.0), Work()
        with torch.no_grad():
            dt = _first_step(problem, method.order, t, y, span)
        return min(dt, self.max_dt), (1.0, 1.0), Work(evaluations=2)

    def next(self, dt: float, step: Step, ratio: float, cstate: object) -> tuple[bool, float, object]:
        before, earlier = cstate  # type: ignore[misc]
        if step.status != "ok" or not ratio < float("inf"):
            return False, dt * (step.factor or 0.25), cstate
        ratio = max(ratio, 1e-10)
        p = 1.0 / (step.order + 1)
        k_i, k_p, k_d = self.integral * p, self.proportional * p, self.derivative * p
        factor = self.safety * ratio ** -(k_i + k_p + k_d) * before ** (k_p + 2 * k_d) * earlier**-k_d
        accept = ratio <= 1.0 or dt <= self.min_dt
        factor = min(max(factor, self.shrink), self.grow if accept else 1.0)
        if not accept:
            factor = min(factor, self.safety)
        dt = max(min(dt * (step.factor or factor), self.max_dt), self.min_dt)
        return accept, dt, ((ratio, before) if accept else cstate)


@dataclass(frozen=True)
class Integral(PID):
    """Integral control: the classical rule `dt safety ratio^(-1/(order + 1))`."""


@dataclass(frozen=True)
class PI(PID):
    """Proportional-integral control, kI = 0.3, kP = 0.4: smoother step sizes near a stability limit (Gustafsson 1991)."""

    integral: float = 0.3
    proportional: float = 0.4


def _first_step(problem: Problem, order: float, t: float, y: Tensor, span: float) -> float:
    """Hairer, Norsett & Wanner (1993), II.4: from the sizes of y, f and of a difference of f."""
    space, direction = problem.space, 1.0 if span >= 0 else -1.0
    scale = y.abs().mul(problem.rtol).add_(problem.atol)
    f0 = problem.f(t, y)
    d0, d1 = float(space.rms(y / scale).amax()), float(space.rms(f0 / scale).amax())
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    h0 = min(h0, abs(span))
    f1 = problem.f(t + direction * h0, y + direction * h0 * f0)
    d2 = float(space.rms((f1 - f0) / scale).amax()) / h0 if h0 > 0 else 0.0
    top = max(d1, d2)
    h1 = max(1e-6, h0 * 1e-3) if top <= 1e-15 else (0.01 / top) ** (1.0 / (order + 1))
    return min(100 * h0, h1, abs(span)) if abs(span) > 0 else 0.0
