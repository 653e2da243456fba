"""Effective resistance and commute time between nodes, many pairs by one factorisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor

from solvers import refuse_what_cannot_fit

from ..graph import Graph, as_graph
from .conductances import conductances, grounded_factor

if TYPE_CHECKING:
    from torch_geometric.data import Data

_COLUMNS = 64  # right-hand sides that are solved for together


def effective_resistance(graph: Graph | Data, pairs: Tensor | None = None) -> Tensor:
    """Effective resistance, `R_uv = (e_u - e_v)' L^+ (e_u - e_v)`, of the network whose edges have conductance w.

    One node of each component is grounded (its row and column of L left out); the rest is factorised once, sparsely, and
    each pair is a solution with it. R is a metric; on a tree it is the sum of 1/w on the way; the sum of w R over the edges
    of a connected graph is N - 1 (R. Foster).

    Args:
        graph: undirected, weights are conductances.
        pairs: `[2, P]` int64; None for the graph's edges.

    Returns:
        `[P]` float64 (`[E]` for None); infinite between components, 0 from a node to itself. Cost: one factorisation (for
        meshes and sparse road-like graphs nearly linear; on large graphs without small separators its fill outgrows
        memory) and one solution per different pair, in blocks of 64.

    Raises:
        GraphError: a directed graph, unsymmetric or negative weights.
        ValueError: pairs of a wrong shape, or nodes that are not there.

    Reference: D. Klein, M. Randic, Resistance distance (1993).
    """
    graph = as_graph(graph)
    index = graph.edge_index if pairs is None else torch.as_tensor(pairs)
    ends = _checked(index, graph.num_nodes)
    adjacency, part = conductances(graph, "effective resistance")
    low, high = ends.min(axis=0), ends.max(axis=0)
    keys, place = np.unique(low * graph.num_nodes + high, return_inverse=True)
    u, v = keys // max(graph.num_nodes, 1), keys % max(graph.num_nodes, 1)
    value = np.where(part[u] == part[v], 0.0, np.inf)
    ask = np.flatnonzero((part[u] == part[v]) & (u != v))
    if len(ask):
        value[ask] = _solve(adjacency, part, u[ask], v[ask])
    return torch.as_tensor(value[place], device=graph.device)


def commute_time(graph: Graph | Data, pairs: Tensor | None = None) -> Tensor:
    """Expected steps of the random walk from u to v and back, `C_uv = vol R_uv`, vol the sum of the component's degrees.

    In an unweighted connected graph of m edges, `C_uv = 2 m R_uv`.

    Args:
        graph: undirected; the walk takes an edge with probability proportional to its weight.
        pairs: `[2, P]` int64; None for the graph's edges.

    Returns:
        `[P]` float64 (`[E]` for None), infinite between components.

    Raises:
        GraphError, ValueError: as `effective_resistance`.

    Reference: A. Chandra et al., The electrical resistance of a graph captures its commute and cover times (1989).
    """
    graph = as_graph(graph)
    adjacency, part = conductances(graph, "commute time")
    resistance = effective_resistance(graph, pairs)
    volume = np.bincount(part, weights=adjacency.sum(axis=1), minlength=1)
    first = (graph.edge_index if pairs is None else torch.as_tensor(pairs))[0].cpu().numpy()
    steps = resistance * torch.as_tensor(volume[part[first]], device=graph.device)
    return torch.where(resistance.isinf(), torch.inf, steps)  # also from an isolated node, whose volume is 0


def kirchhoff_index(graph: Graph | Data) -> float:
    """Total effective resistance, `sum over u < v of R_uv = N sum over k >= 2 of 1 / lambda_k(L)`; infinite if disconnected.

    The dense spectrum of L, O(N^3) and `16 N^2` bytes: for graphs of a few thousand nodes.

    Args:
        graph: undirected, weights are conductances.

    Raises:
        GraphError: a directed graph, unsymmetric or negative weights.
        MemoryError: the dense matrix does not fit.

    Reference: D. Klein, M. Randic, Resistance distance (1993); I. Gutman, B. Mohar, The quasi-Wiener and the Kirchhoff
    indices coincide (1996).
    """
    graph = as_graph(graph)
    n = graph.num_nodes
    adjacency, part = conductances(graph, "the Kirchhoff index")
    if n and part.max() > 0:
        return float("inf")
    instead = "effective_resistance(graph, pairs) takes single pairs"
    refuse_what_cannot_fit(16.0 * n * n, torch.device("cpu"), f"The spectrum of {n:,} nodes", instead)
    laplacian: Any = np.diag(adjacency.sum(axis=1)) - adjacency.toarray()
    return float(n * np.sum(1 / linalg.eigvalsh(laplacian)[1:])) if n > 1 else 0.0


def _solve(adjacency: Any, part: NDArray[np.int64], u: NDArray[np.int64], v: NDArray[np.int64]) -> NDArray[np.float64]:
    """Resistances between `u` and `v` in the same component, each `[P]`."""
    ground = np.unique(part, return_index=True)[1]
    kept = np.ones(len(part), dtype=bool)
    kept[ground] = False
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    factor = grounded_factor(adjacency, kept)
    value = np.zeros(len(u))
    for start in range(0, len(u), _COLUMNS):
        block = slice(start, start + _COLUMNS)
        a, b = number[u[block]], number[v[block]]
        column = np.arange(len(a))
        current = np.zeros((int(kept.sum()), len(a)))
        current[a[a >= 0], column[a >= 0]] += 1
        current[b[b >= 0], column[b >= 0]] -= 1
        potential = factor.solve(current)
        value[block] = np.where(a >= 0, potential[a, column], 0) - np.where(b >= 0, potential[b, column], 0)
    return value


def _checked(pairs: Tensor, n: int) -> NDArray[np.int64]:
    if pairs.dim() != 2 or pairs.shape[0] != 2 or pairs.is_floating_point():
        kind = str(pairs.dtype).removeprefix("torch.")
        raise ValueError(f"pairs is {kind} of shape {tuple(pairs.shape)}; expected int64 of shape (2, P)")
    if pairs.numel() and not 0 <= int(pairs.min()) <= int(pairs.max()) < n:
        raise ValueError(f"pairs names nodes {int(pairs.min())}..{int(pairs.max())}; the graph has nodes 0..{n - 1}")
    return pairs.cpu().numpy().astype(np.int64)
