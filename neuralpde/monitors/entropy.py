"""The entropy of a density on the nodes, which diffusion increases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading
from .conserved import node_mass
from .features import node_features


@dataclass(frozen=True, eq=False)
class Entropy(Observable):
    """The entropy of densities u >= 0, `S = -sum over nodes i, channels c of m_i u_ic ln u_ic`; NaN where one is negative.

    Diffusion that keeps the mass sum_i m_i u_i never lowers it, and it is largest for constant u. Of probabilities over the
    nodes (sum 1, m = 1) it lies between 0 and ln n.

    Args:
        weight: m, `[nodes]`. None takes the field's `mass` if it has one, else `graph.node["area"]`, else 1, as `Mass` does.

    Reference: Chow, Huang, Li & Zhou (2012), Fokker-Planck equations for a free energy functional or Markov process on a graph.
    """

    weight: Tensor | None = None

    @property
    def name(self) -> str:
        return "entropy"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        weight = node_mass(graph, field) if self.weight is None else self.weight.to(torch.float64)

        def entropy(t: float, y: Tensor) -> Tensor:
            u = node_features(graph, y, read).real
            each = torch.where(u == 0, 0.0, -u * torch.where(u == 0, 1.0, u).log())
            return graph.space.total(each if weight is None else weight.unsqueeze(1) * each)

        return entropy

    @classmethod
    def example(cls) -> tuple[Entropy, Graph, Tensor]:
        """An instance, a graph and probabilities 1/2, 1/4, 1/4: (3/2) ln 2."""
        return cls(), Graph.path(3), torch.tensor([[0.5], [0.25], [0.25]], dtype=torch.float64)
