"""A kick and a drift in one operation: the step of symplectic Euler where velocities are the momenta."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..transformed import may_be_transformed


def kick_and_drift(y: Tensor, force: Tensor, dt: float, keep: float) -> Tensor:
    """`p_new = keep p + dt force`, `q_new = q + dt p_new`, stacked; no state is kept for the way back.

    Args:
        y: `stack((q, p))`.
        force: the force at q.
        dt: the step.
        keep: what damping leaves of p.
    """
    if may_be_transformed(y, force):
        q, p = y.unbind(0)
        p = torch.add(keep * p, force, alpha=dt)
        return torch.stack((torch.add(q, p, alpha=dt), p))
    if torch.is_grad_enabled() and (y.requires_grad or force.requires_grad):
        return _KickAndDrift.apply(y, force, dt, keep)  # type: ignore[return-value]
    return _forward(y.detach(), force.detach(), dt, keep)


class _KickAndDrift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, force: Tensor, dt: float, keep: float) -> Tensor:
        ctx.dt, ctx.keep = dt, keep
        return _forward(y, force, dt, keep)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        q, p = g.unbind(0)
        total = torch.add(p, q, alpha=ctx.dt)
        if torch.is_grad_enabled():  # the gradient may be differentiated again
            return torch.stack((q, ctx.keep * total)), ctx.dt * total, None, None
        to_y = torch.empty_like(g, memory_format=torch.contiguous_format)
        to_q, to_p = to_y.unbind(0)
        to_q.copy_(q)
        torch.mul(total, ctx.keep, out=to_p)
        return to_y, total.mul_(ctx.dt), None, None


def _forward(y: Tensor, force: Tensor, dt: float, keep: float) -> Tensor:
    (q, p), out = y.unbind(0), torch.empty_like(y, memory_format=torch.contiguous_format)
    new_q, new_p = out.unbind(0)
    torch.mul(p, keep, out=new_p).add_(force, alpha=dt)
    torch.add(q, new_p, alpha=dt, out=new_q)
    return out
