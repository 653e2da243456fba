"""What every encoding does first and last: checks, graph by graph of a batch, a tensor of the caller's type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from solvers import bytes_in_words, free_memory

from ..errors import GraphError
from ..functionals import require_variational
from ..graph import Graph
from .spectrum import Array

_BLOCK = 2**26  # bytes of the block of columns that is worked on
_KEPT = 48  # bytes of an entry: value and place, several times over while blocks are put together and made symmetric


def encode_each(
    graph: Graph, k: int, who: str, encode: Callable[[sparse.csr_array], Array], dtype: torch.dtype | None
) -> Tensor:
    """`encode(adjacency)` of each graph, `[nodes, k]`, in the order of the nodes.

    Args:
        graph: undirected, weights not negative.
        k: how many columns are wanted.
        who: asks, for messages.
        encode: from the symmetric adjacency of a graph, float64.
        dtype: of the result; None for the default type.

    Raises:
        ValueError: k below 1.
        GraphError: a directed graph, negative weights.
    """
    if k < 1:
        raise ValueError(f"k = {k}; expected the number of columns, at least 1")
    require_variational(graph, who)
    adjacency = sparse.csr_array(graph.to_scipy(), dtype=np.float64)
    adjacency.eliminate_zeros()
    batch = np.zeros(graph.num_nodes, dtype=np.int64) if graph.batch is None else graph.batch.cpu().numpy()
    out = np.zeros((graph.num_nodes, k))
    for g in range(graph.num_graphs):
        nodes = np.flatnonzero(batch == g)
        out[nodes] = encode(adjacency if len(nodes) == graph.num_nodes else sparse.csr_array(adjacency[nodes][:, nodes]))
    return torch.from_numpy(out).to(dtype=torch.get_default_dtype() if dtype is None else dtype, device=graph.device)


def num_rows(matrix: sparse.csr_array) -> int:
    """Rows of a matrix."""
    return len(matrix.indptr) - 1


def require_nodes(adjacency: sparse.csr_array, k: int, who: str) -> None:
    """Raise a `GraphError` unless a graph has at least k nodes."""
    n = num_rows(adjacency)
    if n < k:
        raise GraphError(f"{who} with k = {k} needs as many nodes; a graph has {n}")


def walk_matrix(adjacency: sparse.csr_array, loops: float = 0.0) -> tuple[sparse.csr_array, Array]:
    """`(S, d)`: `S = D^-1/2 (A + loops I) D^-1/2`, d the degrees `[n]` (loops included); rows of isolated nodes are zero.

    S is symmetric and similar to the walk's `P = D^-1 A`: `P^r = D^-1/2 S^r D^1/2`.
    """
    n = num_rows(adjacency)
    a = adjacency + loops * sparse.eye_array(n, format="csr") if loops else adjacency
    degree = np.asarray(a.sum(axis=1)).reshape(-1)
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros(n), where=degree > 0)
    scale = sparse.dia_array((root[None], [0]), shape=(n, n))
    return sparse.csr_array(scale @ a @ scale), degree


def in_blocks(n: int, columns: Callable[[Array], Array], who: str) -> sparse.csr_array:
    """An n x n matrix made some columns at a time and stored sparse; its memory is estimated while it grows.

    Args:
        n: nodes.
        columns: from some columns of the identity, `[n, b]`, to those columns of the matrix.
        who: asks, for messages.

    Raises:
        MemoryError: what is not zero will not fit into memory.
    """
    width = int(np.clip(_BLOCK // (8 * n), 1, n))
    free, parts, entries = free_memory(torch.device("cpu")), [], 0
    for start in range(0, n, width):
        unit = np.zeros((n, min(width, n - start)))
        unit[np.arange(start, start + unit.shape[1]), np.arange(unit.shape[1])] = 1.0
        parts.append(sparse.csc_array(columns(unit)))
        entries += parts[-1].nnz
        need = _KEPT * entries * n / (start + unit.shape[1])
        if free is not None and need > 0.8 * free:
            raise MemoryError(
                f"the matrix of {who} on {n:,} nodes would keep about {entries / (start + unit.shape[1]):,.0f} entries a row, "
                f"{bytes_in_words(need)} in all; {bytes_in_words(free)} are free. Take fewer steps, which reach fewer nodes."
            )
    return sparse.csr_array(sparse.hstack(parts))
