"""What a flow may keep: the total of each graph (mass) and the size of its features (norm)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField, unknown

from ..graph import Graph
from .base import Observable, Reading
from .features import as_real, magnitude, node_features


@dataclass(frozen=True, eq=False)
class Mass(Observable):
    """The total of the features, `M(X) = sum over nodes i and channels c of m_i x_ic`.

    Diffusion u' = -L u keeps it with m = 1 if 1'L = 0 (`"none"`, `"col"`), and with m = d if L is row-stochastic (`"rw"`);
    a finite-volume equation keeps it with the cells' areas; `Mass(pde.conserved(graph))` takes the weights that the equation
    states. The real part is taken of complex features.

    Args:
        weight: m, `[nodes]`. None takes the field's `mass` if it has one, else `graph.node["area"]`, else 1.
    """

    weight: Tensor | None = None

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        weight = node_mass(graph, field) if self.weight is None else self.weight.to(torch.float64)

        def mass(t: float, y: Tensor) -> Tensor:
            x = node_features(graph, y, read).real
            return graph.space.total(x if weight is None else weight.unsqueeze(1) * x)

        return mass

    @classmethod
    def example(cls) -> tuple[Mass, Graph, Tensor]:
        """An instance, a graph and features, of total 0 + 1 + 3 = 4."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Norm(Observable):
    """The size of the features: `|X|_F = sqrt(sum over nodes and channels of |x_ic|^2)`; does not overflow on the way.

    Args:
        scale: `"sum"` is the Frobenius norm; `"mean"` is the root mean square, |X|_F / sqrt(nodes x channels).

    Raises:
        UnknownName: for another scale.
    """

    scale: str = "sum"

    def __post_init__(self) -> None:
        if self.scale not in ("sum", "mean"):
            raise unknown("scale", self.scale, ("sum", "mean"))

    @property
    def name(self) -> str:
        return "norm" if self.scale == "sum" else "root mean square"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        space = graph.space

        def norm(t: float, y: Tensor) -> Tensor:
            features = node_features(graph, y, read)
            x = as_real(features)
            size = magnitude(space, x)
            length = size * space.norm(x / space.spread(size, x))
            return length if self.scale == "sum" else length / _count(graph, features).sqrt()

        return norm

    @classmethod
    def example(cls) -> tuple[Norm, Graph, Tensor]:
        """An instance, a graph and features, of norm sqrt(0 + 9 + 16) = 5."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [3.0], [4.0]], dtype=torch.float64)


def _count(graph: Graph, x: Tensor) -> Tensor:
    return torch.as_tensor(graph.space.size(x), dtype=torch.float64, device=graph.device).clamp(min=1)


def node_mass(graph: Graph, field: VectorField | None) -> Tensor | None:
    """The mass of each node, `[nodes]` float64: the field's `mass`, else `graph.node["area"]`, else None (ones).

    Raises:
        ValueError: it does not have one number per node.
    """
    mass = getattr(field, "mass", None)
    mass = graph.node.get("area") if mass is None else mass
    if mass is None:
        return None
    mass = torch.as_tensor(mass, dtype=torch.float64, device=graph.device).reshape(-1)
    if mass.numel() not in (1, graph.num_nodes):
        raise ValueError(f"the mass has {mass.numel()} entries; expected one per node ({graph.num_nodes})")
    return mass.expand(graph.num_nodes)
