"""A direct solver: sparse LU factors, made once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import linalg as splinalg
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from ..memory import bytes_in_words, free_memory
from ..operator import LinearOperator
from ..space import Space
from .factor import Factor, assembled
from .solver import Cycle, LinearSolver, Prepared


@dataclass(frozen=True)
class Direct(LinearSolver):
    """`P A Q = L U` of the assembled matrix (scipy's SuperLU, on the CPU, in double precision), then two triangular solves.

    For small systems, or for many solves with one matrix: the factors are made by `prepare` and serve for the gradient, too
    (solves with `A^H` use the same ones). On graphs with hubs or without good separators the factors fill up; from some
    10^5 nodes on CG or GMRES is better. An answer that misses the tolerance is refined.

    Reference: Demmel, Eisenstat, Gilbert, Li & Liu (1999) SIAM J. Matrix Anal. Appl. 20, 720.
    """

    products_each = float("inf")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preconditioner is not None:
            raise ValueError("Direct takes no preconditioner: its factors are exact")

    def prepare(self, A: LinearOperator, space: Space) -> Prepared:
        super().prepare(A, space)  # checks
        matrix = assembled(A)
        _warn_of_fill(matrix)
        try:
            factor = Factor(splinalg.splu(matrix), A.columnwise)
        except RuntimeError as error:
            if "singular" not in str(error):
                raise
            return Prepared(self, A, space, _singular)
        return Prepared(self, A, space, factor)

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        if on.precondition is _singular:
            return Cycle(x, 1, 0, claims=False, broken=True)
        return Cycle(x.add_(on.precondition(r)), 1, 0, claims=True)


def _warn_of_fill(matrix: sparse.csc_array) -> None:
    """Warn if factors within the envelope of the reverse Cuthill-McKee order do not fit into the free memory.

    Other orders fill less on meshes; on random graphs and on graphs with hubs none fills much less.
    """
    free, n = free_memory(torch.device("cpu")), len(matrix.indptr) - 1
    if free is None or 2 * n * n * matrix.dtype.itemsize <= free:
        return
    place = np.empty(n, dtype=np.int64)
    place[reverse_cuthill_mckee(sparse.csr_matrix(matrix), symmetric_mode=False)] = np.arange(n)
    at, columns = place[matrix.indices], place[np.repeat(np.arange(n), np.diff(matrix.indptr))]
    first = np.arange(n)
    np.minimum.at(first, np.maximum(at, columns), np.minimum(at, columns))
    needed = 2 * int((np.arange(n) - first).sum()) * matrix.dtype.itemsize
    if needed > free:
        warnings.warn(
            f"Direct: the factors of {n:,} equations may fill up to about {bytes_in_words(needed)}; {bytes_in_words(free)} are "
            "free. CG() or GMRES() need a few states.",
            stacklevel=4,
        )


def _singular(r: Tensor) -> Tensor:
    return r
