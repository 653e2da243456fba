"""Additive (implicit-explicit) Runge-Kutta methods for semilinear fields, from pairs of tableaux: one engine for all.

    Y_i = y + dt sum_{j<i} (a_ij kI_j + e_ij kE_j) + dt a_ii kI_i,   kI_i = L(t_i, y) Y_i,   kE_i = f(t_i, Y_i) - L(t_i, y) Y_i
    y_new = y + dt sum_i (b_i kI_i + d_i kE_i),   t_i = t + c_i dt

One linear system `(I - a_ii dt L) Y_i = ...` a stage. With a constant L, `kE = g(t_i, Y_i)`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..interpolate import ValueInterpolant
from ..protocols import Problem, Work
from .base import Step
from .continuous import Extension
from .dirk import Row, combine
from .linearly_implicit import LinearlyImplicit, Split


@dataclass(frozen=True)
class AdditiveTableau:
    """A diagonally implicit and an explicit tableau with the same nodes; it checks itself.

    Args:
        implicit: rows of coefficients a, row i has i + 1 entries.
        explicit: rows of coefficients e, row i has i entries.
        implicit_weights, explicit_weights: b and d, `[s]`.
        embedded: weights of the lower-order solution, the same for both parts; or None.
        error_order: its order.
        dense: order of the conditions that the continuous extension meets: the error inside a step is O(dt^(dense + 1)).
    """

    implicit: tuple[Row, ...]
    explicit: tuple[Row, ...]
    implicit_weights: Row
    explicit_weights: Row
    embedded: Row | None = None
    error_order: int = 0
    dense: int = 2

    def __post_init__(self) -> None:
        for i, (a, e) in enumerate(zip(self.implicit, self.explicit, strict=True)):
            if len(a) != i + 1 or len(e) != i or abs(sum(a) - sum(e)) > 1e-12:
                raise ValueError(
                    f"rows {i} have {len(a)} and {len(e)} entries, summing to {sum(a)} and {sum(e)}; sums must agree"
                )
        for w in (self.implicit_weights, self.explicit_weights, self.embedded):
            if w is not None and (len(w) != len(self.implicit) or abs(sum(w) - 1) > 1e-12):
                raise ValueError(f"{len(w)} weights summing to {sum(w)}; expected {len(self.implicit)} summing to 1")

    @cached_property
    def c(self) -> Row:
        """Nodes; those of the stages at `t + dt` are exactly 1."""
        return tuple(1.0 if abs(sum(row) - 1) < 1e-12 else sum(row) for row in self.implicit)

    @cached_property
    def error(self) -> Row | None:
        """Weights of the error estimate."""
        if self.embedded is None:
            return None
        return tuple(b - e for b, e in zip(self.implicit_weights, self.embedded, strict=True))

    @cached_property
    def extension(self) -> Extension:
        """The continuous extension: stages' states, bounded however stiff the linear part is, and slopes of the rest."""
        weights = self.implicit_weights, self.explicit_weights
        return Extension.additive(self.implicit, self.explicit, weights, self.dense)

    @cached_property
    def last_is_new(self) -> bool:
        """Whether the last stage is the new state."""
        return self.implicit[-1] == self.implicit_weights and (*self.explicit[-1], 0.0) == self.explicit_weights

    def needs(self, i: int) -> tuple[bool, bool]:
        """Whether the implicit and the explicit slope of stage i are used after it."""
        stages = range(i + 1, len(self.c))
        end = not self.last_is_new
        a = any(self.implicit[j][i] for j in stages) or (end and self.implicit_weights[i] != 0)
        e = any(self.explicit[j][i] for j in stages) or (end and self.explicit_weights[i] != 0)
        return bool(a) or self.error is not None, bool(e) or self.error is not None


@dataclass(frozen=True)
class AdditiveRungeKutta(LinearlyImplicit):
    """An additive Runge-Kutta method: a subclass states its `tableau`.

    Dense output of the method's order from the stages, bounded however stiff the linear part is.
    """

    tableau: ClassVar[AdditiveTableau]
    needs = "semilinear"
    dense_output = True
    real_stability = imaginary_stability = float("inf")  # of the linear part

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        given, tab, split = self.taken(state), self.tableau, Split.of(problem, self.name)
        kept, work, stage = given, Work(), y
        linear: list[Tensor | None] = []
        rest: list[Tensor | None] = []
        states: list[Tensor] = []
        for i, row in enumerate(tab.implicit):
            at, (a, e) = t + tab.c[i] * dt, tab.needs(i)
            stage = combine(combine(y, dt, row[:-1], linear), dt, tab.explicit[i], rest)
            L, slope = split.operator(at, y), None
            if row[-1] != 0.0:
                guess = stage if i == 0 or linear[-1] is None else stage + (dt * row[-1]) * linear[-1]
                solved, kept = self.linear_stage(problem, L, dt * row[-1], stage, guess, kept)
                work = work + solved.work
                if solved.failed is not None:
                    return replace(solved.failed, work=work, retry=given)
                stage, slope = solved.y, solved.slope
            elif a:
                slope, work = L.matvec(stage), work + Work(products=1)
            linear.append(slope)
            states.append(stage)
            found, cost = split.rest(at, stage, L) if e else (None, Work())
            rest.append(found)
            work = work + cost
        if not tab.last_is_new:
            stage = combine(combine(y, dt, tab.implicit_weights, linear), dt, tab.explicit_weights, rest)
        error = None
        if tab.error is not None and problem.error_control:
            with torch.no_grad():
                error = combine(combine(torch.zeros_like(y), dt, tab.error, linear), dt, tab.error, rest)
        dense = ValueInterpolant(y, states[1:], rest, dt, tab.extension)
        return Step(stage, error, tab.error_order, state=kept, retry=given, dense=dense, work=work)
