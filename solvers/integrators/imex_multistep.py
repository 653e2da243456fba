"""Implicit-explicit multistep methods for semilinear fields: the linear part implicitly, the rest extrapolated.

    SBDF:   sum_j a_j y_{n+1-j} = dt L y_{n+1} + dt sum_j e_j g_{n+1-j},   e_j the extrapolation to t_{n+1}
    CNAB2:  y_{n+1} - y_n = dt/2 L (y_{n+1} + y_n) + dt (3/2 g_n - 1/2 g_{n-1})

with `g_k = g(t_k, y_k)`; one linear system and one evaluation of g a step. Fixed steps: the first ones, and those after a
change of dt, are steps of an additive Runge-Kutta method of the same order. An operator that depends on t and y is taken at
`t_{n+1}` and the y that the last states extrapolate to, which keeps the order.

Reference: Ascher, Ruuth & Wetton (1995) SIAM J. Numer. Anal. 32, 797.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ..interpolate import through
from ..protocols import Problem, Work
from .ark import AdditiveRungeKutta
from .ars import ARS222, ARS443
from .base import Step
from .dirk import Row, combine
from .linearly_implicit import LinearlyImplicit, Split, SplitState

_SAME = 1e-9  # relative; steps closer than this count as equal (the loop merges a remainder of that size)


@dataclass(frozen=True)
class ImexMultistep(LinearlyImplicit):
    """A multistep method `y_{n+1} - h L y_{n+1} = sum_j w_j y_{n-j} + dt (l L y_n + sum_j e_j g_{n-j})`, `h = implicit dt`.

    Dense output of the method's order: the polynomial through the states of the formula. A subclass states w (`states`),
    e (`rests`), `implicit`, `explicit` (which is l) and the extrapolation of y to `t_{n+1}`.
    """

    needs = "semilinear"
    dense_output = True
    real_stability = float("inf")  # of the linear part
    states: ClassVar[Row]
    rests: ClassVar[Row]
    extrapolation: ClassVar[Row]
    implicit: ClassVar[float]
    explicit_share: ClassVar[float] = 0.0
    starter: ClassVar[type[AdditiveRungeKutta]]

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        given, split = self.taken(state), Split.of(problem, self.name)
        same = abs(dt - given.dt) <= _SAME * abs(dt)
        past = (y, *(given.past if same else ()))
        here = split.operator(t, y)
        rest, work = split.rest(t, y, here)
        rests = (rest, *(given.rests if same else ()))
        if len(rests) < len(self.rests):
            step = self._start(problem, t, dt, y, given)
            solver = step.state if isinstance(step.state, SplitState) else given
        else:
            step, solver = self._formula(split, t, dt, past, rests, given)
        step = replace(step, work=step.work + work, retry=given)
        if step.status != "ok":
            return step
        keep = len(self.rests) - 1
        return replace(step, state=replace(solver, dt=dt, past=past[:keep], rests=rests[:keep]))

    def _start(self, problem: Problem, t: float, dt: float, y: Tensor, state: SplitState) -> Step:
        return self.starter(self.linear_solver, self.linear_rtol).step(problem, t, dt, y, state)

    def _formula(
        self, split: Split, t: float, dt: float, past: tuple[Tensor, ...], rests: tuple[Tensor, ...], state: SplitState
    ) -> tuple[Step, SplitState]:
        zero, h, work = torch.zeros_like(past[0]), self.implicit * dt, Work()
        ahead = combine(zero, 1.0, self.extrapolation, past)
        b = combine(combine(zero, 1.0, self.states, past), dt, self.rests, rests)
        if self.explicit_share:
            b = torch.add(b, split.operator(t, past[0]).matvec(past[0]), alpha=self.explicit_share * dt)
            work = Work(products=1)
        solved, state = self.linear_stage(split.problem, split.operator(t + dt, ahead), h, b, ahead, state)
        work = work + solved.work
        if solved.failed is not None:
            return replace(solved.failed, work=work), state
        dense = through([1.0 - j for j in range(len(past) + 1)], (solved.y, *past))
        return Step(solved.y, dense=dense, work=work), state


@dataclass(frozen=True)
class CNAB2(ImexMultistep):
    """CNAB2, order 2: Crank-Nicolson for the linear part, Adams-Bashforth for the rest; A-stable, not L-stable.

    Order 2 for L(t, y) too. Started by ARS222. Rough data oscillate, as with Crank-Nicolson: take SBDF2 there.

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.

    Reference: Ascher, Ruuth & Wetton (1995) SIAM J. Numer. Anal. 32, 797, (9).
    """

    order = dense_order = 2
    imaginary_stability = float("inf")
    states = (1.0,)
    rests = (3 / 2, -1 / 2)
    extrapolation = (2.0, -1.0)
    implicit = explicit_share = 1 / 2
    starter = ARS222


@dataclass(frozen=True)
class SBDF2(ImexMultistep):
    """SBDF2 (extrapolated Gear), order 2, the linear part by the L-stable BDF2:

        3/2 y_{n+1} - 2 y_n + 1/2 y_{n-1} = dt L y_{n+1} + dt (2 g_n - g_{n-1})

    Order 2 for L(t, y) too. Started by ARS222.

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.

    Reference: Ascher, Ruuth & Wetton (1995) SIAM J. Numer. Anal. 32, 797, (12).
    """

    order = dense_order = 2
    imaginary_stability = float("inf")
    states = (4 / 3, -1 / 3)
    rests = (4 / 3, -2 / 3)
    extrapolation = (2.0, -1.0)
    implicit = 2 / 3
    starter = ARS222


@dataclass(frozen=True)
class SBDF3(ImexMultistep):
    """SBDF3, order 3, the linear part by BDF3 (stable for all decay, in a sector of 86 degrees about the negative axis):

        11/6 y_{n+1} - 3 y_n + 3/2 y_{n-1} - 1/3 y_{n-2} = dt L y_{n+1} + dt (3 g_n - 3 g_{n-1} + g_{n-2})

    Order 3 for L(t, y) too. Started by ARS443.

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.

    Reference: Ascher, Ruuth & Wetton (1995) SIAM J. Numer. Anal. 32, 797, (22).
    """

    order = dense_order = 3
    states = (18 / 11, -9 / 11, 2 / 11)
    rests = (18 / 11, -18 / 11, 6 / 11)
    extrapolation = (3.0, -3.0, 1.0)
    implicit = 6 / 11
    starter = ARS443
