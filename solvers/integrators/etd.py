"""Exponential time differencing: the linear part of a semilinear field by its exact flow, the rest by Runge-Kutta."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import IntegrationError
from ..linear.functions import Applied, matrix_functions
from ..linear.phi import PhiSum
from ..operator import LinearOperator
from ..protocols import Problem, Work
from .base import Integrator, Step
from .dirk import combine
from .linearly_implicit import Split

NOTHING = PhiSum(())
_INNER = 0.1  # of the tolerance, for the matrix functions


class ExponentialDifferencing(Integrator):
    """A method for `y' = L y + N(t, y)` with L frozen at the start of a step and `N = f - L y` for the rest.

    The classical order holds for any semilinear field, since the split is exact within a step; it is uniform in the
    stiffness of L only where L is constant.

    Dense output of the method's order: the rest as a polynomial, `N(theta) = sum_k n_k theta^k`, integrated with the flow,

        y(t + theta dt) = exp(theta dt L) y + dt sum_k k! theta^(k+1) phi_{k+1}(theta dt L) n_k

    which costs products with L for each time inside a step, and holds inside steps however stiff L is.

    Attributes:
        rests: the n_k, as combinations of the N at the stages.
    """

    rests: ClassVar[tuple[tuple[float, ...], ...]]
    dense_output = True
    dense_is_free = False
    needs = "semilinear"
    explicit = False
    real_stability = imaginary_stability = float("inf")  # of the linear part

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        stages = _Stages(problem, Split.of(problem, self.name), t, dt, y)
        new = self.stages(stages, y)
        if stages.message:
            return Step(new.detach(), status="linear", factor=0.5, work=stages.work, message=stages.message)
        work, stages.work = stages.work, Work()  # from here on that of the interpolant
        return Step(new, dense=ExponentialInterpolant(stages, y, self.rests), work=work)

    @abstractmethod
    def stages(self, on: _Stages, y: Tensor) -> Tensor:
        """The new state."""


class _Stages:
    """One step: L, the rest N at a stage, functions of L, and what they cost."""

    def __init__(self, problem: Problem, split: Split, t: float, dt: float, y: Tensor):
        self.problem, self.split, self.t, self.dt = problem, split, t, dt
        self.L: LinearOperator = split.operator(t, y)
        self.work, self.message, self.found = Work(), "", list[Tensor]()
        with torch.no_grad():
            norm = problem.space.norm(y.detach())
            self.tolerance = _INNER * (problem.rtol * norm + problem.atol)

    def rest(self, c: float, y: Tensor) -> Tensor:
        """`N = f - L y` at `t + c dt`."""
        out, cost = self.split.rest(self.t + c * self.dt, y, self.L)
        self.work = self.work + cost
        self.found.append(out)
        return out

    def apply(self, *blocks: tuple[Tensor, tuple[PhiSum, ...]]) -> Tensor:
        """`y_i = sum over blocks of f_i(L) v`, `[outputs, *state]`."""
        vectors, functions = [v for v, _ in blocks], [f for _, f in blocks]
        done: Applied = matrix_functions(
            self.L, self.problem.space, functions, vectors, rtol=_INNER * self.problem.rtol, tolerance=self.tolerance
        )
        self.work = self.work + Work(products=done.products)
        self.message = self.message or done.message
        return done.y if len(done.y) == len(functions[0]) else done.y.expand(len(functions[0]), *done.y.shape[1:])

    def phi(self, *terms: tuple[float, int], c: float = 1.0, times: bool = True) -> PhiSum:
        """`dt sum_j w_j phi_{k_j}(c dt L)`; without the factor dt for `times=False`."""
        return PhiSum(tuple((w * (self.dt if times else 1.0), k, c * self.dt) for w, k in terms))


class ExponentialInterpolant:
    """The solution inside a step, by the flow of L and a polynomial for the rest.

    Args:
        on: the step.
        y: the state at its start.
        rests: the coefficients of the polynomial, as combinations of the N at the stages.
    """

    def __init__(self, on: _Stages, y: Tensor, rests: Sequence[Sequence[float]]):
        self.on, self.y, self.rests = on, y, rests

    def __call__(self, theta: float) -> Tensor:
        on, blocks = self.on, [(self.y, (self.on.phi((1.0, 0), c=theta, times=False),))]
        for k, row in enumerate(self.rests):
            n = combine(torch.zeros_like(self.y), 1.0, row, on.found)
            blocks.append((n, (on.phi((factorial(k) * theta ** (k + 1), k + 1), c=theta),)))
        out = on.apply(*blocks)[0]
        if on.message:
            raise IntegrationError(f"the solution at {theta:.3g} of the step from t = {on.t:.6g}: {on.message}", "linear")
        return out

    def bill(self) -> Work:
        spent, self.on.work = self.on.work, Work()
        return spent


@dataclass(frozen=True)
class ETD1(ExponentialDifferencing):
    """Exponential Euler, order 1: `y_new = exp(dt L) y + dt phi_1(dt L) N(y)`.

    Reference: Certaine (1960); Cox & Matthews (2002) J. Comput. Phys. 176, 430, eq. 4.
    """

    order = dense_order = 1
    rests = ((1.0,),)

    def stages(self, on: _Stages, y: Tensor) -> Tensor:
        flow, first = on.phi((1.0, 0), times=False), on.phi((1.0, 1))
        return on.apply((y, (flow,)), (on.rest(0.0, y), (first,)))[0]


@dataclass(frozen=True)
class ETDRK2(ExponentialDifferencing):
    """ETD2RK, order 2: `a` is a step of ETD1, `y_new = a + dt phi_2(dt L) (N(a) - N(y))`.

    Reference: Cox & Matthews (2002) J. Comput. Phys. 176, 430, eqs. 20-22.
    """

    order = dense_order = 2
    rests = ((1.0, 0.0), (-1.0, 1.0))

    def stages(self, on: _Stages, y: Tensor) -> Tensor:
        flow, first = on.phi((1.0, 0), times=False), on.phi((1.0, 1))
        n = on.rest(0.0, y)
        a = on.apply((y, (flow,)), (n, (first,)))[0]
        return a + on.apply((on.rest(1.0, a) - n, (on.phi((1.0, 2)),)))[0]


@dataclass(frozen=True)
class ETDRK4(ExponentialDifferencing):
    """ETD4RK of Cox and Matthews, order 4; with `E = exp(dt L / 2)`, `P = dt/2 phi_1(dt L / 2)` and phi_k at `dt L`:

        a = E y + P N(y),  b = E y + P N(a),  c = E a + P (2 N(b) - N(y)),
        y_new = E^2 y + dt [(phi_1 - 3 phi_2 + 4 phi_3) N(y) + (2 phi_2 - 4 phi_3) (N(a) + N(b)) + (4 phi_3 - phi_2) N(c)]

    Reference: Cox & Matthews (2002) J. Comput. Phys. 176, 430, eqs. 26-29.
    """

    order = dense_order = 4
    rests = ((1.0, 0.0, 0.0, 0.0), (-3.0, 2.0, 2.0, -1.0), (2.0, -2.0, -2.0, 2.0))

    def stages(self, on: _Stages, y: Tensor) -> Tensor:
        half, whole = on.phi((1.0, 0), c=0.5, times=False), on.phi((1.0, 0), times=False)
        push, twice = on.phi((0.5, 1), c=0.5), on.phi((1.0, 1), c=0.5)
        begin = on.phi((1.0, 1), (-3.0, 2), (4.0, 3))
        middle, end = on.phi((2.0, 2), (-4.0, 3)), on.phi((-1.0, 2), (4.0, 3))
        n = on.rest(0.0, y)
        free, pushed, new = on.apply((y, (half, NOTHING, whole)), (n, (NOTHING, push, begin)))
        a = free + pushed
        pushed_a, part = on.apply((on.rest(0.5, a), (push, middle)))
        b, new = free + pushed_a, new + part
        c, part = on.apply((a, (half, NOTHING)), (on.rest(0.5, b), (twice, middle)))
        c, new = c - pushed, new + part
        return new + on.apply((on.rest(1.0, c), (end,)))[0]
