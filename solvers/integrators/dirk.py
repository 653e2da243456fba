"""Diagonally implicit Runge-Kutta methods with an explicit first stage, from their tableaux: one engine for all of them.

    Y_i = y + dt sum_{j<i} a_ij k_j + g dt f(t + c_i dt, Y_i),   k_i = f(t + c_i dt, Y_i),   y_new = Y_s,   k_1 = f(t, y)

Stiffly accurate: the last stage is the new state, its slope the first of the next step. Every implicit stage has the same
`I - g dt J`; a slope is taken as `(Y_i - b_i) / (g dt)`, which a stiff field does not amplify.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..interpolate import ValueInterpolant
from ..protocols import Problem, Work
from .base import Step
from .continuous import Extension
from .implicit_stage import ImplicitMethod, taken

Row = tuple[float, ...]
_LARGEST_RATIO = 2.0  # of successive steps: the error of a stage's slope is that of the stage over its step size
_EXACT = float("inf")  # stands for the step size of a slope that was evaluated


@dataclass(frozen=True)
class DiagonalTableau:
    """The tableau of a stiffly accurate ESDIRK pair; it checks itself.

    Args:
        a: rows of coefficients, row i has i + 1 entries; the first is `(0,)`, all others end in the same g. The last row
            holds the weights of the method.
        embedded: weights of the lower-order solution, `[s]`.
        error_order: its order.
        dense: order of the conditions that the continuous extension meets: the error inside a step is O(dt^(dense + 1)).
    """

    a: tuple[Row, ...]
    embedded: Row
    error_order: int
    dense: int = 2

    def __post_init__(self) -> None:
        if [len(row) for row in self.a] != list(range(1, len(self.a) + 1)) or self.a[0] != (0.0,):
            raise ValueError(
                f"rows of lengths {[len(row) for row in self.a]}, first {self.a[0]}; expected 1, 2, ..., first (0,)"
            )
        if len({row[-1] for row in self.a[1:]}) != 1:
            raise ValueError(f"diagonal {[row[-1] for row in self.a]}; expected 0 and then one value")
        if abs(sum(self.a[-1]) - 1) > 1e-12 or abs(sum(self.embedded) - 1) > 1e-12:
            raise ValueError(f"weights sum to {sum(self.a[-1])} and {sum(self.embedded)}; expected 1")

    @property
    def diagonal(self) -> float:
        return self.a[-1][-1]

    @cached_property
    def c(self) -> Row:
        """Nodes: the row sums; those of the stages at `t + dt` are exactly 1."""
        return tuple(1.0 if abs(sum(row) - 1) < 1e-12 else sum(row) for row in self.a)

    @cached_property
    def error(self) -> Row:
        """Weights of the error estimate."""
        return tuple(b - e for b, e in zip(self.a[-1], self.embedded, strict=True))

    @cached_property
    def extension(self) -> Extension:
        """The continuous extension: a combination of the stages' states, bounded however stiff the field is."""
        return Extension.implicit(self.a, self.dense)


@dataclass(frozen=True)
class DiagonallyImplicit(ImplicitMethod):
    """A stiffly accurate ESDIRK method: a subclass states its `tableau`.

    Dense output: a combination of y and the states of the stages, in which no slope at a rough start appears.
    """

    tableau: ClassVar[DiagonalTableau]
    adaptive = True
    dense_output = True
    real_stability = imaginary_stability = float("inf")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        state, tab = taken(state, self), self.tableau
        h, known = tab.diagonal * dt, state.slope is not None and abs(dt) <= _LARGEST_RATIO * abs(state.dt)
        k = [state.slope if known and state.slope is not None else problem.f(t, y)]
        work, smooth = Work(evaluations=0 if known else 1), known and state.dt != _EXACT
        kept = state = replace(state, slope=k[0], dt=state.dt if known else _EXACT)
        end, states = y, []
        for i in range(1, len(tab.a)):
            b = combine(y, dt, tab.a[i][:-1], k)
            # the slope of a stage is smooth; that of a first state need not be
            guess = b + h * _extrapolated(tab.c, k, i) if smooth or i > 1 else y
            solved = self.stage(problem, t + tab.c[i] * dt, h, b, guess, kept)
            work, kept = work + solved.work, replace(solved.state, slope=k[0], dt=state.dt)
            if solved.failed is not None:
                return replace(solved.failed, work=work, retry=kept)
            k.append(solved.slope)
            end = solved.y
            states.append(end)
        error = None
        if problem.error_control:
            with torch.no_grad():
                error = combine(torch.zeros_like(y), dt, tab.error, k)
        after = replace(kept, slope=k[-1], dt=dt)
        dense = ValueInterpolant(y, states, (), dt, tab.extension)
        return Step(end, error, tab.error_order, state=after, retry=kept, dense=dense, work=work)


def combine(y: Tensor, dt: float, weights: Sequence[float], slopes: Sequence[Tensor | None]) -> Tensor:
    """`y + dt sum_j weights_j slopes_j`, those of weight zero left out (they may be None)."""
    for w, slope in zip(weights, slopes, strict=False):
        if w != 0.0 and slope is not None:
            y = torch.add(y, slope, alpha=dt * w)
    return y


def _extrapolated(c: Row, k: list[Tensor], i: int) -> Tensor:
    """The slope of stage i on the line through the last two stages, where their nodes differ."""
    if i < 2 or abs(c[i - 1] - c[i - 2]) < 0.05:
        return k[-1]
    theta = (c[i] - c[i - 1]) / (c[i - 1] - c[i - 2])
    return torch.lerp(k[-1], k[-2], -theta) if abs(theta) <= 2 else k[-1]
