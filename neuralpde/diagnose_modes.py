"""The slowest modes of linear dynamics that are too large for dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigs, eigsh
from torch import Tensor

from solvers import LinearOperator

_MODES = 4  # beyond those at rest, one for each component
_MOST_AT_REST = 200
_LARGEST = 200_000  # rows: beyond, the iteration takes minutes
_AT_REST = 1e-7  # of the largest row sum


def slowest_modes(operator: LinearOperator) -> Tensor | None:
    """Real parts of the eigenvalues s != 0 of largest real part, of `y' = A y`, falling; None where they are not found.

    By Arnoldi (Lanczos) iteration on the sparse matrix; every connected component of a flow that rests on constants (or
    another vector) has one eigenvalue 0.

    Args:
        operator: A, square, the same for all channels.
    """
    n = operator.shape[0]
    if n > _LARGEST:
        return None
    matrix: Any = operator.to_scipy().astype(np.float64)
    count = int(connected_components(matrix, directed=False, return_labels=False)) + _MODES
    if count > min(_MOST_AT_REST, n - 2):
        return None
    start = np.random.default_rng(0).standard_normal(n)
    width = min(n - 1, max(4 * count, 80))
    found: Any
    try:
        if operator.symmetric:
            found = eigsh(matrix, count, which="LA", v0=start, ncv=width, return_eigenvectors=False)
        else:
            found = eigs(matrix, count, which="LR", v0=start, ncv=width, return_eigenvectors=False)
    except ArpackNoConvergence:
        return None
    scale = float(abs(matrix).sum(axis=1).max())
    moving = np.sort(found[np.abs(found) > _AT_REST * scale].real)[::-1]
    return torch.as_tensor(moving.copy()) if len(moving) else None
