"""Whose energy it is: the normalization whose kernel the dynamics leave at rest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .graph import Graph
from .monitors.energy import NORMALIZATIONS, kernel_vector

Motion = Callable[[Tensor], Tensor]  # of features [nodes, channels], how they move; 0 at rest

_AT_REST = 1e-3  # of how a rough vector moves
_CANDIDATES = ("none", "sym_loops", "sym", "col")  # "rw" has the kernel of "none"


def own_energy(graph: Graph, motion: Motion, channels: int, dtype: torch.dtype, default: str) -> str:
    """The first normalization whose kernel vector rests under the dynamics; `default` if none does."""
    if channels == 0:
        return default
    order = (default, *(name for name in _CANDIDATES if name != default))
    return next((name for name in order if moves(graph, motion, name, channels, dtype) <= _AT_REST), default)


def moves(graph: Graph, motion: Motion, normalization: str, channels: int, dtype: torch.dtype) -> float:
    """How the kernel vector of an energy moves, relative to how a rough vector of that size does."""
    kernel = kernel_vector(graph, normalization)
    wave = torch.arange(len(kernel), device=kernel.device, dtype=torch.float64).mul(2.4).cos()
    with torch.no_grad():
        rest, rough = (
            graph.space.norm(motion(v.to(dtype).unsqueeze(1).expand(-1, channels).contiguous())).amax()
            for v in (kernel, kernel * wave)
        )
    return float(rest / rough) if rough > 0 else 0.0


def mismatch(graph: Graph, motion: Motion, normalization: str, channels: int, dtype: torch.dtype) -> str:
    """A warning, if the energy's kernel moves under the dynamics; "" if it rests."""
    moved = moves(graph, motion, normalization, channels, dtype)
    if moved <= _AT_REST:
        return ""
    own = [name for name in NORMALIZATIONS if moves(graph, motion, name, channels, dtype) <= _AT_REST]
    advice = f"theirs is {own[0]!r}" if own else "no named energy is theirs"
    return (
        f"the energy {normalization!r} is not that of these dynamics: it vanishes on a vector that they move "
        f"({moved:.2g} of how a rough one moves), so it may stall or fall for reasons of its own; {advice}"
    )
