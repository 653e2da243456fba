"""The energy that graph neural flows of GRAFF's kind descend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from ..operators.differences import edge_inner
from .base import Observable, Reading
from .features import node_features


@dataclass(frozen=True, eq=False)
class GRAFFEnergy(Observable):
    """What GRAFF descends: `E = 1/2 sum_i <x_i, Omega x_i> - 1/2 sum_ij a_ij <x_i, W x_j>`, `a = D^-1/2 A D^-1/2`.

    `X' = -X Omega + a X W` is its gradient flow if Omega and W are symmetric (on other flows nothing is said). Positive
    eigenvalues of W smooth along edges, negative ones sharpen; Omega = W = 1 gives half of `DirichletEnergy("sym")`. What
    couples nodes is summed over edge differences, and so nothing cancels if Omega = W.

    Args:
        omega: Omega, `[channels, channels]`, or its diagonal `[channels]`; None for W.
        weight: W, the same; None for the identity.

    Raises:
        GraphError: from `on`, for a directed graph.
        ValueError: from the reading, for matrices of another width than the features.

    Reference: Di Giovanni et al. (2023), Understanding convolution on graphs via energies.
    """

    omega: Tensor | None = None
    weight: Tensor | None = None

    @property
    def name(self) -> str:
        return "GRAFF energy"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        graph.require_undirected("GRAFFEnergy")
        degree = graph.degree.to(torch.float64)
        joined = (degree > 0).double().unsqueeze(1)
        root = torch.where(degree > 0, degree, 1.0).sqrt().unsqueeze(1)
        weight, target = graph.edge_weight(torch.float64), graph.edge_index[1]

        def energy(t: float, y: Tensor) -> Tensor:
            x = node_features(graph, y, read).real
            z = x / root
            pairs = weight * edge_inner(graph.edge_index, z, _times(z, self.weight, "weight")) / 4
            total = graph.space.total(pairs.new_zeros(graph.num_nodes).index_add(0, target, pairs))
            alone = None if self.omega is None else _times(x, self.omega, "omega") - joined * _times(x, self.weight, "weight")
            if alone is None:
                alone = (1 - joined) * _times(x, self.weight, "weight")
            return total + graph.space.total(x * alone) / 2

        return energy

    @classmethod
    def example(cls) -> tuple[GRAFFEnergy, Graph, Tensor]:
        """An instance, a graph and features: Omega = 2, W = 1; 1, 2 on one edge: (2 + 8) / 2 - 2."""
        return cls(torch.tensor([2.0]), torch.tensor([1.0])), Graph.path(2), torch.tensor([[1.0], [2.0]], dtype=torch.float64)


def _times(x: Tensor, matrix: Tensor | None, name: str) -> Tensor:
    """`x M'`, row by row M x_i."""
    if matrix is None:
        return x
    if matrix.shape[-1] not in (1, x.shape[1]) or matrix.dim() not in (1, 2):
        raise ValueError(f"{name} has shape {tuple(matrix.shape)} and the features {x.shape[1]} channels; expected as many")
    matrix = matrix.to(device=x.device, dtype=x.dtype)
    return x * matrix if matrix.dim() == 1 else x @ matrix.t()
