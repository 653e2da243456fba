"""Explicit Runge-Kutta methods from their Butcher tableaux: one engine for all of them.

    k_i = f(t + c_i dt, y + dt sum_{j<i} a_ij k_j),   y_new = y + dt sum_i b_i k_i,   error = dt sum_i (b_i - b^_i) k_i

Stages are stored stage-first in one buffer that is reused from step to step; a combination of stages is one
matrix-vector product. Where a gradient is needed the same formulas run functionally.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import ClassVar

import torch
from torch import Tensor

from ..bootstrap import Bootstrapped, Slopes
from ..interpolate import StageInterpolant
from ..protocols import Problem, Work, as_time
from .base import SCRATCH, Integrator, Step

Row = tuple[float, ...]


@dataclass(frozen=True)
class Tableau:
    """A Butcher tableau, strictly lower triangular; it checks its own row sums.

    Args:
        c: nodes, `[s]`.
        a: rows of coefficients, row i has i entries.
        b: weights, `[s]`.
        error: `b - b^` (weights of the error estimate), or None.
        error_order: order of the lower-order solution of the pair.
        dense: coefficients of the interpolant: row i holds the polynomial `b_i(theta) = sum_m dense[i][m] theta^(m+1)`.
    """

    c: Row
    a: tuple[Row, ...]
    b: Row
    error: Row | None = None
    error_order: int = 0
    dense: tuple[Row, ...] | None = None

    def __post_init__(self) -> None:
        if not len(self.c) == len(self.a) == len(self.b):
            raise ValueError(f"tableau has {len(self.c)} nodes, {len(self.a)} rows, {len(self.b)} weights")
        for i, (node, row) in enumerate(zip(self.c, self.a, strict=True)):
            if len(row) != i or abs(sum(row) - node) > 1e-12:
                raise ValueError(f"row {i} has {len(row)} entries summing to {sum(row)}; expected {i} summing to {node}")
        if abs(sum(self.b) - 1) > 1e-12 or (self.error is not None and abs(sum(self.error)) > 1e-12):
            raise ValueError("weights must sum to 1 and error weights to 0")

    @cached_property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is the field at the new state (then it is the first stage of the next step)."""
        return self.c[-1] == 1.0 and self.b[-1] == 0.0 and self.a[-1] == self.b[:-1]

    @cached_property
    def alone(self) -> tuple[tuple[int, float] | None, ...]:
        """For each row of `a`, and then b, the one stage that it has and its weight; None where it has several."""
        kept = [[(j, w) for j, w in enumerate(row) if w] for row in (*self.a, self.b)]
        return tuple(row[0] if len(row) == 1 else None for row in kept)


@dataclass(frozen=True, eq=False)
class _Weights:
    rows: tuple[Tensor, ...]  # of a, then b
    error: Tensor | None


@cache
def _weights(tab: Tableau, dtype: torch.dtype, device: torch.device) -> _Weights:
    def tensor(row: Row) -> Tensor:
        return torch.tensor(row, dtype=dtype, device=device)

    return _Weights(tuple(map(tensor, (*tab.a, tab.b))), None if tab.error is None else tensor(tab.error))


@dataclass(frozen=True, eq=False)
class StageBuffer:
    """The stages of a step, and the views of them that every step needs: making a view costs as much as small arithmetic.

    Attributes:
        weights: of the tableau, as tensors.
        alone: of the tableau.
        stages: `[stages, *state]`.
        rows: the stages one by one, `[*state]` each.
        before: per stage, those before it as a matrix `[entries of the state, i]`; the last one has all stages.
    """

    weights: _Weights
    alone: tuple[tuple[int, float] | None, ...]
    stages: Tensor
    rows: tuple[Tensor, ...]
    before: tuple[Tensor, ...]

    @staticmethod
    def of(tab: Tableau, y: Tensor) -> StageBuffer:
        """Room for the stages of a state like `y`."""
        count, weights = len(tab.c), _weights(tab, y.dtype, y.device)
        stages = torch.empty((count, *y.shape), dtype=y.dtype, device=y.device)
        flat = stages.view(count, -1)
        return StageBuffer(weights, tab.alone, stages, tuple(stages), tuple(flat[:i].t() for i in range(count + 1)))

    def combined(self, row: int, y: Tensor, flat: Tensor, dt: float) -> Tensor:
        """`y + dt sum_j w_j k_j`, w a row of a, or b behind them; `flat` is y as a vector.

        A single stage takes one pass over the state, where a product first copies y.
        """
        alone = self.alone[row]
        if alone is not None:
            return torch.add(y, self.rows[alone[0]], alpha=dt * alone[1])
        new = torch.addmv(flat, self.before[row], self.weights.rows[row], alpha=dt)
        return new if y.dim() == 1 else new.view(y.shape)


