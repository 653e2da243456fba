"""Fully implicit Runge-Kutta methods by collocation: all stages of a step are one system.

    Y_i = y + dt sum_j a_ij f(t + c_j dt, Y_j),   a_ij = int_0^{c_i} l_j
    y(t + theta dt) = y + sum_i w_i(theta) (Y_i - y),   w(theta)' = (int_0^theta l)' A^-1,   y_new = y(t + dt)

with l_j the Lagrange polynomials on the nodes c. The stacked system `Y = 1 (x) y + dt F(Y)`, `F = (A (x) I) f`, is an implicit
stage like any other: Newton-Krylov on the stacked field, one linear solve with `I - dt A (x) L` for a linear field. The new
state comes from the stages, not from slopes, which a stiff field would amplify.

Error estimate (order s): against the quadrature of order s on the nodes 0 (weight g), c_1, ..., c_s, filtered:

    error = (I - g dt J)^-1 (g dt f(t, y) + sum_i e_i (Y_i - y)),   e' = (b^ - b)' A^-1

Reference: Hairer & Wanner (1996) Solving Ordinary Differential Equations II, IV.5 and IV.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..protocols import LinearFlow, Problem, Work, linear_flow
from ..stacked import StackedField, StackedOperator, StackedSpace
from .base import Step
from .implicit_stage import ImplicitMethod, ImplicitState, Stage

_FURTHEST = 3.0  # ratio of step sizes up to which a polynomial serves as a guess


@dataclass(frozen=True)
class Nodes:
    """A collocation method, by its nodes.

    Args:
        c: nodes, `[s]`.
        filter: the weight g of `f(t, y)` in the error estimate, and of its filter; None for no estimate.
    """

    c: tuple[float, ...]
    filter: float | None = None

    @cached_property
    def a(self) -> np.ndarray:
        """Butcher's matrix, `[s, s]`."""
        return _integrals(self.c, self.c)

    @cached_property
    def b(self) -> np.ndarray:
        """Weights, `[s]`."""
        return _integrals(self.c, (1.0,))[0]

    @cached_property
    def e(self) -> np.ndarray:
        """Weights of the stages in the error estimate, `[s]`."""
        moments = 1 / np.arange(1, len(self.c) + 1)
        moments[0] -= self.filter or 0.0
        embedded = np.linalg.solve(np.vander(self.c, increasing=True).T, moments)
        return np.linalg.solve(self.a.T, embedded - self.b)

    def at(self, theta: float) -> np.ndarray:
        """`y(t + theta dt) = y + sum_i w_i (Y_i - y)`: the weights w, `[s]`, of the collocation polynomial."""
        return np.linalg.solve(self.a.T, _integrals(self.c, (theta,))[0])


def _integrals(c: tuple[float, ...], ends: tuple[float, ...]) -> np.ndarray:
    """`int_0^end l_j` for every end and node, `[ends, s]`."""
    powers = np.arange(1, len(c) + 1)
    moments = np.asarray(ends)[:, None] ** powers / powers
    return np.linalg.solve(np.vander(c, increasing=True).T, moments.T).T


@dataclass(frozen=True, eq=False)
class CollocationState:
    """What a collocation method keeps.

    Attributes:
        system, filter: prepared solvers of the stacked system and of the filter (linear fields).
        before, stages: the last state and the stages that led from it, for the next guess; None at the start.
        dt: the step size between.
    """

    system: ImplicitState = field(default_factory=ImplicitState)
    filter: ImplicitState = field(default_factory=ImplicitState)
    before: Tensor | None = None
    stages: Tensor | None = None
    dt: float = 0.0


@dataclass(frozen=True)
class Collocation(ImplicitMethod):
    """A collocation method: a subclass states its `nodes`."""

    nodes: ClassVar[Nodes]
    real_stability = imaginary_stability = float("inf")

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[CollocationState, Work]:  # type: ignore[override]
        return CollocationState(), Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, CollocationState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        s, start = len(self.nodes.c), y.expand(len(self.nodes.c), *y.shape)
        stacked = self._stacked(problem, t, dt, y)
        solved = self.stage(stacked, t, dt, start, self._guess(y, dt, state), state.system)
        work = Work(solved.work.evaluations * s, solved.work.products * s, solved.work.linear_iterations)
        retry = replace(state, system=solved.state)
        if solved.failed is not None:
            return replace(solved.failed, y=solved.failed.y[-1], work=work, retry=retry)
        end = solved.y[-1] if self.nodes.c[-1] == 1 else _weighted(self.nodes.at(1.0), y, solved.y)
        error = None
        if self.adaptive and problem.error_control:
            error, cost, kept = self._error(problem, t, dt, y, solved.y, state.filter)
            work, retry = work + cost, replace(retry, filter=kept)
        after = replace(retry, before=y.detach(), stages=solved.y.detach(), dt=dt)
        dense = partial(self._inside, y, solved.y) if self.dense_output else None
        return Step(end, error, s, state=after, retry=retry, dense=dense, work=work)

    def _stacked(self, problem: Problem, t: float, dt: float, y: Tensor) -> Problem:
        """The problem that the stages, one above the other, are a solution of."""
        a = torch.as_tensor(self.nodes.a, dtype=y.dtype, device=y.device)
        flow, space = linear_flow(problem.field), StackedSpace(problem.space)
        if flow is None:
            system = StackedField(problem, a, tuple(t + c * dt for c in self.nodes.c))
            return replace(problem, field=system, space=space)
        source = flow.source
        if source is not None:
            source = torch.stack([c * source.expand_as(y) for c in self.nodes.c])
        return replace(problem, field=LinearFlow(StackedOperator(flow.operator, a, y.dim() == 1), source), space=space)

    def _guess(self, y: Tensor, dt: float, state: CollocationState) -> Tensor:
        """The stages where the last step's polynomial has them; y where there is none, or it was much shorter."""
        if state.before is None or state.stages is None or not 0 < dt / state.dt <= _FURTHEST:
            return y.expand(len(self.nodes.c), *y.shape)
        ratio = dt / state.dt
        return torch.stack([_weighted(self.nodes.at(1 + c * ratio), state.before, state.stages) for c in self.nodes.c])

    def _inside(self, y: Tensor, stages: Tensor, theta: float) -> Tensor:
        return _weighted(self.nodes.at(theta), y, stages)

    @torch.no_grad()
    def _error(
        self, problem: Problem, t: float, dt: float, y: Tensor, stages: Tensor, kept: ImplicitState
    ) -> tuple[Tensor | None, Work, ImplicitState]:
        h, flow = (self.nodes.filter or 0.0) * dt, linear_flow(problem.field)
        slope = problem.f(t, y)
        if flow is not None:
            kept = ImplicitState(self._prepared(problem, flow, h, kept), h)
        raw = _weighted(self.nodes.e, y, stages) - y + h * slope
        error, work = self.estimate(problem, t, Stage(y, slope, Work(), kept), h, raw)
        return error, work + Work(evaluations=1), kept


def _weighted(weights: np.ndarray, y: Tensor, stages: Tensor) -> Tensor:
    """`y + sum_i w_i (Y_i - y)`."""
    w = torch.as_tensor(weights, dtype=stages.dtype, device=stages.device)
    return (1 - math.fsum(weights)) * y + torch.tensordot(w, stages, 1)
