"""Forman curvature of edges, plain and augmented by triangles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph
from .edge_blocks import edge_blocks
from .simple_graph import SimpleGraph, simple_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data


def forman_curvature(graph: Graph | Data, *, augmented: bool = False) -> Tensor:
    """Forman curvature of every edge, `F(i, j) = 4 - d_i - d_j`, with `+ 3 T_ij` if augmented.

    d_i is the number of neighbours of i and T_ij the number of triangles that contain the edge: those of the clique
    complex, each a face of weight one. Weights, loops and parallel edges are not read. A cycle has 0 (the triangle 3,
    augmented), the inner edge of a path 0, and the complete graph K_n has 6 - 2n, augmented n.

    Args:
        graph: undirected, E edges.
        augmented: count triangles.

    Returns:
        `[E]` float64 in the order of the graph's edges, both directions alike; not a number at loops. Cost: O(E), augmented
        O(sum over edges of d_i + d_j), in blocks of bounded memory.

    Raises:
        GraphError: an edge has no reverse.

    Reference: R. Forman, Bochner's method for cell complexes (2003); A. Samal et al., Comparative analysis of two
    discretizations of Ricci curvature for complex networks (2018).
    """
    simple = simple_graph(graph, "Forman curvature")
    i, j = simple.edges
    degree = simple.degree
    value = (4 - degree[i] - degree[j]).astype(np.float64)
    return simple.per_edge(value + 3 * triangles(simple) if augmented else value)


def triangles(simple: SimpleGraph) -> NDArray[np.float64]:
    """The number of triangles that contain each undirected edge, `[M]`: common neighbours of its ends."""
    i, j = simple.edges
    count = np.zeros(len(i))
    for block in edge_blocks(simple.degree[i] + simple.degree[j]):
        count[block] = simple.common(i[block], j[block]).sum(axis=1)
    return count
