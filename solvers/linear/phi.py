"""The functions of exponential integrators, for numbers and for small matrices.

    phi_0(z) = exp z,   phi_{k+1}(z) = (phi_k(z) - 1/k!) / z,   phi_k(0) = 1/k!

`sum_k h^k phi_k(h A) b_k` solves `y' = A y + sum_{k>0} t^{k-1}/(k-1)! b_k`, `y(0) = b_0`, at `t = h`.

Reference: Hochbruck & Ostermann (2010) Acta Numerica 19, 209; the doubling formula: Berland, Skaflestad & Wright (2007).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_TERMS = 24  # of the Taylor series, for |z| <= 1


@dataclass(frozen=True)
class PhiSum:
    """`f(z) = sum_j w_j phi_{k_j}(c_j z)`.

    Args:
        terms: triples `(w_j, k_j, c_j)`: weight, index from 0 to 4, scale.
    """

    terms: tuple[tuple[float, int, float], ...]

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """The values at real numbers."""
        return sum((w * phi(k, c * z) for w, k, c in self.terms), np.zeros_like(z))

    def of_matrix(self, matrix: Tensor) -> Tensor:
        """`f(H)` for `H` of shape `[..., m, m]`."""
        out = torch.zeros_like(matrix)
        for scale in sorted({c for _, _, c in self.terms}):
            found = phi_of_matrix(max(k for _, k, c in self.terms if c == scale), scale * matrix)
            for w, k, c in self.terms:
                if c == scale:
                    out = out + w * found[k]
        return out


def exponential(t: float) -> PhiSum:
    """`f(z) = exp(t z)`: what a linear flow does to the state."""
    return PhiSum(((1.0, 0, t),))


def integral(t: float) -> PhiSum:
    """`f(z) = t phi_1(t z)`: what a linear flow makes of a constant source."""
    return PhiSum(((t, 1, t),))


def phi(k: int, z: np.ndarray) -> np.ndarray:
    """`phi_k` at real numbers, to rounding."""
    small = np.abs(z) <= 1.0
    safe = np.where(small, 1.0, z)
    far = np.exp(np.where(small, 0.0, z))
    for j in range(k):
        far = (far - 1 / math.factorial(j)) / safe
    near, inner = np.zeros_like(z), np.where(small, z, 0.0)
    for j in reversed(range(_TERMS)):
        near = near * inner + 1 / math.factorial(j + k)
    return np.where(small, near, far)


def phi_of_matrix(order: int, matrix: Tensor) -> list[Tensor]:
    """`phi_0(H) .. phi_order(H)` for `H` of shape `[..., m, m]`.

    Taylor's series at `H / 2^s`, then s times `phi_k(2z) = 2^-k (phi_0 phi_k + sum_{j=1..k} phi_j / (k - j)!)(z)`.
    """
    if order == 0:
        return [torch.linalg.matrix_exp(matrix)]
    size = float(torch.linalg.matrix_norm(matrix, 1).amax()) if matrix.numel() else 0.0
    doublings = max(0, math.ceil(math.log2(size)) + 1) if math.isfinite(size) and size > 0.5 else 0
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
    scaled = matrix / 2.0**doublings
    top = torch.zeros_like(matrix)
    for j in reversed(range(_TERMS)):
        top = scaled @ top + unit * (1.0 / math.factorial(j + order))
    found = [top]
    for k in reversed(range(order)):
        found.insert(0, scaled @ found[0] + unit * (1.0 / math.factorial(k)))
    for _ in range(doublings):
        found = [_doubled(k, found) for k in range(order + 1)]
    return found


def _doubled(k: int, found: list[Tensor]) -> Tensor:
    out = found[0] @ found[k]
    for j in range(1, k + 1):
        out = out + found[j] / math.factorial(k - j)
    return out / 2.0**k
