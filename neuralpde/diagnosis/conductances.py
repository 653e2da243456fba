"""The weights of an undirected graph as conductances of a network, its components, and its grounded Laplacian factorised."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee
from scipy.sparse.linalg import splu

from solvers import bytes_in_words, free_memory

from ..errors import GraphError
from ..graph import Graph


def conductances(graph: Graph, who: str) -> tuple[Any, NDArray[np.int64]]:
    """Weights without loops and zeros, `[N, N]` CSR float64, and the component of every node, `[N]`.

    Args:
        graph: undirected, with weights that are not negative.
        who: needs this; named in the error.

    Raises:
        GraphError: a directed graph, unsymmetric or negative weights.
    """
    graph.require_undirected(who)
    weight = graph.edge_weight(torch.float64).detach().cpu().numpy()
    if bool((weight < 0).any()):
        edge = int(np.argmin(weight))
        raise GraphError(
            f"{who} needs weights that are not negative; got {weight[edge]:g} at edge {edge}. "
            "graph.with_weight(...) sets others."
        )
    source, target = graph.edge_index.cpu().numpy()
    keep = (source != target) & (weight != 0)
    shape = (graph.num_nodes, graph.num_nodes)
    adjacency = coo_array((weight[keep], (target[keep], source[keep])), shape=shape).tocsr()
    return adjacency, connected_components(adjacency, directed=False)[1].astype(np.int64)


def grounded_factor(adjacency: Any, kept: NDArray[np.bool_]) -> Any:
    """Sparse factors of the Laplacian without the rows and columns of grounded nodes: one node of each component.

    Args:
        adjacency: `[N, N]` CSR, symmetric.
        kept: `[N]`, False at grounded nodes.
    """
    degree = adjacency.sum(axis=1)[kept]
    inner = adjacency[kept][:, kept]
    place = np.arange(len(degree))
    laplacian = (coo_array((degree, (place, place)), shape=inner.shape) - inner).tocsc()
    _warn_of_fill(laplacian.tocsr())
    return splu(laplacian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def _warn_of_fill(matrix: csr_array) -> None:
    """Warn if factors within the envelope of the reverse Cuthill-McKee order do not fit; meshes fill less than that."""
    free, n = free_memory(torch.device("cpu")), len(matrix.indptr) - 1
    if free is None or 16 * n * n <= free:
        return
    place = np.empty(n, dtype=np.int64)
    place[reverse_cuthill_mckee(matrix, symmetric_mode=True)] = np.arange(n)
    at = matrix.tocoo()
    first = np.arange(n)
    np.minimum.at(first, np.maximum(place[at.row], place[at.col]), np.minimum(place[at.row], place[at.col]))
    needed = 16 * int((np.arange(n) - first).sum())
    if needed > free:
        warnings.warn(
            f"the factors of {n:,} nodes may fill up to {bytes_in_words(needed)}; {bytes_in_words(free)} are free. "
            "On graphs with hubs or without small separators, ask for a part of the graph.",
            stacklevel=5,
        )
