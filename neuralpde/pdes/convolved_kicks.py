"""Many steps of symplectic Euler with the force of a graph convolution as one operation: what GraphCON is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
        way = _WayBack(ctx.how, ctx.adjacency, weight, bias, g, ctx.needs_input_grad[1])
        for gathered, z in zip(kept[-2::-2], kept[::-2], strict=True):
            way.step(gathered, z)
        return (*way.gradients(), None, None)


class UndoneKicks(torch.autograd.Function):
    """The same steps from their end: the identity forwards; its way back undoes them one by one, and appends their start.

    Each step costs one force, for its undoing and its gradient alike, and no state is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        end: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        adjacency: LinearOperator,
        how: Kicks,
        start: list[Tensor],
    ) -> Tensor:
        ctx.how, ctx.adjacency, ctx.start = how, adjacency, start
        ctx.save_for_backward(end, weight, bias)
        return end.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        end, weight, bias = ctx.saved_tensors
        how, y = ctx.how, end.clone(memory_format=torch.contiguous_format)
        (q, p), way = y.unbind(0), _WayBack(how, ctx.adjacency, weight, bias, g, ctx.needs_input_grad[1])
        for _ in range(how.count):
            q.sub_(p, alpha=how.dt)
            gathered = ctx.adjacency.matvec(q)
            z = linear(gathered, weight, bias, how.activation)
            p.sub_(z, alpha=how.dt).add_(q, alpha=how.dt * how.gamma).div_(how.keep)
            way.step(gathered, z)
        ctx.start.append(y)
        return (*way.gradients(), None, None, None)


class _WayBack:
    """Gradients to state, weights and bias, step by step backwards and in place."""

    def __init__(self, how: Kicks, adjacency: LinearOperator, weight: Tensor, bias: Tensor | None, g: Tensor, weighted: bool):
        self.how, self.back, self.turned = how, adjacency.adjoint, weight.t()
        self.g = g.clone(memory_format=torch.contiguous_format)
        self.to_q, self.to_p = self.g.unbind(0)
        self.to_weight = torch.zeros_like(weight) if weighted else None
        self.to_bias = None if bias is None else torch.zeros_like(bias)

    def step(self, gathered: Tensor, z: Tensor | None) -> None:
        """Through one step, of which `gathered` is A q, and z what sigma gave (or None for no sigma)."""
        how, to_q, to_p = self.how, self.to_q, self.to_p
        to_p.add_(to_q, alpha=how.dt)
        through = to_p if z is None or how.activation == "none" else DERIVATIVES[how.activation](to_p, z)
        if self.to_weight is not None:  # the left factor is the one to be transposed: it is in a cache
            self.to_weight.add_(linear(through.t(), gathered).t())
        if self.to_bias is not None:
            self.to_bias.add_(through.sum(0))
        to_q.add_(self.back.matvec(linear(through, self.turned)), alpha=how.dt).sub_(to_p, alpha=how.dt * how.gamma)
        to_p.mul_(how.keep)

    def gradients(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        for one in (self.to_weight, self.to_bias):
            if one is not None:
                one.mul_(self.how.dt)
        return self.g, self.to_weight, self.to_bias


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
