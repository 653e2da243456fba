"""What the attention of a running equation does: how rough the features are along it, and how spread out it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import SparseOperator, VectorField, linear_flow

from ..graph import Graph
from .base import Observable, Reading
from .differences import energy_density
from .features import as_real, node_features

Weighted = tuple[Graph, Tensor]  # edges j -> i without loops, and their weights


@dataclass(frozen=True)
class AttentionEnergy(Observable):
    """Roughness along the attention: `E = 1/2 sum over i != j of g_ij |x_i - x_j|^2`, g the flow's operator now.

    With GRAND's u' = rate (A - 1) u, g is rate times the attention A.
    A quadratic form sees the symmetric part (G + G')/2 only, and so does this: for attention that is not symmetric it is not
    a Lyapunov function of the flow. It vanishes on constants. Without a field g are the graph's weights, each row divided by
    its sum; then it is `1/2 sum d_i P_ij |x_i - x_j|^2` without the degrees.

    Raises:
        TypeError: from the reading, if the field has no sparse linear part.

    Reference: B. Chamberlain et al. (2021), GRAND: Graph neural diffusion.
    """

    @property
    def name(self) -> str:
        return "Dirichlet energy (attention, symmetric part)"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        couplings = _couplings(graph, field)

        def energy(t: float, y: Tensor) -> Tensor:
            edges, weight = couplings(t, y)
            return graph.space.total(energy_density(edges, as_real(node_features(graph, y, read)), weight))

        return energy

    @classmethod
    def example(cls) -> tuple[AttentionEnergy, Graph, Tensor]:
        """An instance, a graph and features: 0, 1, 3 on the path, ((1 + 1/2) 1 + (1/2 + 1) 4) / 2."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)


@dataclass(frozen=True)
class AttentionEntropy(Observable):
    """How spread out attention is: `mean over i of H_i`, `H_i = -sum over j of p_ij ln p_ij`.

    p are the weights of the neighbours of i, divided by their sum.

    From 0, one neighbour takes it all, to the mean of ln(number of neighbours), attention that does not choose. A node's
    weight for itself is left aside, and so is the rate of the flow. The weights are those of the field's operator at this
    moment; without a field, the graph's. Nodes without neighbours (relative: with fewer than two) do not count.

    Args:
        relative: divide each H_i by the ln of the number of neighbours: from 0 to 1.

    Raises:
        TypeError: from the reading, if the field has no sparse linear part.
    """

    relative: bool = False

    @property
    def name(self) -> str:
        return "relative attention entropy" if self.relative else "attention entropy"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        couplings = _couplings(graph, field)

        def entropy(t: float, y: Tensor) -> Tensor:
            edges, weight = couplings(t, y)
            target, zeros = edges.edge_index[1], weight.new_zeros(graph.num_nodes)
            total = zeros.index_add(0, target, weight)
            share = weight / torch.where(total == 0, 1.0, total)[target]
            each = torch.where(share == 0, 0.0, -share * torch.where(share == 0, 1.0, share).log())
            each = zeros.index_add(0, target, each)
            neighbours = zeros.index_add(0, target, torch.ones_like(weight))
            counted = neighbours > (1 if self.relative else 0)
            if self.relative:
                each = torch.where(counted, each / torch.where(counted, neighbours, 2.0).log(), 0.0)
            return graph.space.total(torch.where(counted, each, 0.0)) / graph.space.total(counted.double())

        return entropy

    @classmethod
    def example(cls) -> tuple[AttentionEntropy, Graph, Tensor]:
        """An instance, a graph and features: on the path of three only the middle one chooses, ln 2 / 3."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)


def _couplings(graph: Graph, field: VectorField | None) -> Callable[[float, Tensor], Weighted]:
    """At a time and state, the off-diagonal entries (i, j) of the field's linear operator as edges j -> i."""
    if field is None:
        d = graph.degree.to(torch.float64)
        weight = graph.edge_weight(torch.float64) / torch.where(d == 0, 1.0, d)[graph.edge_index[1]]
        bare = _proper(graph, graph.edge_index, weight)
        return lambda t, y: bare
    flow = linear_flow(field)
    part = getattr(field, "linear_part", None)
    if flow is None and part is None:
        raise TypeError(_no_matrix(field))

    def at(t: float, y: Tensor) -> Weighted:
        time = torch.full((), t, dtype=y.real.dtype, device=y.device)
        operator = flow.operator if flow is not None else part(time, y)  # type: ignore[misc]
        matrix = getattr(operator, "matrix", operator)
        if not isinstance(matrix, SparseOperator):
            raise TypeError(_no_matrix(field))
        index = torch.stack([matrix.pattern.cols, matrix.pattern.rows])
        return _proper(graph, index, matrix.values.to(torch.float64))

    return at


def _proper(graph: Graph, index: Tensor, weight: Tensor) -> Weighted:
    proper = index[0] != index[1]
    return Graph(index[:, proper], num_nodes=graph.num_nodes), weight[proper]


def _no_matrix(field: object) -> str:
    return (
        f"attention is read off a sparse matrix; {type(field).__name__} offers none as its linear part (linear_part(t, y), "
        "or a LinearFlow). Watch DirichletEnergy, which needs the graph only."
    )
