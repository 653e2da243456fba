"""An operator together with its derivative by what it holds: functions of the pair are derivatives of functions.

    f([[A, E], [0, A]]) = [[f(A), L_f(A, E)], [0, f(A)]],   E = d/ds A(theta + s w) at s = 0

so that `L_f(A, E) b`, the derivative of `f(A) b` along w, is the upper half of a function of the pair at `(0, b)`.

Reference: Higham (2008) Functions of Matrices, 3.2, eq. 3.16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..structure import rebind


@dataclass(frozen=True, eq=False)
class WithDerivative(LinearOperator):
    """`[[A, E], [0, A]]`, or its adjoint `[[A^H, 0], [E^H, A^H]]`, on two states above each other, `[2, *state]`.

    Args:
        operator: A.
        held: the tensors theta of A that are moved.
        along: w, of their shapes.
        transposed: whether this is the adjoint.
    """

    operator: LinearOperator
    held: tuple[Tensor, ...]
    along: tuple[Tensor, ...]
    transposed: bool = False
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        rows, columns = self.operator.shape
        return 2 * rows, 2 * columns

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.operator.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.operator.device

    @property
    def adjoint(self) -> WithDerivative:
        return WithDerivative(self.operator, self.held, self.along, not self.transposed)

    def matvec(self, x: Tensor) -> Tensor:
        """The product with `x` of shape `[2, *state]`."""
        first, second = x.unbind(0)
        if self.transposed:
            image, slope = self._with_slope(first)
            return torch.stack([image, slope + self.operator.adjoint.matvec(second)])
        image, slope = self._with_slope(second)
        return torch.stack([slope + self.operator.matvec(first), image])

    def _with_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`A x` and `E x`, or their adjoints: twice backwards is once forwards."""
        recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            if recorded:
                leaves = [h.view_as(h) if h.requires_grad else h.detach().requires_grad_() for h in self.held]
            else:
                leaves = [h.detach().requires_grad_() for h in self.held]
            moved = rebind(self.operator, list(self.held), leaves)
            image = (moved.adjoint if self.transposed else moved).matvec(x)
            slope = _moved(image, leaves, self.along)
        return (image, slope) if recorded else (image.detach(), slope.detach())


def _moved(image: Tensor, leaves: list[Tensor], along: tuple[Tensor, ...]) -> Tensor:
    """The derivative of the image as the leaves move."""
    if not image.requires_grad:
        return torch.zeros_like(image)
    probe = torch.zeros_like(image).requires_grad_()
    back = torch.autograd.grad(image, leaves, probe, create_graph=True, allow_unused=True)
    pairs = [(g, w) for g, w in zip(back, along, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        return torch.zeros_like(image)
    found = torch.autograd.grad([g for g, _ in pairs], probe, [w for _, w in pairs], create_graph=True, allow_unused=True)[0]
    return torch.zeros_like(image) if found is None else found


def derivative_scale(A: LinearOperator, held: tuple[Tensor, ...], along: tuple[Tensor, ...], b: Tensor, norm: Norm) -> float:
    """`|E b| / |b|`, the largest over the groups; 1 where that is nothing: dividing w by it makes both halves of one size."""
    with torch.no_grad():
        pair = WithDerivative(A, held, along)
        slope = pair.matvec(torch.stack([torch.zeros_like(b), b]))[0]
        size = norm(b)
        ratio = torch.where(size > 0, norm(slope) / size, torch.zeros_like(size))
        found = float(ratio.amax())
    return found if 0 < found < float("inf") else 1.0


Norm = Callable[[Tensor], Tensor]
