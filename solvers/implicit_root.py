"""The solution x of an equation `r(x, theta) = 0` as a differentiable function of theta, without the iterations that found it.

    dx = -M dr,   M = (I - h J)^-1,   J = df/dy at one point

Where the field shows its tensors theta, the way back is itself a differentiable function: under `create_graph` the vjp is taken
anew at the solution as a function of theta, with `M^H` as a solve that has a gradient of its own, so derivatives of any order
are right. Of a closure nobody can list the tensors: there `x_{k+1} = x_k - M r(x_k, theta)` with a frozen M is recorded twice,
from the solution. Each pass makes one more derivative right, since `x_k - x(theta)` is of order k + 1 in the change of theta.

Reference: Griewank & Walther (2008) Evaluating Derivatives, chapter 15; Christianson (1994) Optim. Methods Softw. 3, 311.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .held import hides_tensors
from .linear.field_jacobian import FieldJacobian
from .linear.jacobian import linearise
from .operator import LinearOperator
from .protocols import Problem, as_time
from .shifted import Shifted
from .structure import rebind, requiring_grad

InverseOf = Callable[[LinearOperator], Callable[[Tensor], Tensor]]  # A -> (g -> A^-1 g), differentiable where g or A is


@dataclass(frozen=True, eq=False)
class Implicit(ABC):
    """An equation whose solution depends on `(t, y)` and the field through `I - h J`.

    Args:
        inverse: how systems with this matrix and with its adjoint are solved, to the accuracy of a gradient.
        problem: holds the field.
        t, h: time and step.
    """

    inverse: InverseOf
    problem: Problem
    t: float
    h: float

    @abstractmethod
    def point(self, x: Tensor) -> Tensor:
        """The state at which J is taken, if x is the solution."""

    @abstractmethod
    def residual(self, x: Tensor, b: Tensor) -> Tensor:
        """`r(x, theta)`, recorded: it depends on `b` as `-b`."""

    @abstractmethod
    def held(self) -> list[Tensor]:
        """theta, as far as it can be seen, without b."""

    @abstractmethod
    def pulled_back(self, x: Tensor, held: Sequence[Tensor], cotangent: Tensor) -> list[Tensor | None]:
        """The vjp of `theta -> -r(x, theta)`, recorded, as a function of x, theta and the cotangent."""

    def connected(self, x: Tensor, b: Tensor) -> tuple[Tensor, int]:
        """The solution x connected to the graph, and how often the residual was evaluated for it."""
        defect = self.residual(x, b)
        if not defect.requires_grad:
            return x, 1
        if _hides(self.problem):
            marks: list[bool] = []
            first = _Correction.apply(self, marks, None, x, defect)
            again = _Gate.apply(marks, first)
            return _Correction.apply(self, marks, again, x, self.residual(again, b)), 2  # type: ignore[arg-type, return-value]
        return _Solution.apply(self, x, b, defect, *self.held()), 1  # type: ignore[return-value]

    def frozen(self, x: Tensor, g: Tensor, adjoint: bool) -> Tensor:
        """`M^H g`, or `M g`, with a constant M."""
        with torch.no_grad():
            jacobian = linearise(self.problem, self.t, self.point(x), forward=not adjoint)
            system = Shifted(jacobian, 1.0, -self.h)
            return self.inverse(system.adjoint if adjoint else system)(g)


class _Solution(torch.autograd.Function):
    """x as a function of b and of theta, which the field shows; first derivatives come by way of the recorded defect."""

    @staticmethod
    def forward(ctx, rule: Implicit, x: Tensor, b: Tensor, defect: Tensor, *held: Tensor) -> Tensor:
        out = x.clone()
        ctx.rule = rule
        ctx.save_for_backward(out, *held)
        return out

    @staticmethod
    def backward(ctx, g: Tensor):
        rule, (x, *held) = ctx.rule, ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, None, None, -rule.frozen(x, g, True), *(None for _ in held)
        point = rule.point(x)
        _refuse_hidden(rule.problem, rule.t, point)
        jacobian = FieldJacobian(rule.problem, rule.t, point, transposed=True)
        back = rule.inverse(Shifted(jacobian, 1.0, -rule.h))(g)
        return None, None, back, None, *rule.pulled_back(x, held, back)


class _Correction(torch.autograd.Function):
    """`before - M r` at a solution, M frozen: its value is that of the solution."""

    @staticmethod
    def forward(ctx, rule: Implicit, marks: list[bool], before: Tensor | None, x: Tensor, defect: Tensor) -> Tensor:
        ctx.rule, ctx.marks = rule, marks
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, g: Tensor):
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled() and not ctx.marks:
            ctx.marks.append(True)
        back = _Frozen.apply(ctx.rule, x, True, g)
        return None, None, g if ctx.needs_input_grad[2] else None, None, -back  # type: ignore[operator]


class _Gate(torch.autograd.Function):
    """Lets nothing pass, since the sum that arrives is zero, until second derivatives were asked for."""

    @staticmethod
    def forward(ctx, marks: list[bool], x: Tensor) -> Tensor:
        ctx.marks = marks
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g: Tensor):
        return None, g if ctx.marks else None


class _Frozen(torch.autograd.Function):
    """`M^H g` or `M g`, a linear function of g."""

    @staticmethod
    def forward(ctx, rule: Implicit, x: Tensor, adjoint: bool, g: Tensor) -> Tensor:
        ctx.rule, ctx.adjoint = rule, adjoint
        ctx.save_for_backward(x)
        return rule.frozen(x, g, adjoint)

    @staticmethod
    def backward(ctx, g: Tensor):
        (x,) = ctx.saved_tensors
        back = ctx.rule.frozen(x, g, not ctx.adjoint)
        return None, None, None, _Last.apply(back, g) if torch.is_grad_enabled() else back


class _Last(torch.autograd.Function):
    """The identity, as far as derivatives go."""

    @staticmethod
    def forward(ctx, value: Tensor, source: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx, g: Tensor):
        raise NotImplementedError(
            "an implicit step on a plain function has first and second derivatives only; for higher ones make the field an "
            "nn.Module or a frozen dataclass that holds its tensors, or take an explicit method"
        )


def _hides(problem: Problem) -> bool:
    """Whether the field, or the one inside, is a plain function."""
    field = problem.field
    inner = getattr(field, "problem", None)
    return hides_tensors(field) or (isinstance(inner, Problem) and _hides(inner))


def _refuse_hidden(problem: Problem, t: float, y: Tensor) -> None:
    """Second derivatives are sums over what the field shows: what it hides would be left out in silence."""
    field, held = problem.field, requiring_grad(problem.field)
    out = rebind(field, held, [h.detach() for h in held])(as_time(t, y), y.detach())
    if out.requires_grad:
        raise NotImplementedError(
            f"second derivatives through an implicit step need all tensors that {type(field).__name__} depends on, and it "
            "hides some; make what it calls an nn.Module or a frozen dataclass that holds them, or take an explicit method"
        )
