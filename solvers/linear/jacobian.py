"""The Jacobian of a field as an operator: products by automatic differentiation, no matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..memory import refuse_dense
from ..operator import LinearOperator
from ..protocols import Problem


@dataclass(frozen=True, eq=False)
class Jacobian(LinearOperator):
    """`J = df/dy` at one `(t, y)`, acting on states of the shape of y; it mixes channels, so it has no columns.

    With `g(u) = J^H u` (a backward pass, linear in u) a product is the derivative of g: `J v = (d/du g)^H v`. Everything
    is recorded once, a product is one backward pass through the record. Needs a field that can be differentiated twice.

    Args:
        state: y, a leaf of the record.
        value: `f(t, y)`, detached.
        output: `f(t, y)` with its record.
        probe, image: `u` and `g(u)`; None if nothing of f depends on y, or the product is not needed.
        name: of the field, for messages.
        transposed: whether this is `J^H`.
    """

    state: Tensor
    value: Tensor
    output: Tensor
    probe: Tensor | None
    image: Tensor | None
    name: str = "the field"
    transposed: bool = False
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.state.numel(), self.state.numel()

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.state.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.state.device

    def matvec(self, x: Tensor) -> Tensor:
        """`J x` (or `J^H x`) for `x` of the shape of the state."""
        if x.shape != self.state.shape:
            raise ValueError(f"the Jacobian acts on states of shape {tuple(self.state.shape)}; got {tuple(x.shape)}")
        if self.transposed:
            return self._pulled_back(x)
        if self.image is None or self.probe is None:
            return torch.zeros_like(x)
        try:
            (product,) = torch.autograd.grad(self.image, self.probe, x, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise _not_smooth(self.name, str(error)) from error
        if product is None:  # a backward pass that is not linear in its argument, as autograd sees it
            raise _not_smooth(self.name, "its backward pass cannot be differentiated")
        return product

    def _pulled_back(self, x: Tensor) -> Tensor:
        if not self.output.requires_grad:
            return torch.zeros_like(x)
        (g,) = torch.autograd.grad(self.output, self.state, x, retain_graph=True, allow_unused=True)
        return torch.zeros_like(x) if g is None else g

    @property
    def adjoint(self) -> Jacobian:
        return Jacobian(self.state, self.value, self.output, self.probe, self.image, self.name, not self.transposed)

    def to_dense(self) -> Tensor:
        """The matrix over the flattened state, `[numel, numel]`; a MemoryError where it does not fit."""
        refuse_dense(f"The Jacobian of {self.name}", self.shape, self.dtype, self.device)
        unit = torch.eye(self.shape[0], dtype=self.dtype, device=self.device)
        columns = [self.matvec(e.view_as(self.state)).reshape(-1) for e in unit]
        return torch.stack(columns, 1)


def linearise(problem: Problem, t: float, y: Tensor, *, forward: bool = True) -> Jacobian:
    """The field's value and Jacobian at `(t, y)`: one evaluation.

    Args:
        problem: holds the field.
        t, y: where.
        forward: record what products `J v` need; False leaves `J^H v` only, and takes half the memory.

    Raises:
        TypeError: if the field cannot be differentiated (twice).
    """
    name = getattr(problem.field, "__name__", type(problem.field).__name__)
    with torch.inference_mode(False), torch.enable_grad():
        state = y.detach().clone().requires_grad_()
        output = problem.f(t, state)
        probe = image = None
        if forward and output.requires_grad:
            probe = torch.ones_like(output, requires_grad=True)
            image = _recorded(name, output, state, probe)
        return Jacobian(state, output.detach(), output, probe, image, name)


def _recorded(name: str, output: Tensor, state: Tensor, probe: Tensor) -> Tensor | None:
    try:
        (image,) = torch.autograd.grad(output, state, probe, create_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise _not_smooth(name, str(error)) from error
    if image is None:
        return None
    if not image.requires_grad:
        if not bool(image.any()):  # flat, like a sign
            return None
        raise _not_smooth(name, "its backward pass leaves no record")
    return image


def _not_smooth(name: str, why: str) -> TypeError:
    return TypeError(
        f"an implicit step needs products with the Jacobian of {name}, and with them its second derivatives by autograd "
        f"({why}). Build the field of operations that torch can differentiate twice, hand a linear field as "
        "LinearFlow(operator), or take an explicit method such as dopri5"
    )
