"""What every test is given: an equation bound to a graph, and a random state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from ..pdes.base import GraphPDE


@dataclass(frozen=True, eq=False)
class Trial:
    """What every test is given: the equation in float64, bound to the graph, and a random state.

    Attributes:
        pde, graph, u0: as given to `check`, in float64, the equation in evaluation mode.
        field: `pde.on(graph, u0)`.
        y: `pde.lift(graph, u0)` plus noise.
        time: a time in which the state changes by about a hundredth.
    """

    pde: GraphPDE
    graph: Graph
    u0: Tensor
    field: VectorField
    y: Tensor
    time: float

    def f(self, y: Tensor, field: VectorField | None = None) -> Tensor:
        """A field (the trial's own, if none is given) at time 0."""
        return (self.field if field is None else field)(torch.zeros((), dtype=y.dtype, device=y.device), y)


def make_trial(pde: GraphPDE, graph: Graph, u0: Tensor, seed: int) -> Trial:
    """Bind and draw."""
    field, y = pde.on(graph, u0), pde.lift(graph, u0).detach()
    y = y + noise(y, seed + 1) * 0.1 * (1 + y.abs())
    with torch.no_grad():
        slope = field(torch.zeros((), dtype=y.dtype), y)
    size, speed = float(graph.space.norm(y).max()), float(graph.space.norm(slope).max())
    return Trial(pde, graph, u0, field, y, 0.01 * size / speed if speed > 0 else 1.0)


def noise(like: Tensor, seed: int) -> Tensor:
    """Standard normal numbers, the same on every machine."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)


def relative_difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest entry."""
    scale = max(float(a.detach().abs().max()), float(b.detach().abs().max()), 1e-300)
    return float((a - b).detach().abs().max()) / scale
