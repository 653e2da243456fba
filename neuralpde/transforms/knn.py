"""Nearest neighbours of features as the new edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..errors import GraphError
from ..graph import Graph
from ..graph_build import knn_edges
from ..transform import Transform


@dataclass(frozen=True)
class KNN(Transform):
    """Join each node to the k nearest in feature space (Euclidean, itself excluded), in both directions, weight one.

    The edge i - j is there if j is among the k nearest of i or i among those of j. The features are data of the graph's
    nodes, so that a state is rewired by `KNN(8, of="u")(graph.with_node(u=state))`, as BLEND does with its own state. In a
    batch, the neighbours of a node are in its own graph. No gradient passes through the choice of neighbours; edge
    attributes are dropped with the edges that they belong to.

    Args:
        k: neighbours.
        of: the data of the nodes in whose space distances are taken, or "pos" for their positions.

    Raises:
        GraphError: no such data, not finite, or fewer than k + 1 nodes.

    Reference: B. Chamberlain, J. Rowbottom, D. Eynard, F. Di Giovanni, X. Dong, M. Bronstein, Beltrami flow and neural
        diffusion on graphs (2021), section 4.
    """

    k: int
    of: str = "x"

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes", "undirected"})

    def apply(self, graph: Graph) -> Graph:
        points = graph.pos if self.of == "pos" else graph.node.get(self.of)
        if points is None:
            known = ", ".join([*graph.node, *(["pos"] if graph.pos is not None else [])]) or "none"
            raise GraphError(f"the graph has no node data {self.of!r} (it has {known}); graph.with_node({self.of}=...) adds it")
        points = (points.unsqueeze(1) if points.dim() == 1 else points.flatten(1)).detach()
        if graph.batch is None:
            edges = knn_edges(points, self.k).edge_index
        else:
            members = [(graph.batch == g).nonzero().flatten() for g in range(graph.num_graphs)]
            edges = torch.cat([nodes[knn_edges(points[nodes], self.k).edge_index] for nodes in members], 1)
        return replace(graph, edge_index=edges, weight=None, edge_attr=None, patterns={})

    @classmethod
    def example(cls) -> tuple[KNN, Graph]:
        """Two neighbours of each of ten random points, which a path had joined."""
        generator = torch.Generator().manual_seed(0)
        return cls(2), Graph.path(10).with_node(x=torch.randn(10, 3, generator=generator, dtype=torch.float64))
