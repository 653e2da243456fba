"""Ollivier-Ricci curvature of edges by optimal transport, and the form of Lin, Lu and Yau."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ..graph import Graph
from .simple_graph import simple_graph
from .transport import earth_mover

if TYPE_CHECKING:
    from torch_geometric.data import Data


def ollivier_curvature(graph: Graph | Data, alpha: float = 0.0) -> Tensor:
    """Ollivier-Ricci curvature of every edge, `kappa(i, j) = 1 - W1(mu_i, mu_j)`.

    mu_i has mass alpha at i and (1 - alpha) / d_i at each of its d_i neighbours: one step of the lazy random walk. W1 counts
    hops. Weights, loops and parallel edges are not read. With alpha = 0: (n-2)/(n-1) on K_n, 0 on cycles of six or more
    nodes, 2/d_i + 2/d_j - 2 inside a tree, 0 on the hypercube.

    Args:
        graph: undirected, E edges.
        alpha: laziness, 0 <= alpha < 1.

    Returns:
        `[E]` float64 in the order of the graph's edges, both directions alike; not a number at loops. Cost: one transport
        problem of at most d_i x d_j per edge, solved one by one (a fraction of a millisecond for a dozen neighbours; hubs
        of hundreds of neighbours take seconds).

    Raises:
        GraphError: an edge has no reverse.
        ValueError: alpha outside [0, 1).

    Reference: Y. Ollivier, Ricci curvature of Markov chains on metric spaces (2009).
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha={alpha}; expected 0 <= alpha < 1, the mass that stays at a node")
    return _each_edge(graph, Fraction(alpha).limit_denominator(10**9))


def lin_lu_yau_curvature(graph: Graph | Data) -> Tensor:
    """Lin-Lu-Yau curvature of every edge, the limit of `kappa_alpha(i, j) / (1 - alpha)` as alpha -> 1.

    kappa_alpha is linear in alpha on [1/(D+1), 1] with D = max(d_i, d_j), and 0 at 1, so that the limit is
    `(D+1)/D kappa_{1/(D+1)}`, without a small number. Values: n/(n-1) on K_n, 2/k on the hypercube of dimension k, 1 on C4,
    1/2 on C5 and 0 on longer cycles, 2/d_i + 2/d_j - 2 inside a tree.

    Args:
        graph: undirected, E edges.

    Returns:
        `[E]` float64 in the order of the graph's edges, both directions alike; not a number at loops. Cost: as
        `ollivier_curvature`.

    Raises:
        GraphError: an edge has no reverse.

    Reference: Y. Lin, L. Lu, S.-T. Yau, Ricci curvature of graphs (2011); D. Bourne, D. Cushing, S. Liu, F. Muench,
    N. Peyerimhoff, Ollivier-Ricci idleness functions of graphs (2018).
    """
    return _each_edge(graph, None)


def _each_edge(graph: Graph | Data, alpha: Fraction | None) -> Tensor:
    simple = simple_graph(graph, "Ollivier-Ricci curvature")
    pointers, columns = simple.adjacency.indptr.tolist(), simple.adjacency.indices.tolist()
    neighbours = [frozenset(columns[a:b]) for a, b in pairwise(pointers)]
    values = np.zeros(simple.edges.shape[1])
    for edge, (i, j) in enumerate(simple.edges.T.tolist()):
        most = max(len(neighbours[i]), len(neighbours[j]))
        lazy = Fraction(1, most + 1) if alpha is None else alpha
        kappa = 1 - earth_mover(_walk(i, neighbours[i], lazy), _walk(j, neighbours[j], lazy), neighbours)
        values[edge] = kappa * (most + 1) / most if alpha is None else kappa
    return simple.per_edge(values)


def _walk(node: int, neighbours: frozenset[int], lazy: Fraction) -> dict[int, Fraction]:
    step = (1 - lazy) / len(neighbours)
    return {node: lazy, **dict.fromkeys(neighbours, step)}
