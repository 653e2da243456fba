"""Node features as the observables take them: `[nodes, channels]`, float64, and scaled where squares could overflow."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from solvers import Space

from ..graph import Graph


def node_features(graph: Graph, y: Tensor, read: Callable[[Tensor], Tensor] | None, wide: bool = True) -> Tensor:
    """The features of a state, `[nodes, channels]`, in float64 (complex128).

    Args:
        graph: whose nodes they belong to.
        y: a state; leading axes of its features are folded into channels, `[nodes]` is one channel.
        read: from a state to node features; None takes the state itself.
        wide: False leaves float32 as it is, for a reading that widens what it sums.

    Raises:
        ValueError: the features do not have one row per node.
    """
    x = y if read is None else read(y)
    x = x.unsqueeze(1) if x.dim() == 1 else x
    if x.shape[-2] != graph.num_nodes:
        raise ValueError(
            f"the features have shape {tuple(x.shape)}; expected {graph.num_nodes} nodes on axis -2. "
            "If the state is stack((q, p)) or the like, give read=pde.read."
        )
    x = x.movedim(-2, 0).reshape(graph.num_nodes, -1)
    if x.dtype == torch.float32 and not wide:
        return x
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


def as_real(x: Tensor) -> Tensor:
    """Complex channels as pairs of real ones; squares of absolute values are the same sums."""
    return torch.view_as_real(x).flatten(1) if x.is_complex() else x


def magnitude(space: Space, x: Tensor) -> Tensor:
    """A power of two near the largest |entry| of each group, `[groups]`, 1 where that is 0 or not finite; no gradient.

    `x / magnitude` can be squared without overflow or underflow, and dividing by it rounds nothing.
    """
    with torch.no_grad():
        if x.numel() == 0:
            return torch.ones(space.groups, dtype=torch.float64, device=x.device)
        top = space.max(x.abs())
        power = torch.ldexp(torch.ones_like(top), torch.frexp(top).exponent.clamp(-1020, 1020))
        return torch.where(torch.isfinite(top) & (top > 0), power, torch.ones_like(top))
