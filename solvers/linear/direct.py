"""A direct solver: sparse LU factors, made once."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.sparse import linalg as splinalg
from torch import Tensor

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
        try:
            factor = Factor(splinalg.splu(assembled(A)), A.columnwise)
        except RuntimeError as error:
            if "singular" not in str(error):
                raise
            return Prepared(self, A, space, _singular)
        return Prepared(self, A, space, factor)

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        if on.precondition is _singular:
            return Cycle(x, 1, 0, claims=False, broken=True)
        return Cycle(x.add_(on.precondition(r)), 1, 0, claims=True)


def _singular(r: Tensor) -> Tensor:
    return r
