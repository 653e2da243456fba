"""Gaussian elimination on the matrix that products with unit states make: for small systems without structure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .solver import Cycle, LinearSolver, Prepared


@dataclass(frozen=True)
class Elimination(LinearSolver):
    """The matrix of a small operator by one product for each unit state, then LU with partial pivoting.

    For the Jacobians of systems of a few dozen unknowns: as many products as GMRES would need at most, none of its
    bookkeeping, and an accuracy that does not depend on how the unknowns are scaled. For graphs, see `GMRES` and `CG`.

    Args:
        max_unknowns: larger systems are refused.
    """

    max_unknowns: int = 256
    products_each = float("inf")

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        n = r.numel()
        if n > self.max_unknowns:
            raise ValueError(f"{self.name} got a system of {n} unknowns, max_unknowns is {self.max_unknowns}; take GMRES()")
        units = torch.eye(n, dtype=r.dtype, device=r.device)
        matrix = torch.stack([on.operator.matvec(e.view_as(r)).reshape(-1) for e in units], 1)
        d, info = torch.linalg.solve_ex(matrix, r.reshape(-1))
        if int(info):
            return Cycle(x, 1, n, claims=False, broken=True)
        return Cycle(x + d.view_as(r), 1, n, claims=True)