@dataclass(frozen=True, eq=False)
class StageState:
    """Where the field at the current state is, if it is known already.

    Attributes:
        buffer: scratch that is reused from step to step; None while a gradient is tracked.
        slope: the field at the current state, never overwritten; None where it has to be evaluated.
    """

    buffer: StageBuffer | None = field(default=None, metadata=SCRATCH)
    slope: Tensor | None = None


class ExplicitRungeKutta(Integrator):
    """An explicit Runge-Kutta method: a subclass states its `tableau`.

    Attributes:
        inner: slopes inside a step that raise the order of the tableau's interpolant, evaluated where a time inside is asked
            for; only where the last stage is the first of the next step.
    """

    tableau: ClassVar[Tableau]
    inner: ClassVar[tuple[Slopes, ...]] = ()

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[StageState, Work]:
        return StageState(), Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, StageState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        buffer = state.buffer
        slope = problem.f(t, y) if state.slope is None else state.slope
        cost = len(self.tableau.c) - (state.slope is not None)
        if torch.is_grad_enabled() and (slope.requires_grad or y.requires_grad):
            return self._functional(problem, t, dt, y, [slope], cost)
        if buffer is None:
            buffer = StageBuffer.of(self.tableau, y)
        return self._buffered(problem, t, dt, y, buffer, slope, cost)

    def _buffered(
        self, problem: Problem, t: float, dt: float, y: Tensor, buffer: StageBuffer, first: Tensor, cost: int
    ) -> Step:
        tab, s, slope, shape = self.tableau, len(self.tableau.c), first, y.shape
        rows, before, flat = buffer.rows, buffer.before, y.dim() == 1
        base = y if flat else y.reshape(-1)
        rows[0].copy_(first)
        weights, nodes, f, fsal = buffer.weights, tab.c, problem.f, tab.first_same_as_last
        into = None if torch.is_grad_enabled() else getattr(problem.field, "into", None)
        new = y
        for i in range(1, s):
            new = buffer.combined(i, y, base, dt)
            if into is not None and not (fsal and i == s - 1):  # that slope outlives the buffer
                into(as_time(t + nodes[i] * dt, new), new, rows[i])
                continue
            slope = f(t + nodes[i] * dt, new)
            if slope.requires_grad:  # the field began to need a gradient: go on functionally
                return self._functional(problem, t, dt, y, [*buffer.stages[:i].clone(), slope], cost)
            rows[i].copy_(slope)
        if not fsal:
            new = buffer.combined(s, y, base, dt)
        error = None
        if weights.error is not None:
            error = torch.addmv(base, before[s], weights.error, beta=0, alpha=dt)
            error = error if flat else error.view(shape)

        dense = None if tab.dense is None else StageInterpolant(y, buffer.stages, dt, partial(_dense_weights, tab))
        if dense is not None and self.inner:
            dense = Bootstrapped(self.inner, problem, t, dt, (y, new), (first, slope), dense)
        return Step(
            new,
            error,
            tab.error_order,
            state=StageState(buffer, slope if fsal else None),
            retry=StageState(buffer, first),
            dense=dense,
            work=Work(evaluations=cost),
        )

    def _functional(self, problem: Problem, t: float, dt: float, y: Tensor, k: list[Tensor], cost: int) -> Step:
        tab, s, given = self.tableau, len(self.tableau.c), len(k)
        new = y
        for i in range(given, s):
            new = _combine(y, dt, tab.a[i], k)
            k.append(problem.f(t + tab.c[i] * dt, new))
        fsal = tab.first_same_as_last
        if not fsal:
            new = _combine(y, dt, tab.b, k)
        error = None
        if tab.error is not None:
            with torch.no_grad():
                error = _combine(torch.zeros_like(y), dt, tab.error, k)
        dense = None if tab.dense is None else lambda theta: _combine(y, dt, _dense_weights(tab, theta), k)
        if dense is not None and self.inner:
            dense = Bootstrapped(self.inner, problem, t, dt, (y, new), (k[0], k[-1]), dense)
        return Step(
            new,
            error,
            tab.error_order,
            state=StageState(slope=k[-1] if fsal else None),
            retry=StageState(slope=k[0]),
            dense=dense,
            work=Work(evaluations=cost),
        )


def _combine(y: Tensor, dt: float, weights: Sequence[float], k: Sequence[Tensor]) -> Tensor:
    """`y + dt sum_j w_j k_j`: the sum first, so that a step rounds the state once and not once for each slope."""
    total: Tensor | None = None
    for w, slope in zip(weights, k, strict=False):
        if w != 0.0:
            total = slope * (dt * w) if total is None else torch.add(total, slope, alpha=dt * w)
    return y if total is None else y + total


def _dense_weights(tab: Tableau, theta: float) -> Row:
    return tuple(sum(c * theta ** (m + 1) for m, c in enumerate(row)) for row in tab.dense or ())
