"""Exact heat on a graph in double precision, on a few channels, by scipy: what errors are measured against."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import expm_multiply
from torch import Tensor

from neuralpde.operators import Laplacian

from .graphs import Sample

CHANNELS = 4  # the flow acts on every channel alike
DENSE_BELOW = 4_000  # nodes: beyond it expm_multiply, whose cost grows with lambda_max t


def exact_heat(sample: Sample, normalization: Literal["none", "sym"], t: float, seed: int = 0) -> Tensor:
    """`exp(-t L) u0` on the first channels, float64, `[nodes, CHANNELS]`."""
    matrix = Laplacian(sample.graph, normalization, dtype=torch.float64).matrix.to_scipy()
    u0 = sample.state(seed)[:, :CHANNELS].double().numpy()
    if t * float(abs(matrix).sum(0).max()) < 1000 or sample.graph.num_nodes > DENSE_BELOW:
        return torch.from_numpy(expm_multiply(-t * sparse.csr_matrix(matrix), u0))
    values, vectors = np.linalg.eigh(matrix.toarray())
    return torch.from_numpy(vectors @ (np.exp(-t * values.clip(0))[:, None] * (vectors.T @ u0)))


def relative_error(found: Tensor, exact: Tensor) -> float:
    """The distance of the first channels from the exact ones, relative to them, in the Euclidean norm."""
    return float((found[:, : exact.shape[1]].double() - exact).norm() / exact.norm())
