"""Preconditioners: cheap approximations of `A^-1` that a Krylov method applies to every residual."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy.sparse import linalg as splinalg
from torch import Tensor

from ..operator import LinearOperator
from ..resolve import unknown
from ..space import Space
from .factor import Factor, assembled

Apply = Callable[[Tensor], Tensor]

_UNEVEN = 4.0  # largest over mean diagonal entry, above which Jacobi's preconditioner pays


class Preconditioner(ABC):
    """Makes, for one operator, the map `r -> M r` with `M` close to `A^-1`."""

    symmetric: ClassVar[bool] = True  # M is symmetric positive definite if A is

    @abstractmethod
    def prepare(self, A: LinearOperator) -> Apply:
        """The map for this operator."""

    def hops(self, A: LinearOperator) -> float:
        """How far M sees along the edges."""
        return 0.0


@dataclass(frozen=True)
class Jacobi(Preconditioner):
    """`M = diag(A)^-1`; rows whose diagonal is zero are left as they are.

    It pays where the diagonal is uneven (hubs, strongly varying coefficients) and costs iterations where it is not.

    Reference: C. G. J. Jacobi (1845); Saad (2003) Iterative Methods for Sparse Linear Systems, 10.2.
    """

    def prepare(self, A: LinearOperator) -> Apply:
        with torch.no_grad():
            d = A.diagonal()
            if d is None:
                raise ValueError(
                    f"Jacobi needs the operator's diagonal, which {type(A).__name__} does not know; "
                    "use preconditioner=None, or give the operator a diagonal()"
                )
            inverse = torch.where(d == 0, torch.ones_like(d), d).reciprocal()
        column = inverse.unsqueeze(-1)
        return lambda r: r * (inverse if r.dim() == 1 else column)


@dataclass(frozen=True)
class ChebyshevPolynomial(Preconditioner):
    """`M = p(A)`: so many steps of Chebyshev's iteration on the upper part `[hi / ratio, hi]` of the spectrum.

    For symmetric positive definite operators with a finite upper bound: no inner products, and M is symmetric positive
    definite too. It trades reductions for products: iterations fall by about the degree.

    Args:
        degree: products in an application.
        ratio: of the upper to the lower end of the part that is damped.

    Reference: Rutishauser (1959); Saad (2003) 12.3; Adams, Brezina, Hu & Tuminaro (2003).
    """

    degree: int = 4
    ratio: float = 30.0

    def __post_init__(self) -> None:
        if self.degree < 1 or not self.ratio > 1:
            raise ValueError(f"degree = {self.degree}, ratio = {self.ratio}; expected at least 1, and more than 1")

    def prepare(self, A: LinearOperator) -> Apply:
        lo, hi = A.bounds()
        if not A.symmetric or not 0 < hi < math.inf:
            raise ValueError(
                "ChebyshevPolynomial needs a symmetric positive definite operator with a finite upper bound; "
                f"{type(A).__name__} is {'' if A.symmetric else 'not '}marked symmetric and has bounds ({lo:.4g}, {hi:.4g}); "
                "take 'jacobi' or 'ilu'"
            )
        lo = max(lo, hi / self.ratio)
        return lambda r: chebyshev_steps(A, r, lo, hi, self.degree + 1)[0]

    def hops(self, A: LinearOperator) -> float:
        return self.degree * A.hops


def chebyshev_steps(A: LinearOperator, r: Tensor, lo: float, hi: float, count: int) -> tuple[Tensor, Tensor]:
    """What `count` steps of Chebyshev's iteration for `A d = r` on `[lo, hi]` make of d = 0: d, and the last move.

        theta = (hi + lo) / 2, delta = (hi - lo) / 2,  m_1 = r / theta,  d += m,  r -= A m,
        m = rho' rho m + (2 rho' / delta) r,   rho' = 1 / (2 theta / delta - rho)

    Costs `count - 1` products.
    """
    theta, delta = (hi + lo) / 2, max((hi - lo) / 2, 1e-9 * hi)
    rho, move = delta / theta, r / theta
    d, r = move.clone(), r.clone()
    for _ in range(count - 1):
        r.sub_(A.matvec(move))
        following = 1.0 / (2 * theta / delta - rho)
        move = torch.add(move * (following * rho), r, alpha=2 * following / delta)
        rho = following
        d.add_(move)
    return d, move


@dataclass(frozen=True)
class IncompleteLU(Preconditioner):
    """`M = (L U)^-1` with incomplete factors of the assembled matrix (scipy's `spilu`, on the CPU, in double precision).

    Not symmetric, whatever A is: for GMRES and BiCGStab. The adjoint system uses the same factors.

    Args:
        drop: entries below this share of their column are dropped.
        fill: largest number of entries in the factors, over that of the matrix.

    Reference: Li & Shao (2011) ACM TOMS 37, 43 (SuperLU's ILUTP).
    """

    drop: float = 1e-4
    fill: float = 10.0
    symmetric = False

    def prepare(self, A: LinearOperator) -> Apply:
        matrix = assembled(A)
        try:
            return Factor(splinalg.spilu(matrix, drop_tol=self.drop, fill_factor=self.fill), A.columnwise)
        except RuntimeError as error:
            raise ValueError(f"no incomplete factors of {type(A).__name__}: {error}; take another preconditioner") from error

    def hops(self, A: LinearOperator) -> float:
        return math.inf


_NAMED: dict[str, Preconditioner] = {"jacobi": Jacobi(), "chebyshev": ChebyshevPolynomial(), "ilu": IncompleteLU()}


def preconditioner_named(choice: str | Preconditioner | None) -> Preconditioner | None:
    """A preconditioner from its name; an object, or None, is returned as it is."""
    if choice is None or isinstance(choice, Preconditioner):
        return choice
    if not isinstance(choice, str):
        raise TypeError(
            f"preconditioner is a {type(choice).__name__}; expected None, a name such as 'jacobi' or a Preconditioner such "
            "as Jacobi()"
        )
    if choice not in _NAMED:
        raise unknown("preconditioner", choice, _NAMED)
    return _NAMED[choice]


def chosen_by_diagonal(A: LinearOperator, space: Space) -> Preconditioner | None:
    """Jacobi where the largest diagonal entry is over four times the mean one, else none."""
    with torch.no_grad():
        d = A.diagonal()
        if d is None or d.numel() == 0:
            return None
        size = d.abs()
        uneven = (space.max(size) > _UNEVEN * space.total(size) / space.size(size)).any()
        return Jacobi() if bool(uneven) else None
