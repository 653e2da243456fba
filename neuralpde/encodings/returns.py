"""Return probabilities of the random walk as an encoding of a node's surroundings."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ..graph import Graph
from .parts import encode_each, num_rows, walk_matrix
from .spectrum import Array

_BLOCK = 2**25  # bytes of the block of columns that is worked on


def random_walk_returns(graph: Graph, k: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """`p_i^(r) = (P^r)_ii`, r = 1 ... k, `[nodes, k]`: that a walk is back after r steps, `P = D^-1 A`.

    Nothing is drawn: the powers are exact, `(P^(a+b))_ii = <S^a e_i, S^b e_i>` with `S = D^-1/2 A D^-1/2`, some nodes at a
    time, in k / 2 products of the graph with each. Equivariant without ties or signs. 0 for isolated nodes.

    Args:
        graph: undirected, weights not negative.
        k: steps.
        dtype: of the result; None for the default type.

    Raises:
        GraphError: a directed graph, negative weights.
        ValueError: k below 1.

    Reference: V. P. Dwivedi, A. T. Luu, T. Laurent, Y. Bengio, X. Bresson, Graph neural networks with learnable structural
        and positional representations (2022).
    """

    def encode(adjacency: sparse.csr_array) -> Array:
        step, n = walk_matrix(adjacency)[0], num_rows(adjacency)
        out, width = np.zeros((n, k)), int(np.clip(_BLOCK // (8 * max(n, 1)), 1, max(n, 1)))
        for start in range(0, n, width):
            nodes = np.arange(start, min(start + width, n))
            last = np.zeros((n, len(nodes)))
            last[nodes, nodes - start] = 1.0
            for power in range(1, k + 1, 2):  # `last` is S^((power - 1) / 2)
                new = step @ last
                out[nodes, power - 1] = np.einsum("ij,ij->j", last, new)
                if power < k:
                    out[nodes, power] = np.einsum("ij,ij->j", new, new)
                last = new
        return out

    return encode_each(graph, k, "random_walk_returns", encode, dtype)
