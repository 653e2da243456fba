"""The Jacobian of a field as an operator whose products can be differentiated by what the field holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..protocols import Problem, as_time
from .jacobian import Jacobian, linearise


@dataclass(frozen=True, eq=False)
class FieldJacobian(LinearOperator):
    """`J = df/dy` at `(t, y)`, on states of the shape of y; gradients flow to y and to the tensors that the field shows.

    Without gradients the products are those of the recorded `Jacobian`; with them they can be differentiated any number of
    times, as far as the field can.

    Args:
        problem: holds the field.
        t, y: where.
        transposed: whether this is `J^H`.
    """

    problem: Problem
    t: float
    y: Tensor
    transposed: bool = False
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.y.numel(), self.y.numel()

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.y.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.y.device

    @cached_property
    def recorded(self) -> Jacobian:
        found = linearise(self.problem, self.t, self.y)
        return found.adjoint if self.transposed else found

    def matvec(self, x: Tensor) -> Tensor:
        """`J x` (or `J^H x`) for x of the shape of the state."""
        if not torch.is_grad_enabled():
            return self.recorded.matvec(x)
        y = self.y.view_as(self.y) if self.y.requires_grad else self.y.detach().requires_grad_()
        out = self.problem.f(self.t, y)
        found = _backward_derivative(out, y, x) if self.transposed else _forward_derivative(out, y, x)
        return torch.zeros_like(x) if found is None else found

    @property
    def adjoint(self) -> FieldJacobian:
        twin = FieldJacobian(self.problem, self.t, self.y, not self.transposed)
        if "recorded" in vars(self):
            vars(twin)["recorded"] = self.recorded.adjoint
        return twin

    def to_dense(self) -> Tensor:
        return self.recorded.to_dense()


def time_derivative(problem: Problem, t: float, y: Tensor) -> Tensor | None:
    """`df/dt` at `(t, y)` by automatic differentiation, one evaluation; None if the field does not use the time tensor.

    A field that takes `float(t)` hides its dependence on time.
    """
    with torch.enable_grad():
        time = as_time(t, y).requires_grad_()
        out = problem.field(time, y)
        if not out.requires_grad:
            return None
        found = _forward_derivative(out, time, torch.ones_like(time))
    return found if found is None or torch.is_grad_enabled() else found.detach()


def _backward_derivative(out: Tensor, source: Tensor, cotangent: Tensor) -> Tensor | None:
    if not out.requires_grad:
        return None
    return torch.autograd.grad(out, source, cotangent, create_graph=True, allow_unused=True)[0]


def _forward_derivative(out: Tensor, source: Tensor, along: Tensor) -> Tensor | None:
    """The derivative of `out` along a change of `source`: twice backwards is once forwards. None: it does not depend on it."""
    if not out.requires_grad:
        return None
    probe = torch.zeros_like(out, requires_grad=True)
    (image,) = torch.autograd.grad(out, source, probe, create_graph=True, allow_unused=True)
    if image is None or not image.requires_grad:
        return None
    return torch.autograd.grad(image, probe, along, create_graph=True, allow_unused=True)[0]
