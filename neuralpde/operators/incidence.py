"""Gradient and divergence: between values on nodes and on edges, each undirected edge once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from solvers import Pattern, SparseOperator

from ..errors import GraphError
from ..graph import Graph
from .base import GraphOperator


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Gradient(GraphOperator):
    """`(G u)_e = sqrt(w_e) (u_j - u_i)` for the edge e = (i, j), i < j; then `L = G^T G`.

    Edges in the order in which the graph stores them, each undirected edge once, self-loops left out:
    `edges_once(graph)` numbers them. The map is edges x nodes.

    Args:
        graph: undirected, weights not negative.
        weighted: False leaves the factor sqrt(w_e) out: plain differences.
        dtype: of the operator; None for that of the weights.

    Raises:
        GraphError: a directed graph, or negative weights.
    """

    def __init__(self, graph: Graph, *, weighted: bool = True, dtype: torch.dtype | None = None):
        super().__init__(_incidence(graph, weighted, dtype, "Gradient"))

    @classmethod
    def example(cls) -> Self:
        return cls(Graph.grid(2, 3), dtype=torch.float64)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Divergence(GraphOperator):
    """`div = -G^T`: what flows out of each node counts negative, so that `div G u = -L u`. Nodes x edges.

    Args, raises: those of `Gradient`.
    """

    def __init__(self, graph: Graph, *, weighted: bool = True, dtype: torch.dtype | None = None):
        gradient = _incidence(graph, weighted, dtype, "Divergence")
        super().__init__(SparseOperator(gradient.pattern.transposed, -gradient.values))

    @classmethod
    def example(cls) -> Self:
        return cls(Graph.grid(2, 3), dtype=torch.float64)


def edges_once(graph: Graph) -> Tensor:
    """The numbers of the stored edges i -> j with i < j: each undirected edge once, in stored order, `[F]`."""
    return (graph.edge_index[0] < graph.edge_index[1]).nonzero().squeeze(1)


def _incidence(graph: Graph, weighted: bool, dtype: torch.dtype | None, who: str) -> SparseOperator:
    graph.require_undirected(who)
    once = edges_once(graph)
    if "incidence" not in graph.patterns:
        source, target = graph.edge_index[:, once]
        row = torch.arange(len(once), device=graph.device)
        graph.patterns["incidence"] = Pattern(row.repeat(2), torch.cat([source, target]), len(once), graph.num_nodes)
    root = graph.edge_weight(dtype)[once]
    if weighted:
        if root.numel() and bool(root.detach().min() < 0):
            raise GraphError(f"{who} takes roots of the weights, and some are negative: weighted=False, or weight.abs()")
        root = root.sqrt()
    else:
        root = torch.ones_like(root)
    return SparseOperator(graph.patterns["incidence"], torch.cat([-root, root]))
