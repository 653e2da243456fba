"""Preconditioners: cheap approximations of `A^-1` that a Krylov method applies to every residual."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..resolve import unknown
from ..space import Space

Apply = Callable[[Tensor], Tensor]

_UNEVEN = 4.0  # largest over mean diagonal entry, above which Jacobi's preconditioner pays


class Preconditioner(ABC):
    """Makes, for one operator, the map `r -> M r` with `M` close to `A^-1`."""

    @abstractmethod
    def prepare(self, A: LinearOperator) -> Apply:
        """The map for this operator."""


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


_NAMED: dict[str, Preconditioner] = {"jacobi": Jacobi()}


def preconditioner_named(choice: str | Preconditioner | None) -> Preconditioner | None:
    """A preconditioner from its name; an object, or None, is returned as it is."""
    if choice is None or isinstance(choice, Preconditioner):
        return choice
    if not isinstance(choice, str):
        raise TypeError(f"preconditioner is a {type(choice).__name__}; expected None, 'jacobi' or Jacobi()")
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
