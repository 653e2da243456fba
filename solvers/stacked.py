"""Several states as one: the field, the operators and the reductions of a system of stages.

The copies lie on a new first axis, `[s, *state]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .operator import LinearOperator
from .protocols import Problem
from .space import Space


@dataclass(frozen=True, eq=False)
class StackedField:
    """`F(Y)_i = sum_j a_ij f(t + c_j dt, Y_j)`, for stages `Y` of shape `[s, *state]`."""

    problem: Problem
    a: Tensor
    times: tuple[float, ...]

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        slopes = torch.stack([self.problem.f(at, part) for at, part in zip(self.times, y.unbind(0), strict=True)])
        return torch.tensordot(self.a, slopes, 1)


@dataclass(frozen=True, eq=False)
class StackedOperator(LinearOperator):
    """`A (x) L` on stacked states, `[s, *state]`: one product with L for all stages.

    Args:
        operator: L.
        a: A, `[s, s]`.
        flat: whether a state is one column, `[n]`.
    """

    operator: LinearOperator
    a: Tensor
    flat: bool = False
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.operator.shape[0] * len(self.a), self.operator.shape[1] * len(self.a)

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.operator.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.operator.device

    def matvec(self, x: Tensor) -> Tensor:
        product = self.operator.matvec(x.unsqueeze(-1)).squeeze(-1) if self.flat else self.operator.matvec(x)
        return torch.tensordot(self.a, product, 1)

    @property
    def adjoint(self) -> LinearOperator:
        return StackedOperator(self.operator.adjoint, self.a.mH, self.flat)


@dataclass(frozen=True, eq=False)
class StackedSpace(Space):
    """Reductions over stacked states: those of the stages, together."""

    inner: Space

    @property
    def groups(self) -> int:  # type: ignore[override]
        return self.inner.groups

    def total(self, x: Tensor) -> Tensor:
        return torch.stack([self.inner.total(part) for part in x.unbind(0)]).sum(0)

    def max(self, x: Tensor) -> Tensor:
        return torch.stack([self.inner.max(part) for part in x.unbind(0)]).amax(0)

    def size(self, x: Tensor) -> Tensor | int:
        return self.inner.size(x[0]) * len(x)

    def spread(self, c: Tensor, like: Tensor) -> Tensor:
        return self.inner.spread(c, like[0])

    def dot(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        parts = [(p, q) for a, b in pairs for p, q in zip(a.unbind(0), b.unbind(0), strict=True)]
        return self.inner.dot(parts).unflatten(0, (len(pairs), -1)).sum(1)

    def rms(self, x: Tensor) -> Tensor:
        """The largest over the stages."""
        return torch.stack([self.inner.rms(part) for part in x.unbind(0)]).amax(0)
