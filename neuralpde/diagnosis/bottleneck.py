"""Where a graph squeezes what passes: edges and nodes by their curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..graph import Graph, as_graph
from .balanced_forman import balanced_forman_curvature

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class BottleneckMap:
    """Curvature of edges and nodes, ready to be drawn.

    Attributes:
        edge: `[E]`, the curvature of every edge in the graph's order; not a number at loops.
        node: `[N]`, the least curvature of a node's edges; not a number at nodes without edges.
        narrowest: `[2, k]`, undirected edges i < j by rising curvature, ties by number.
        curvature: `[k]`, theirs.
    """

    edge: Tensor
    node: Tensor
    narrowest: Tensor
    curvature: Tensor


def bottleneck_map(graph: Graph | Data, k: int = 10, *, curvature: Tensor | None = None) -> BottleneckMap:
    """The edges of most negative curvature, and for each node the least of its edges.

    Args:
        graph: undirected, E edges.
        k: how many edges to name.
        curvature: `[E]`, one per edge; None for `balanced_forman_curvature`.

    Raises:
        GraphError: an edge has no reverse.
        ValueError: curvature of a wrong shape, or k below 1.

    Reference: J. Topping et al., Understanding over-squashing and bottlenecks on graphs via curvature (2022).
    """
    graph = as_graph(graph)
    if k < 1:
        raise ValueError(f"k={k}; expected at least 1")
    edge = balanced_forman_curvature(graph) if curvature is None else curvature.detach()
    if tuple(edge.shape) != (graph.num_edges,):
        raise ValueError(f"curvature has shape {tuple(edge.shape)}; expected ({graph.num_edges},), one per edge")
    source, target = graph.edge_index
    known = ~edge.isnan()
    node = edge.new_full((graph.num_nodes,), torch.inf)
    for end in (source, target):
        node = node.scatter_reduce(0, end[known], edge[known], "amin")
    node = torch.where(node.isinf(), torch.nan, node)
    low, high = torch.minimum(source, target)[known], torch.maximum(source, target)[known]
    pairs, place = torch.unique(torch.stack([low, high]), dim=1, return_inverse=True)
    least = edge.new_full((pairs.shape[1],), torch.inf).scatter_reduce(0, place, edge[known], "amin")
    order = torch.argsort(least, stable=True)[:k]
    return BottleneckMap(edge, node, pairs[:, order], least[order])
