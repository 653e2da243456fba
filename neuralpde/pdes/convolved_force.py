"""The force of a graph convolution, `sigma(A X W + b) - gamma X`, as one operation that keeps two states for the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..operators.dense import goes_through_onednn, linear, project, tanh

NAMES: dict[Callable[[Tensor], Tensor] | None, str] = {None: "none", torch.relu: "relu", tanh: "tanh"}


def convolved_force(
    gathered: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    activation: Callable[[Tensor], Tensor] | None,
    gamma: float,
) -> Tensor:
    """`sigma(S W + b) - gamma X`.

    Args:
        gathered: S = A X, `[nodes, C]`.
        x: X, `[nodes, C]`.
        weight: W, `[C, C]`.
        bias: b, `[C]`, or None.
        activation: sigma; ReLU, tanh and the identity are one operation with the product.
        gamma: restoring force.
    """
    given = (x,) if bias is None else (x, bias)
    if activation not in NAMES or not goes_through_onednn(gathered, weight, *given):
        push = project(gathered, weight, bias)
        push = push if activation is None else activation(push)
        return torch.add(push, x, alpha=-gamma) if gamma else push
    name = NAMES[activation]
    if torch.is_grad_enabled() and any(v.requires_grad for v in (gathered, weight, *given)):
        return _ConvolvedForce.apply(name, gamma, gathered, x, weight, bias)  # type: ignore[return-value]
    out = linear(gathered, weight, bias, name)
    return out.sub_(x, alpha=gamma) if gamma else out


class _ConvolvedForce(torch.autograd.Function):
    """`sigma(S W + b) - gamma X` with `S = A X` given; X is not kept."""

    @staticmethod
    def forward(ctx: Any, name: str, gamma: float, gathered: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        z = linear(gathered, weight, bias, name)
        ctx.name, ctx.gamma = name, gamma
        ctx.save_for_backward(gathered, weight, bias, None if name == "none" else z)
        return torch.sub(z, x, alpha=gamma)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        gathered, weight, bias, z = ctx.saved_tensors
        to_x = -ctx.gamma * g if ctx.needs_input_grad[3] and ctx.gamma else None
        if torch.is_grad_enabled():
            needed = [ctx.needs_input_grad[i] for i in (2, 4, 5)]
            compose = partial(composed_force, name=ctx.name)
            to_gathered, to_weight, to_bias = gradients_again(compose, (gathered, weight, bias), needed, g)
            return None, None, to_gathered, to_x, to_weight, to_bias
        g = g.contiguous()
        through = g if z is None else DERIVATIVES[ctx.name](g, z)
        to_gathered = linear(through, weight.t()) if ctx.needs_input_grad[2] else None
        to_weight = linear(through.t(), gathered).t() if ctx.needs_input_grad[4] else None
        return None, None, to_gathered, to_x, to_weight, through.sum(0) if ctx.needs_input_grad[5] else None


DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda g, z: torch.ops.aten.threshold_backward(g, z, 0.0),
    "tanh": torch.ops.aten.tanh_backward,
}


def composed_force(gathered: Tensor, weight: Tensor, bias: Tensor | None, name: str) -> Tensor:
    """`sigma(S W + b)` by the usual operations; sigma is "none", "relu" or "tanh"."""
    out = gathered @ weight
    out = out if bias is None else out + bias
    return {"none": torch.clone, "relu": torch.relu, "tanh": torch.tanh}[name](out)


def gradients_again(
    compose: Callable[..., Tensor], inputs: Sequence[Tensor | None], needed: Sequence[bool], g: Tensor
) -> list[Tensor | None]:
    """The gradients of `compose(*inputs)` by the usual operations, so that they can be differentiated again; None if unneeded.

    They are taken at aliases: where one input was made from another (a state, from the weights of the steps before it), that
    way is not this function's to go.
    """
    with torch.enable_grad():
        aliases = [None if v is None else v.view_as(v) for v in inputs]
        out = compose(*aliases)
    wanted = [alias for alias, is_needed in zip(aliases, needed, strict=True) if alias is not None and is_needed]
    found = iter(torch.autograd.grad(out, wanted, g, create_graph=True))
    return [next(found) if is_needed else None for is_needed in needed]
