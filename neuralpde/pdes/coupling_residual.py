"""Couplings with a residual map of the node itself beside the neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ..operators.dense import project
from .coupling import Convolution, GraphAttention, Layered
from .coupling_attention import DotAttention, HeldAttention

RESIDUALS = ("v1", "v2", "skip")


@dataclass(frozen=True, eq=False)
class Residual:
    """A coupling and a residual map of the node's own features, with a linear map `R(Z) = Z R + r`:

        "v1"      F(X) - R(X W)
        "v2"      F(X) - X W + R(X)         for a convolution (A - I) X W + X R + b + r
        "skip"    F(X) + R(X)

    W is the weight of F, I where F has none.

    Args:
        coupling: F.
        form: "v1", "v2" or "skip".
        weight: R, `[C, C]` (per layer).
        bias: r, `[C]` (per layer), or None.
    """

    coupling: Convolution | GraphAttention | DotAttention | HeldAttention
    form: Literal["v1", "v2", "skip"]
    weight: Layered
    bias: Layered | None = None

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        weight, bias = self.weight.at(t), None if self.bias is None else self.bias.at(t)
        if self.form == "skip":
            return self.coupling(t, x) + project(x, weight, bias)
        z = self.coupling.projected(t, x)
        found = self.coupling.gathered(t, z)
        if self.form == "v1":
            return found - project(z, weight, bias)
        return found - z + project(x, weight, bias)
