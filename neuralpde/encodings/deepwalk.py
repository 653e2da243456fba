"""DeepWalk in closed form: the matrix that skip-gram on random walks factorises, factorised."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator
from torch import Tensor

from ..graph import Graph
from .parts import encode_each, in_blocks, require_nodes, walk_matrix
from .spectrum import Array, leading_eigenvectors


def deepwalk(
    graph: Graph,
    k: int,
    *,
    window: int = 10,
    negative: float = 1.0,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`U_k sqrt(Sigma_k)` of the matrix that DeepWalk factorises in the limit of many walks, `[nodes, k]`:

        M = log max(1, vol / (b T) (P + P^2 + ... + P^T) D^-1),     P = D^-1 A,  vol = sum of the degrees

    M_ij is how much more often j is seen within T steps of i than by chance, in logarithms, where that is more often. M is
    symmetric: U are its eigenvectors, Sigma the magnitudes of the eigenvalues, of the k largest magnitudes. Signs as in
    `laplacian_eigenvectors`. No walk is drawn. M is made some columns at a time and stored sparse.

    Args:
        graph: undirected, weights not negative.
        k: columns, at most the number of nodes.
        window: T, steps.
        negative: b, negative samples of skip-gram.
        seed: of the start vector of the iteration: the same on every run.
        dtype: of the result; None for the default type.

    Raises:
        GraphError: a directed graph, negative weights, fewer than k nodes.
        ValueError: k or window below 1, negative not positive.
        MemoryError: M will not fit into memory; says how much it would take.

    Reference: B. Perozzi, R. Al-Rfou, S. Skiena, DeepWalk (2014); J. Qiu et al., Network embedding as matrix factorization
        (2018), theorem 2.3 and algorithm 3 (NetMF).
    """
    if window < 1 or not negative > 0:
        raise ValueError(f"window = {window}, negative = {negative}; expected at least one step and a positive number")

    def encode(adjacency: sparse.csr_array) -> Array:
        require_nodes(adjacency, k, "deepwalk")
        step, degree = walk_matrix(adjacency)
        root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
        factor = degree.sum() / (negative * window)

        def logarithms(unit: Array) -> Array:
            x, total = unit, np.zeros_like(unit)
            for _ in range(window):
                x = step @ x
                total += x
            ratio = factor * root[:, None] * total * (root @ unit)
            return np.log(np.maximum(ratio, 1.0))

        matrix = in_blocks(len(degree), logarithms, "deepwalk")
        matrix = (matrix + matrix.T) / 2  # symmetric up to rounding
        values, vectors = leading_eigenvectors(aslinearoperator(matrix), k, seed)
        return vectors * np.sqrt(np.abs(values))

    return encode_each(graph, k, "deepwalk", encode, dtype)
