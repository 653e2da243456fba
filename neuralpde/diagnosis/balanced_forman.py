"""Balanced Forman curvature of edges, exactly as defined, by sparse products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from ..graph import Graph
from .edge_blocks import ENTRIES, edge_blocks
from .simple_graph import SimpleGraph, simple_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data

_SECONDS_PER_ENTRY = 2e-8  # of a sparse product and its masking, on one core
_BYTES_PER_ENTRY = 40  # values, indices and one copy


@dataclass(frozen=True)
class CurvatureCost:
    """What a curvature of all edges costs.

    Attributes:
        entries: walks of length two that are looked at, the sum over directed edges i -> j of the neighbours' degrees of j.
        seconds: roughly, on one core.
        bytes: the largest intermediate matrix, roughly.
    """

    entries: int
    seconds: float
    bytes: int


def balanced_forman_cost(graph: Graph | Data) -> CurvatureCost:
    """What `balanced_forman_curvature` of this graph costs, in O(E), before it is asked for.

    Args:
        graph: undirected.
    """
    simple = simple_graph(graph, "balanced Forman curvature")
    work = _work(simple)
    largest = max(int(work.max(initial=0)), min(int(work.sum()), ENTRIES))
    return CurvatureCost(int(work.sum()), float(work.sum()) * _SECONDS_PER_ENTRY, largest * _BYTES_PER_ENTRY)


def balanced_forman_curvature(graph: Graph | Data) -> Tensor:
    """Balanced Forman curvature of every edge.

    `Ric(i, j) = 2/d_i + 2/d_j - 2 + 2 T/max(d_i, d_j) + T/min(d_i, d_j) + (S_i + S_j) / (g max(d_i, d_j))`, and 0 if an end
    has a single neighbour. T counts the triangles on the edge. S_i counts the neighbours k of i, not of j, for which a node
    w other than i is a neighbour of k and of j but not of i: the 4-cycles i k w j without diagonals, by their k; S_j
    likewise. g is the largest number of such 4-cycles through one such k (or w); the term is absent where there is none.
    Weights, loops and parallel edges are not read.

    Values: 3/2 on C3, 1 on C4 and 0 on longer cycles, n/(n-1) on K_n, 0 on the square grid, 4/(r+1) - 2 inside the tree
    whose nodes have r + 1 neighbours. Edges far below 0 squeeze what passes them.

    Args:
        graph: undirected, E edges.

    Returns:
        `[E]` float64 in the order of the graph's edges, both directions alike; not a number at loops. Cost: the sum over
        edges of the degrees of the neighbours of both ends (`balanced_forman_cost`), in blocks of bounded memory.

    Raises:
        GraphError: an edge has no reverse.

    Reference: J. Topping, F. Di Giovanni, B. Chamberlain, X. Dong, M. Bronstein, Understanding over-squashing and
    bottlenecks on graphs via curvature (2022), Definition 1.
    """
    simple = simple_graph(graph, "balanced Forman curvature")
    value = np.zeros(simple.edges.shape[1])
    for block in edge_blocks(_work(simple)):
        value[block] = curvature_of(simple, simple.edges[0, block], simple.edges[1, block])
    return simple.per_edge(value)


def curvature_of(simple: SimpleGraph, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
    """Balanced Forman curvature of the edges from `i` to `j`, each `[P]`."""
    both = simple.common(i, j)
    triangles = both.sum(axis=1)
    squares_i, most_i = _squares(simple, i, j, both)
    squares_j, most_j = _squares(simple, j, i, both)
    d_i, d_j = simple.degree[i].astype(np.float64), simple.degree[j].astype(np.float64)
    high, low = np.maximum(d_i, d_j), np.minimum(d_i, d_j)
    most = np.maximum(np.maximum(most_i, most_j), 1)
    value = 2 / d_i + 2 / d_j - 2 + 2 * triangles / high + triangles / low + (squares_i + squares_j) / (most * high)
    return np.where(low <= 1, 0.0, value)


def _squares(simple: SimpleGraph, i: NDArray[np.int64], j: NDArray[np.int64], both: Any) -> tuple[Any, Any]:
    """How many neighbours k of `i` close a 4-cycle without diagonals on the edge, and the most cycles through one k."""
    near = _without(simple.adjacency[i], both, j)  # k: neighbours of i, not of j, not j
    far = _without(simple.adjacency[j], both, i)  # w: neighbours of j, not of i, not i
    paths = (far @ simple.adjacency).multiply(near).tocsr()  # [P, N]: number of w between k and j
    paths.eliminate_zeros()
    most = paths.max(axis=1).toarray().ravel() if len(i) else np.zeros(0)
    return np.diff(paths.indptr), most


def _without(rows: Any, both: Any, node: NDArray[np.int64]) -> Any:
    """Neighbourhoods `[P, N]` without common neighbours and without one node per row."""
    single = csr_array((np.ones(len(node)), node, np.arange(len(node) + 1)), shape=rows.shape)
    left = (rows - both - single).tocsr()
    left.eliminate_zeros()
    return left


def _work(simple: SimpleGraph) -> NDArray[np.int64]:
    """Entries of the products of `_squares` for every undirected edge, `[M]`."""
    around = (simple.adjacency @ simple.degree.astype(np.float64)).astype(np.int64)
    return around[simple.edges[0]] + around[simple.edges[1]]
