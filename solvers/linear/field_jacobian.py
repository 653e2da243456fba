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

    Without gradients the products are those of the recorded `Jacobian`.

    Args:
        problem: holds the field.
        t, y: where.
    """

    problem: Problem
    t: float
    y: Tensor
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
        return linearise(self.problem, self.t, self.y)

    def matvec(self, x: Tensor) -> Tensor:
        """`J x` for x of the shape of the state."""
        if not torch.is_grad_enabled():
            return self.recorded.matvec(x)
        y = self.y.view_as(self.y) if self.y.requires_grad else self.y.detach().requires_grad_()
        found = _forward_derivative(self.problem.f(self.t, y), y, x)
        return torch.zeros_like(x) if found is None else found

    @property
    def adjoint(self) -> LinearOperator:
        return self.recorded.adjoint


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


def _forward_derivative(out: Tensor, source: Tensor, along: Tensor) -> Tensor | None:
    """The derivative of `out` along a change of `source`: twice backwards is once forwards. None: it does not depend on it."""
    if not out.requires_grad:
        return None
    probe = torch.zeros_like(out, requires_grad=True)
    (image,) = torch.autograd.grad(out, source, probe, create_graph=True, allow_unused=True)
    if image is None or not image.requires_grad:
        return None
    return torch.autograd.grad(image, probe, along, create_graph=True, allow_unused=True)[0]
