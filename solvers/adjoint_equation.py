"""The adjoint equation along a solution that is known, `a' = -J(t, y(t))^H a`, and the integral for the parameters.

It is linear in a, and solved backwards as well posed as the forward equation is forwards: what contracts there, contracts
here. An implicit stage solves with `I - h J^H`, by products that one evaluation of the field records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .held import StandIns
from .integrators.base import Integrator, Step
from .linear.jacobian import linearise
from .operator import LinearOperator, Scaled
from .protocols import LinearFlow, Problem, VectorField, Work, as_time, linear_flow
from .trajectory import interpolant

_MOST_NODES = 4


@dataclass(frozen=True, eq=False)
class AdjointEquation:
    """The field `a' = -J(t, y(t))^H a`.

    Args:
        problem: of the forward solve, with a field that needs no gradient.
        path: `y(t)`.
    """

    problem: Problem
    path: Callable[[float], Tensor]

    def __call__(self, t: Tensor, a: Tensor) -> Tensor:
        time, tracked = float(t), torch.is_grad_enabled() and a.requires_grad
        jacobian = linearise(self.problem, time, self.path(time), forward=tracked)
        if tracked:  # an implicit stage asks for products with the Jacobian, which is -J^H again
            return -_Linear.apply(jacobian.adjoint, a)  # type: ignore[operator]
        return -jacobian.adjoint.matvec(a)


class _Linear(torch.autograd.Function):
    """`apply(operator, x)`: a product whose derivatives are products, to any order."""

    @staticmethod
    def forward(ctx: Any, operator: LinearOperator, x: Tensor) -> Tensor:
        ctx.operator = operator
        return operator.matvec(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor]:  # type: ignore[override]
        return None, _Linear.apply(ctx.operator.adjoint, g)  # type: ignore[return-value]


def adjoint_field(problem: Problem, path: Callable[[float], Tensor]) -> VectorField:
    """The field of the adjoint equation; of `y' = A y + s` it is the linear flow with `-A^H`."""
    flow = linear_flow(problem.field)
    return AdjointEquation(problem, path) if flow is None else LinearFlow(Scaled(flow.operator.adjoint, -1.0))


class LastStep(Integrator):
    """A method that remembers its last step, and else is the method itself.

    Args:
        method: the method.
    """

    def __init__(self, method: Integrator):
        self.method = method
        self.order, self.adaptive, self.explicit = method.order, method.adaptive, method.explicit  # type: ignore[misc]
        self.needs, self.dense_output = method.needs, method.dense_output  # type: ignore[misc]
        self.last: tuple[float, Tensor, Step] | None = None

    @property
    def name(self) -> str:
        return self.method.name

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[object, Work]:
        return self.method.init(problem, t, y)

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        step = self.method.step(problem, t, dt, y, state)
        self.last = (t, y, step)
        return step


@dataclass(frozen=True, eq=False)
class ParameterIntegral:
    """`g += int (df/dtheta)^H a dt` over every accepted step of the adjoint equation: Gauss's rule of the method's order.

    A callback: it looks at the steps, which the integral does not influence.

    Args:
        problem: of the adjoint equation.
        method: that of the adjoint equation.
        path: `y(t)`.
        stand: the field of the forward solve on stand-ins for theta.
        sums: where the integrals are added up, a tensor for each of theta.
    """

    problem: Problem
    method: LastStep
    path: Callable[[float], Tensor]
    stand: StandIns
    sums: list[Tensor]
    times: Sequence[float] | None = None

    @cached_property
    def _rule(self) -> list[tuple[float, float]]:
        nodes, weights = np.polynomial.legendre.leggauss(int(min(max(2, -(-self.method.order // 2)), _MOST_NODES)))
        return [(float(c), float(w)) for c, w in zip((nodes + 1) / 2, weights / 2, strict=True)]

    def before(self, t: float, y: Tensor, dt: float) -> None: ...

    def rejected(self, t: float, y: Tensor, dt: float) -> None: ...

    def after(self, t: float, y: Tensor, dt: float) -> None:
        if dt == 0.0 or self.method.last is None or not self.sums:
            return
        start, a, step = self.method.last
        inside = interpolant(self.problem, self.method.order, start, t, a, step)
        for node, weight in self._rule:
            self._add(start + node * (t - start), inside(node), weight * (start - t))

    def _add(self, t: float, a: Tensor, weight: float) -> None:
        y, theta = self.path(t), self.stand.theta
        with torch.enable_grad():
            f = self.stand.field(as_time(t, y), y)
            if not f.requires_grad:
                return
            found = torch.autograd.grad(f, theta, a, allow_unused=True, retain_graph=self.stand.hidden)
        for total, part in zip(self.sums, found, strict=True):
            if part is not None:
                total.add_(part, alpha=weight)
