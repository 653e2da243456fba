"""The preconditioner of the systems of collocation methods: all stages of a node at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..shifted import Shifted
from ..stacked import StackedOperator
from .preconditioners import Apply, Preconditioner


@dataclass(frozen=True)
class StageBlocks(Preconditioner):
    """`M = (a I + b A (x) diag(L))^-1` for `a I + b A (x) L`: a matrix of stages by stages for every node.

    What Jacobi's preconditioner is to `a I + b L`: it pays where the diagonal of L is uneven, as on graphs with hubs.

    Reference: C. G. J. Jacobi (1845); Saad (2003) Iterative Methods for Sparse Linear Systems, 12.2 (block Jacobi).
    """

    symmetric = False

    def prepare(self, A: LinearOperator) -> Apply:
        inner = A.operator if isinstance(A, Shifted) else None
        d = inner.operator.diagonal() if isinstance(inner, StackedOperator) else None
        if not isinstance(A, Shifted) or not isinstance(inner, StackedOperator) or d is None:
            raise ValueError(
                f"StageBlocks needs the system of a collocation method with an operator that knows its diagonal; got "
                f"{type(A).__name__}; take preconditioner=None"
            )
        with torch.no_grad():
            stages = inner.a.to(d.dtype)
            unit = torch.eye(len(stages), dtype=d.dtype, device=d.device)
            blocks = torch.linalg.inv(A.a * unit + (A.b * d.detach())[:, None, None] * stages)

        def apply(r: Tensor) -> Tensor:
            return torch.einsum("nij,jn->in" if inner.flat else "nij,j...nc->i...nc", blocks, r)

        return apply
