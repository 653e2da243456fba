"""The order parameter of coupled phases: from scattered to in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading
from .features import node_features


@dataclass(frozen=True)
class OrderParameter(Observable):
    """How much phases x (radians) are in step: `r = |(1/n) sum_i exp(i m x_i)|`, 1 all, 0 none (or clusters that balance).

    Of several channels, the mean of their r; of complex features, their phases count and not their sizes. With `m = 2` two
    clusters in antiphase also count as ordered.

    Args:
        harmonic: m.

    Raises:
        ValueError: the harmonic is not positive.

    Reference: Kuramoto (1984), Chemical oscillations, waves, and turbulence; Daido (1992) for m > 1.
    """

    harmonic: int = 1

    def __post_init__(self) -> None:
        if self.harmonic < 1:
            raise ValueError(f"harmonic = {self.harmonic}; expected 1, 2, ...")

    @property
    def name(self) -> str:
        return "order parameter" if self.harmonic == 1 else f"order parameter ({self.harmonic} clusters)"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        space = graph.space
        nodes = torch.as_tensor(space.size(torch.empty(graph.num_nodes, 1)), dtype=torch.float64, device=graph.device)

        def order(t: float, y: Tensor) -> Tensor:
            x = node_features(graph, y, read)
            phase = self.harmonic * (x.angle() if x.is_complex() else x)
            sums = torch.hypot(space.pool(phase.cos()), space.pool(phase.sin()))
            return sums.mean(1) / nodes

        return order

    @classmethod
    def example(cls) -> tuple[OrderParameter, Graph, Tensor]:
        """An instance, a graph and phases: two at 0 and one at 90 degrees, sqrt(4 + 1) / 3."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [0.0], [torch.pi / 2]], dtype=torch.float64)
