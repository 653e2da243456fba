"""A coefficient of an equation: one number, one per node or one per edge; fixed or learnable."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..graph import Graph


class Coefficient(nn.Module):
    """A positive (learnable: c = softplus(raw) > 0) or fixed coefficient.

    Args:
        value: a number, or a tensor with one entry per node or per edge (in the order of the graph's edges).
        learnable: make it a parameter, starting at `value`.
        name: what messages call it.

    Raises:
        ValueError: a value that is not finite, negative (or zero, if learnable), or a tensor that is not 1-D.
    """

    def __init__(self, value: float | Tensor, *, learnable: bool = False, name: str = "coefficient"):
        super().__init__()
        self.name, self.learnable = name, learnable
        tensor = value.detach().clone() if isinstance(value, Tensor) else torch.tensor(float(value))
        if tensor.dim() > 1 or not tensor.is_floating_point():
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} and type {tensor.dtype}; expected a number or a floating [n]"
            )
        low = tensor <= 0 if learnable else tensor < 0
        if tensor.numel() and bool((low | ~torch.isfinite(tensor)).any()):
            worst = float(tensor.min())
            raise ValueError(f"{name} must be {'positive' if learnable else 'not negative'} and finite; its least is {worst:g}")
        self.number = float(value) if not isinstance(value, Tensor) and not learnable else None
        if learnable:
            self.raw = nn.Parameter(tensor + torch.log(-torch.expm1(-tensor)))
        elif self.number is None:
            self.register_buffer("fixed", tensor)

    def forward(self) -> float | Tensor:
        """The coefficient: a number, a scalar tensor, or `[n]`."""
        if self.number is not None:
            return self.number
        return F.softplus(self.raw) if self.learnable else self.fixed  # type: ignore[return-value]

    def extra_repr(self) -> str:
        return f"{self.name}{', learnable' * self.learnable}"


def place(value: float | Tensor, graph: Graph, name: str) -> str:
    """Where a coefficient lives: "scalar", "node" or "edge".

    Raises:
        ValueError: a length that fits neither nodes nor edges, or both.
    """
    if not isinstance(value, Tensor) or value.dim() == 0:
        return "scalar"
    n, e = graph.num_nodes, graph.num_edges
    if len(value) == n == e:
        raise ValueError(f"{name} has {n} entries, and the graph has {n} nodes and as many edges: put it into the edge weights")
    if len(value) not in (n, e):
        raise ValueError(f"{name} has {len(value)} entries; expected a number, one per node ({n}) or one per edge ({e})")
    return "node" if len(value) == n else "edge"
