"""How rough features are on a graph, as functionals whose gradient flows are diffusions with weights that follow the state.

A `Roughness` S(z) gives its density per node and the edge weights c_ij(z) = c_ji(z) of its descent

    z_i' = sum over edges j -> i of c_ij(z) (z_j - z_i)

Both are made of edge differences, in the precision of z, and are differentiable any number of times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from solvers import unknown

from .errors import GraphError
from .graph import Graph
from .operators.differences import edge_inner

KINDS = ("dirichlet", "area", "tv")


class Roughness(ABC):
    """A functional of features `[nodes, channels]` on an undirected graph with weights that are not negative."""

    linear: bool = False  # whether the weights of the descent do not depend on the state

    @abstractmethod
    def density(self, graph: Graph, z: Tensor) -> Tensor:
        """What each node adds to S, `[nodes]`; all of it vanishes on constants."""

    @abstractmethod
    def weights(self, graph: Graph, z: Tensor) -> Tensor:
        """The weights c_ij of the descent, `[edges]`; the same on both directions of an edge."""


@dataclass(frozen=True)
class Polyakov(Roughness):
    """`S(z) = sum_i psi(r_i)`, `r_i^2 = sum over edges j -> i of w_ij |z_i - z_j|^2`, and its descent `z' = -1/2 dS/dz`:

        c_ij = w_ij (psi'(r_i) / r_i + psi'(r_j) / r_j) / 2

    | kind          | psi(r)                | psi'(r) / r           |                                                   |
    |---------------|-----------------------|-----------------------|---------------------------------------------------|
    | `"dirichlet"` | r^2 / 2               | 1                     | S = tr(z'Lz), and the descent is -Lz              |
    | `"area"`      | sqrt(1 + r^2) - 1     | 1 / sqrt(1 + r^2)     | of the surface z above the graph: the Beltrami flow |
    | `"tv"`        | sqrt(r^2 + e^2) - e   | 1 / sqrt(r^2 + e^2)   | total variation, regularised by eps = e           |

    All are convex in z and concave in r^2. The constants -1 and -e leave the flow as it is and let S vanish on constants,
    without cancellation.

    Args:
        kind: see the table.
        eps: e > 0, in the unit of r; of "tv" only.
    """

    kind: Literal["dirichlet", "area", "tv"] = "area"
    eps: float = 1e-2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("functional", self.kind, KINDS)
        if not self.eps > 0:
            raise ValueError(f"eps = {self.eps:g}; expected a positive number: |r| has no gradient at 0")

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.kind == "dirichlet"

    def density(self, graph: Graph, z: Tensor) -> Tensor:
        squares = local_variation(graph, z)
        if self.kind == "dirichlet":
            return squares / 2
        floor = self._floor
        return squares / (floor + torch.sqrt(squares + floor * floor))

    def weights(self, graph: Graph, z: Tensor) -> Tensor:
        weight = graph.edge_weight(z.dtype)
        if self.kind == "dirichlet":
            return weight
        mobility = torch.rsqrt(local_variation(graph, z) + self._floor**2)
        source, target = graph.edge_index
        return weight * (mobility.index_select(0, source) + mobility.index_select(0, target)) / 2

    @property
    def _floor(self) -> float:
        return 1.0 if self.kind == "area" else self.eps


@dataclass(frozen=True)
class PDirichlet(Roughness):
    """`S(z) = 1/(2p) sum over edges j -> i of w_ij (d_ij^p - e^p)`, `d_ij^2 = |z_i - z_j|^2 + e^2`; descent `z' = -dS/dz`:

        c_ij = w_ij d_ij^(p - 2)                the p-Laplacian

    An undirected edge, stored both ways, counts once, as (1/p) w d^p. p = 2 is half of tr(z'Lz), whose descent is -Lz.

    Args:
        p: at least 1.
        eps: e, in the unit of z; 0 for none.
    """

    p: float = 1.0
    eps: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.p < float("inf"):
            raise ValueError(f"p = {self.p:g}; expected at least 1, below that the functional is not convex")
        if not self.eps >= 0:
            raise ValueError(f"eps = {self.eps:g}; expected 0 or more")

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.p == 2

    def density(self, graph: Graph, z: Tensor) -> Tensor:
        squares = edge_inner(graph.edge_index, z, z)
        if self.eps > 0:
            powers = self.eps**self.p * torch.expm1(self.p / 2 * torch.log1p(squares / self.eps**2))
        else:
            powers = _power(squares, self.p / 2)
        return _into_nodes(graph, graph.edge_weight(z.dtype) * powers / (2 * self.p))

    def weights(self, graph: Graph, z: Tensor) -> Tensor:
        weight = graph.edge_weight(z.dtype)
        if self.linear:
            return weight
        return weight * _power(edge_inner(graph.edge_index, z, z) + self.eps**2, self.p / 2 - 1)


def local_variation(graph: Graph, z: Tensor) -> Tensor:
    """`r_i^2 = sum over edges j -> i of w_ij |z_i - z_j|^2`, `[nodes]`: the squared gradient at each node."""
    return _into_nodes(graph, graph.edge_weight(z.dtype) * edge_inner(graph.edge_index, z, z))


def require_variational(graph: Graph, who: str) -> None:
    """Raise a `GraphError` unless the graph is undirected and no weight is negative; `who` needs that."""
    graph.require_undirected(who)
    if graph.weight is not None and graph.num_edges and bool(graph.weight.detach().min() < 0):
        edge = int(graph.weight.detach().argmin())
        source, target = graph.edge_index[:, edge].tolist()
        raise GraphError(
            f"{who} needs weights that are not negative; the edge {source} -> {target} has {float(graph.weight[edge]):g}. "
            "Take graph.with_weight(graph.weight.abs()), or leave those edges out."
        )


def _into_nodes(graph: Graph, per_edge: Tensor) -> Tensor:
    return per_edge.new_zeros(graph.num_nodes).index_add(0, graph.edge_index[1], per_edge)


def _power(squares: Tensor, exponent: float) -> Tensor:
    """`squares^exponent`, 0 where the base is 0, with gradient 0 there."""
    flat = squares == 0
    return torch.where(flat, torch.zeros_like(squares), torch.where(flat, torch.ones_like(squares), squares).pow(exponent))
