"""Laplacian eigenvectors as positions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..errors import GraphError
from ..graph import Graph
from .parts import encode_each, walk_matrix
from .spectrum import Array, leading_eigenvectors, symmetric_map


def laplacian_eigenvectors(graph: Graph, k: int, *, seed: int = 0, dtype: torch.dtype | None = None) -> Tensor:
    """Eigenvectors of `L = I - D^-1/2 A D^-1/2` for its k smallest eigenvalues above 0, from smooth to rough, `[nodes, k]`.

    The kernel is left out: it is spanned by sqrt(d) on each component and tells nothing but the component. Each vector has
    length one, and its entry of largest magnitude is positive (of equal ones, the first): an eigenvector has no sign of its
    own, so this is a convention, not information. Of an eigenvalue that repeats, the vectors are some orthonormal basis. An
    eigenvector lives on one component where eigenvalues differ, the others then have 0. Isolated nodes have 0. The graphs of
    a batch are treated one by one.

    Lanczos iteration on I - L, the kernel taken out exactly; slow where many small eigenvalues lie close together.

    Args:
        graph: undirected, weights not negative.
        k: columns, at most nodes - components.
        seed: of the start vectors: the same on every run.
        dtype: of the result; None for the default type.

    Raises:
        GraphError: a directed graph, negative weights, a graph with fewer such eigenvectors.
        ValueError: k below 1, an iteration that does not converge.

    Reference: V. P. Dwivedi, X. Bresson, A generalization of transformer networks to graphs (2021).
    """

    def encode(adjacency: sparse.csr_array) -> Array:
        step, degree = walk_matrix(adjacency)
        count, label = connected_components(adjacency, directed=False)
        n, kernel = len(degree), _kernel(count, label, degree)
        if k > n - count:
            raise GraphError(f"laplacian_eigenvectors with k = {k}; {n} nodes in {count} components have {n - count}")

        def shifted(x: Array) -> Array:
            x = x - kernel @ (kernel.T @ x)
            return step @ x + 2 * x  # 3 - lambda >= 1: the smoothest are the largest, and the kernel, now at 0, the least

        return leading_eigenvectors(symmetric_map(n, shifted), k, seed)[1]

    return encode_each(graph, k, "laplacian_eigenvectors", encode, dtype)


def _kernel(count: int, label: NDArray[np.integer], degree: Array) -> sparse.csr_array:
    """An orthonormal basis of the kernel of L, one column per component, `[n, components]`: sqrt(d), 1 on isolated nodes."""
    root = np.sqrt(np.where(degree > 0, degree, 1.0))
    length = np.sqrt(np.bincount(label, root * root, count))
    return sparse.csr_array((root / length[label], (np.arange(len(label)), label)), shape=(len(label), count))
