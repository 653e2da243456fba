"""The gradient of `x = A^-1 b`: one solve with the adjoint operator, never through the iterations.

    lambda = A^-H g,   gradient to b: lambda,   gradient to a tensor theta of A: the vjp of `theta -> A(theta) x` at -lambda.

Both are built of operations that are differentiable in turn, so derivatives of any order are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import IntegrationError
from ..structure import rebind

if TYPE_CHECKING:
    from .solver import Prepared, Solve


def differentiable_solve(
    prepared: Prepared, b: Tensor, x0: Tensor | None, rtol: float | Tensor, held: list[Tensor]
) -> tuple[Tensor, Solve]:
    """`A^-1 b` with its gradient to `b` and to `held`.

    Args:
        prepared: the operator and how to solve with it.
        b: right-hand sides.
        x0: where the iteration starts.
        rtol: relative residual, here and in the backward solve.
        held: the tensors of the operator that need a gradient.

    Returns:
        The solution, connected to the graph, and the record of the solve.
    """
    record: list[Solve] = []
    x = _Inverse.apply(prepared, None if x0 is None else x0.detach(), rtol, record, b, *held)
    return x, record[0]  # type: ignore[return-value]


class _Inverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, prepared: Prepared, x0: Tensor | None, rtol: float | Tensor, record: list, b: Tensor, *held: Tensor):
        result = prepared.iterate(b, x0, rtol)
        record.append(result)
        ctx.prepared, ctx.rtol, ctx.held = prepared, rtol, held
        ctx.save_for_backward(result.x, *held)  # the versions of held are checked, too
        return result.x

    @staticmethod
    def backward(ctx, g: Tensor):
        x, *_ = ctx.saved_tensors
        back = ctx.prepared.adjoint().solve(g, rtol=ctx.rtol)
        if not back.converged:
            raise IntegrationError(f"the gradient of a linear solve needs a solve itself: {back.message}", "linear")
        wanted = [t for t, needed in zip(ctx.held, ctx.needs_input_grad[5:], strict=True) if needed]
        found = iter(_to_held(ctx.prepared.operator, x, back.x, wanted))
        to_held = [next(found) if needed else None for needed in ctx.needs_input_grad[5:]]
        return None, None, None, None, back.x if ctx.needs_input_grad[4] else None, *to_held


def _to_held(operator, x: Tensor, adjoint_state: Tensor, held: list[Tensor]) -> list[Tensor | None]:
    """The vjp of `theta -> A(theta) x` with the cotangent -lambda."""
    if not held:
        return []
    again = torch.is_grad_enabled()  # under create_graph the result is differentiated in turn
    with torch.enable_grad():
        if again:
            leaves = [t.view_as(t) for t in held]
        else:
            leaves, x = [t.detach().requires_grad_() for t in held], x.detach()
        image = rebind(operator, held, leaves).matvec(x)
        return list(torch.autograd.grad(image, leaves, -adjoint_state, create_graph=again, allow_unused=True))
