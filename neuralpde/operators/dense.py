"""Products of node features with dense weights, and tanh, by the kernels that are fast on every x86 processor.

torch hands `mm` and `tanh` of float32 to MKL, which takes a generic path on processors that are not Intel's: half the speed of
oneDNN's kernels for products, a tenth for tanh. Both are parts of torch; the same sums, rounded alike. Small products, other
types and devices, forward mode and transforms of torch.func go the usual way.
"""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch import Tensor

from solvers import may_be_transformed

_SOME = 1 << 20  # multiplications, from which on a product pays for the call
_MANY = 1 << 13  # entries, from which on tanh pays for two copies
_X86 = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()
_HAS_LINEAR = _X86 and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def project(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x W + b`.

    Args:
        x: features, `[..., nodes, C]`.
        weight: W, `[C, D]`.
        bias: b, `[D]`, or None.
    """
    given = (x, weight) if bias is None else (x, weight, bias)
    if goes_through_onednn(*given):
        tracked = torch.is_grad_enabled() and any(v.requires_grad for v in given)
        return _Project.apply(x, weight, bias) if tracked else linear(x, weight, bias)  # type: ignore[return-value]
    if bias is None:
        return x @ weight
    return torch.addmm(bias, x, weight) if x.dim() == 2 else x @ weight + bias


def goes_through_onednn(x: Tensor, weight: Tensor, *more: Tensor) -> bool:
    """Whether `linear` can multiply these, and is worth it."""
    fits = x.dim() == weight.dim() == 2 and x.shape[1] == weight.shape[0]
    return fits and _HAS_LINEAR and x.numel() * weight.shape[1] >= _SOME and _plain(x, weight, *more)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """`sigma(x W + b)` by oneDNN, without a gradient; sigma is "none", "relu" or "tanh"."""
    return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight).t(), bias, activation, [], "")


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, to the last place or two."""
    if not (_X86 and x.numel() >= _MANY and _plain(x)):
        return torch.tanh(x)
    return _Tanh.apply(x) if torch.is_grad_enabled() and x.requires_grad else _tanh(x)  # type: ignore[return-value]


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        product = torch.matmul if torch.is_grad_enabled() else linear  # the gradient may be differentiated again
        to_x = product(g, weight.t()) if ctx.needs_input_grad[0] else None
        to_weight = product(g.t(), x).t() if ctx.needs_input_grad[1] else None  # the left factor is copied: g is in a cache
        return to_x, to_weight, g.sum(0) if ctx.needs_input_grad[2] else None


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = _tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        (y,) = ctx.saved_tensors
        return g * (1 - y * y) if torch.is_grad_enabled() else torch.ops.aten.tanh_backward(g, y)


def _tanh(x: Tensor) -> Tensor:
    return x.to_mkldnn().tanh_().to_dense()


def _dense(x: Tensor) -> Tensor:
    """x or its transpose without gaps; others are copied."""
    return x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous()


def _plain(*tensors: Tensor) -> bool:
    """Whether these are float32 tensors on a CPU, outside transforms, forward mode and compilation."""
    if any(v.device.type != "cpu" or v.dtype != torch.float32 or v.layout != torch.strided for v in tensors):
        return False
    return not may_be_transformed(*tensors)
