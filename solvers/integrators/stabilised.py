"""Stabilised explicit methods: s stages whose stability polynomial reaches about s^2 along the negative real axis.

With `F_j = f(t + c_j dt, Y_j)`, `Y_0 = y` and `Y_1 = y + m dt F_0`, for j = 2 .. s

    Y_j = (1 - mu_j - nu_j) y + mu_j Y_{j-1} + nu_j Y_{j-2} + dt (w_j F_{j-1} + g_j F_0)

and `y_new = Y_s`, or a sum of all the Y_j: three or four states are kept whatever s is. For diffusion: real spectra, and
nearly real ones.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from ..interpolate import hermite
from ..protocols import Problem, Work
from .base import SCRATCH, Integrator, Step
from .dominant import Dominant, estimate_dominant

_CERTAIN = 4.0  # an estimate that may be wrong by this factor without changing the stages is not made anew


@dataclass(frozen=True)
class Recursion:
    """The coefficients of one number of stages.

    Args:
        c: nodes `c_0 .. c_s`, `c_0 = 0`; without weights `c_s = 1`.
        first: `m`.
        rows: `(mu_j, nu_j, w_j, g_j)` for j = 2 .. s.
        weights: `b_0 .. b_s` if `y_new = sum_j b_j Y_j`; empty if `y_new = Y_s`.
    """

    c: tuple[float, ...]
    first: float
    rows: tuple[tuple[float, float, float, float], ...]
    weights: tuple[float, ...] = ()

    def at(self, z: float) -> float:
        """The stability polynomial at a real z."""
        before, now = 1.0, 1.0 + self.first * z
        total = self.weights[0] + self.weights[1] * now if self.weights else 0.0
        for j, (mu, nu, w, g) in enumerate(self.rows, start=2):
            before, now = now, 1 - mu - nu + mu * now + nu * before + z * (w * now + g)
            total += self.weights[j] * now if self.weights else 0.0
        return total if self.weights else now


@dataclass(frozen=True, eq=False)
class StabilisedState:
    """What a stabilised method keeps.

    Attributes:
        dominant: the estimate of the spectral radius, None while there is none.
        age: accepted steps since it was made.
        slope: the field at the current state, if it is known.
        scratch: three states that are overwritten in every step; empty while a gradient is tracked.
    """

    dominant: Dominant | None = None
    age: int = 0
    slope: Tensor | None = None
    scratch: tuple[Tensor, ...] = field(default=(), metadata=SCRATCH)


@dataclass(frozen=True)
class Stabilised(Integrator):
    """A stabilised explicit method of order 2: a subclass states its recursion and its interval.

    Args:
        stages: a fixed number of stages, or None: as many as the step needs, by the spectral radius.
        radius: a bound of the spectral radius of the Jacobian, or None: it is estimated (see `estimate_dominant`).
        refresh: accepted steps after which an estimate is made anew (never for a linear field).

    Attributes:
        error_weight: `e` in `error = e ((y - y_new) + dt/2 (f + f_new))`.
    """

    error_weight: ClassVar[float]

    stages: int | None = None
    radius: float | None = None
    refresh: int = 25

    def __post_init__(self) -> None:
        if self.stages is not None and self.stages < 2:
            raise ValueError(f"{self.name} got stages={self.stages}; it takes 2 or more, or None (as needed)")
        if self.radius is not None and not 0 <= self.radius < math.inf:
            raise ValueError(f"{self.name} got radius={self.radius}; expected a number >= 0, or None (it is estimated)")

    @staticmethod
    @abstractmethod
    def recursion(stages: int) -> Recursion:
        """The coefficients of a number of stages."""

    @staticmethod
    @abstractmethod
    def interval(stages: int) -> float:
        """The published length of the interval [-x, 0] on which a number of stages is stable (and damped)."""

    @classmethod
    @abstractmethod
    def needed(cls, z: float) -> int:
        """The number of stages with `interval(stages) >= z`."""

    @property
    def real_stability(self) -> float:  # type: ignore[override]
        return math.inf if self.stages is None else _edge(type(self), self.stages)

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[StabilisedState, Work]:
        if self.stages is not None or self.radius is not None:
            return StabilisedState(dominant=Dominant(self.radius or 0.0, constant=True)), Work()
        dominant, slope, work = estimate_dominant(problem, t, y, None, None)
        return StabilisedState(dominant, slope=slope), work

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, StabilisedState) or state.dominant is None:
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        dominant, slope, work = state.dominant, state.slope, Work()
        if not dominant.constant and state.age >= self.refresh:
            dominant, slope, work = estimate_dominant(problem, t, y, slope, dominant)
            state = replace(state, dominant=dominant, age=0)
        if slope is None:
            slope, work = problem.f(t, y), work + Work(evaluations=1)
        z = abs(dt) * dominant.radius
        if not math.isfinite(z):
            return Step(y, status="nonfinite", state=state, retry=state, work=work)
        stages = self.stages or self.needed(z)
        new, scratch = _advance(problem, t, dt, y, slope, self.recursion(stages), state.scratch)
        after = problem.f(t + dt, new)
        error = _error(self.error_weight, dt, y, new, slope, after) if problem.error_control else None
        certain = dominant.constant or self.needed(_CERTAIN * z) == stages or state.age == 0
        age = state.age if certain else self.refresh
        return Step(
            new,
            error,
            order=2,
            state=StabilisedState(dominant, state.age + 1, after, scratch),
            retry=StabilisedState(dominant, age, slope, scratch),
            dense=hermite(y, new, slope, after, dt),
            work=work + Work(evaluations=stages),
        )


def _error(weight: float, dt: float, y: Tensor, new: Tensor, slope: Tensor, after: Tensor) -> Tensor:
    with torch.no_grad():
        return (y - new).add_(slope, alpha=dt / 2).add_(after, alpha=dt / 2).mul_(weight)


def _advance(
    problem: Problem, t: float, dt: float, y: Tensor, slope: Tensor, k: Recursion, scratch: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The new state, and the scratch that may be used again."""
    tracked = torch.is_grad_enabled() and (y.requires_grad or slope.requires_grad)
    free = () if tracked else scratch or tuple(torch.empty_like(y) for _ in range(3))
    before, now = y, torch.add(y, slope, alpha=k.first * dt)
    total = torch.mul(y, k.weights[0]).add_(now, alpha=k.weights[1]) if k.weights else None
    for j, (mu, nu, w, g) in enumerate(k.rows, start=2):
        f = problem.f(t + k.c[j - 1] * dt, now)
        if f.requires_grad:  # the field needs a gradient, or began to: nothing is overwritten from here on
            free = ()
        reused = free[j % 3] if free and (total is not None or j < len(k.c) - 1) else None
        out = torch.mul(y, 1 - mu - nu, out=reused)
        out.add_(now, alpha=mu).add_(before, alpha=nu).add_(f, alpha=w * dt).add_(slope, alpha=g * dt)
        before, now = now, out
        total = total if total is None else total.add_(now, alpha=k.weights[j])
    return (now if total is None else total), free


@cache
def _edge(method: type[Stabilised], stages: int) -> float:
    """Where the stability polynomial leaves [-1, 1] for the first time: at the published interval or a little beyond."""
    k, low = method.recursion(stages), method.interval(stages) * (1 - 1e-9)
    high = low
    while abs(k.at(-high)) <= 1:
        low, high = high, high * (1 + 0.01 / stages)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if abs(k.at(-middle)) <= 1 else (low, middle)
    return low
