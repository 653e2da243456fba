"""Moran's I: whether neighbours deviate from the mean in the same direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading
from .differences import edge_energy
from .features import as_real, magnitude, node_features
from .kernel import outside_constants


@dataclass(frozen=True)
class MoransI(Observable):
    """Spatial autocorrelation, `I = (n / W) sum over edges j -> i of w_ij <z_i, z_j> / sum_i |z_i|^2`, `z = x - mean`.

    W is the sum of the weights. Near 1 for features that vary slowly, -1/(n - 1) expected of independent ones, negative where
    neighbours alternate. Free of scale and of a constant. Of several channels it is the mean weighted by their variances:
    `per_channel(MoransI())` gives each. NaN for constant features and without edges.

    Reference: Moran (1950), Notes on continuous stochastic phenomena.
    """

    @property
    def name(self) -> str:
        return "Moran's I"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        space, outside = graph.space, outside_constants(graph)
        weight = graph.edge_weight(torch.float64)
        ends = weight.new_zeros(graph.num_nodes)
        ends = ends.index_add(0, graph.edge_index[0], weight).index_add(0, graph.edge_index[1], weight).unsqueeze(1)
        nodes = torch.as_tensor(space.size(ends), dtype=torch.float64, device=graph.device)
        energy = edge_energy(graph)
        factor = nodes / (space.total(ends) / 2)

        def morans_i(t: float, y: Tensor) -> Tensor:
            x = as_real(node_features(graph, y, read))
            z = outside(x / space.spread(magnitude(space, x), x))
            z = z / space.spread(magnitude(space, z), z)
            products = space.total(ends * z * z) / 2 - energy(z)
            return factor * products / space.total(z * z)

        return morans_i

    @classmethod
    def example(cls) -> tuple[MoransI, Graph, Tensor]:
        """An instance, a graph and features: 1, 2, 4, 5 on the path: (4/6) 2 (2 - 1 + 2) / 10."""
        return cls(), Graph.path(4), torch.tensor([[1.0], [2.0], [4.0], [5.0]], dtype=torch.float64)
