"""The Jacobian of a field as an operator: products by automatic differentiation, no matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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
        transposed: whether this is `J^H`.
    """

    state: Tensor
    value: Tensor
    output: Tensor
    probe: Tensor | None
    image: Tensor | None
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
            return _pull(self.output, self.state, x)
        return torch.zeros_like(x) if self.image is None else _pull(self.image, self.probe, x)

    @property
    def adjoint(self) -> Jacobian:
        return Jacobian(self.state, self.value, self.output, self.probe, self.image, not self.transposed)

    def to_dense(self) -> Tensor:
        """The matrix over the flattened state, `[numel, numel]`."""
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
    with torch.inference_mode(False), torch.enable_grad():
        state = y.detach().clone().requires_grad_()
        output = problem.f(t, state)
        probe = image = None
        if forward and output.requires_grad:
            probe = torch.zeros_like(output, requires_grad=True)
            image = _recorded(problem, output, state, probe)
        return Jacobian(state, output.detach(), output, probe, image)


def _recorded(problem: Problem, output: Tensor, state: Tensor, probe: Tensor) -> Tensor | None:
    try:
        (image,) = torch.autograd.grad(output, state, probe, create_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise _not_smooth(problem, str(error)) from error
    if image is None:
        return None
    if not image.requires_grad:
        raise _not_smooth(problem, "its backward pass leaves no record")
    return image


def _not_smooth(problem: Problem, why: str) -> TypeError:
    field = problem.field
    name = getattr(field, "__name__", type(field).__name__)
    return TypeError(
        f"an implicit step needs products with the Jacobian of {name}, and with them its second derivatives by autograd "
        f"({why}). Build the field of operations that torch can differentiate twice, hand a linear field as "
        "LinearFlow(operator), or take an explicit method such as dopri5"
    )


def _pull(output: Tensor, source: Tensor | None, cotangent: Tensor) -> Tensor:
    if source is None or not output.requires_grad:
        return torch.zeros_like(cotangent)
    (g,) = torch.autograd.grad(output, source, cotangent, retain_graph=True, allow_unused=True)
    return torch.zeros_like(cotangent) if g is None else g
