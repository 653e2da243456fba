"""Many steps of symplectic Euler with the force of a graph convolution as one operation: what GraphCON is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from solvers import LinearOperator

from ..operators.dense import linear
from .convolved_force import DERIVATIVES, composed_force, gradients_again


@dataclass(frozen=True)
class Kicks:
    """The numbers of equal steps of symplectic Euler.

    Args:
        count: how many.
        dt: of each.
        keep: what damping leaves of p in one.
        gamma: restoring force.
        activation: sigma, "none", "relu" or "tanh".
    """

    count: int
    dt: float
    keep: float
    gamma: float
    activation: str


class ConvolvedKicks(torch.autograd.Function):
    """`count` times `p <- keep p + dt (sigma(A q W + b) - gamma q)`, `q <- q + dt p`, from `stack((q, p))`.

    Two states a step are kept for the way back, `A q` and what sigma gave; both ways work in place. One by one, steps cost
    half as much again (GraphCON-GCN, 100 layers): autograd adds up and copies states between them.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor, bias: Tensor | None, adjacency: LinearOperator, how: Kicks) -> Tensor:
        out = y.detach().clone(memory_format=torch.contiguous_format)
        ctx.how, ctx.adjacency = how, adjacency
        kept = run(out, weight, bias, adjacency, how, keep=True)
        ctx.save_for_backward(y, weight, bias, *(one for step in kept for one in step))
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        y, weight, bias, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            compose = partial(_composed, adjacency=ctx.adjacency, how=ctx.how)
            return (*gradients_again(compose, (y, weight, bias), ctx.needs_input_grad[:3], g), None, None)
        how, back, turned = ctx.how, ctx.adjacency.adjoint, weight.t()
        g = g.clone(memory_format=torch.contiguous_format)
        (to_q, to_p), to_weight = g.unbind(0), torch.zeros_like(weight)
        to_bias = None if bias is None else torch.zeros_like(bias)
        for gathered, z in zip(kept[-2::-2], kept[::-2], strict=True):
            to_p.add_(to_q, alpha=how.dt)
            through = to_p if z is None else DERIVATIVES[how.activation](to_p, z)
            if ctx.needs_input_grad[1]:  # the left factor is the one to be transposed: it is in a cache
                to_weight.add_(linear(through.t(), gathered).t())
            if to_bias is not None:
                to_bias.add_(through.sum(0))
            to_q.add_(back.matvec(linear(through, turned)), alpha=how.dt).sub_(to_p, alpha=how.dt * how.gamma)
            to_p.mul_(how.keep)
        return g, to_weight.mul_(how.dt), None if to_bias is None else to_bias.mul_(how.dt), None, None


def run(
    y: Tensor, weight: Tensor, bias: Tensor | None, adjacency: LinearOperator, how: Kicks, keep: bool
) -> list[tuple[Tensor, Tensor | None]]:
    """Take the steps in place, without a gradient; returns what the way back needs, if it is to be kept."""
    (q, p), kept = y.unbind(0), []
    for _ in range(how.count):
        gathered = adjacency.matvec(q)
        z = linear(gathered, weight, bias, how.activation)
        p.mul_(how.keep).add_(z, alpha=how.dt).sub_(q, alpha=how.dt * how.gamma)
        q.add_(p, alpha=how.dt)
        if keep:
            kept.append((gathered, None if how.activation == "none" else z))
    return kept


def _composed(y: Tensor, weight: Tensor, bias: Tensor | None, adjacency: LinearOperator, how: Kicks) -> Tensor:
    """The same steps by the usual operations."""
    q, p = y.unbind(0)
    for _ in range(how.count):
        p = how.keep * p + how.dt * (composed_force(adjacency.matvec(q), weight, bias, how.activation) - how.gamma * q)
        q = q + how.dt * p
    return torch.stack((q, p))
