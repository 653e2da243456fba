"""Rows of personalised PageRank (graph diffusion convolution) as positions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..graph import Graph
from ..transforms.gdc import GDC, PPR
from .parts import encode_each, num_rows, require_nodes
from .spectrum import Array, leading_eigenvectors, symmetric_map


def personalized_pagerank(
    graph: Graph,
    k: int,
    *,
    alpha: float = 0.15,
    top_k: int | None = None,
    epsilon: float | None = 1e-4,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The rows of `Pi = alpha (I - (1 - alpha) S)^-1` in k coordinates, `[nodes, k]`; `S = D^-1/2 (A + I) D^-1/2`.

    Of Pi the entries stay that `GDC` keeps (`top_k` of a row, or those from `epsilon` on). The rows of what is left are
    written in their k principal components, `(I - C) Pi V_k`, with C the mean over the nodes of each component of the graph
    and V_k the leading right singular vectors of (I - C) Pi: of all maps to k coordinates the one that keeps most of the
    distances between nodes of a component (all of them for k = nodes). Isolated nodes have 0. Signs as in
    `laplacian_eigenvectors`, of V. Pi is made some rows at a time and stored sparse; see `GDC` for its cost.

    Args:
        graph: undirected, weights not negative.
        k: columns, at most the number of nodes.
        alpha: probability of going home at each step, in (0, 1].
        top_k: entries of each row that stay; then `epsilon=None`.
        epsilon: the smallest entry that stays; None for all.
        seed: of the start vectors: the same on every run.
        dtype: of the result; None for the default type.

    Raises:
        GraphError: a directed graph, negative weights, fewer than k nodes.
        ValueError: k below 1, settings that `GDC` refuses.
        MemoryError: what stays of Pi will not fit into memory; says how much it would take.

    Reference: J. Gasteiger, S. Weissenberger, S. Guennemann, Diffusion improves graph learning (2019), eq. 1; B.
        Chamberlain et al., Beltrami flow and neural diffusion on graphs (2021).
    """
    diffusion = GDC(PPR(alpha), top_k=top_k, epsilon=epsilon, renormalize=False)

    def encode(adjacency: sparse.csr_array) -> Array:
        require_nodes(adjacency, k, "personalized_pagerank")
        rows = diffusion(Graph.from_scipy(adjacency)).to_scipy().T.tocsr()  # of i over j, as of edges j -> i
        centred = _centring(adjacency)
        covariance = symmetric_map(num_rows(adjacency), lambda x: rows.T @ centred(rows @ x))
        return centred(rows @ leading_eigenvectors(covariance, k, seed)[1])

    return encode_each(graph, k, "personalized_pagerank", encode, dtype)


def _centring(adjacency: sparse.csr_array) -> Callable[[Array], Array]:
    """`x -> x` less its mean over each component of the graph, `[n]` or `[n, columns]`."""
    n = num_rows(adjacency)
    count, label = connected_components(adjacency, directed=False)
    member = sparse.csr_array((np.ones(n), (np.arange(n), label)), shape=(n, count))
    mean = sparse.dia_array((1 / member.sum(axis=0)[None], [0]), shape=(count, count)) @ member.T

    def centred(x: Array) -> Array:
        return x - member @ (mean @ x)

    return centred
