"""Steps of the recurrences of polynomials of an operator, up and down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..operator import LinearOperator, Scaled
from .blocks import with_source
from .pattern import Pattern
from .series import Series
from .sparse import SparseOperator

_WORTH = 4  # products, from which on it pays to make the matrix X


class Walk:
    """The recurrence `v_{k+1} = X v_k`, or `2 X v_k - v_{k-1}`; a sparse A makes room for X itself: one product a step."""

    def __init__(self, A: LinearOperator, series: Series):
        self.scale, self.base = unscaled(A)
        self.series = series
        twice = 1.0 if series.powers else 2.0
        gain, shift = twice * self.scale / series.radius, -twice * series.centre / series.radius
        fits = isinstance(self.base, SparseOperator) and series.degree >= _WORTH
        self.folded = self.base.affine(gain, shift) if fits else None  # X, or 2 X  # type: ignore[union-attr]

    @property
    def pattern(self) -> Pattern:
        """Of the sparse matrix."""
        return self.base.pattern  # type: ignore[attr-defined]

    def is_sparse(self, held: list[Tensor], vectors: list[Tensor]) -> bool:
        """Whether this walks with a real sparse matrix, whose entries are all of `held`, over states of one or two axes."""
        if self.folded is None or len(held) != 1 or held[0] is not self.base.values:  # type: ignore[attr-defined]
            return False
        return not any(x.is_complex() for x in (*held, *vectors)) and vectors[0].dim() <= 2

    def twice(self, k: int) -> float:
        """The factor of X in step k."""
        return 1.0 if self.series.powers or k == 0 else 2.0

    def on(self, k: int, v: Tensor, before: Tensor, reuse: bool = False) -> Tensor:
        """v_{k+1}; with `reuse`, in the memory of v_{k-1}."""
        if self.folded is None:
            return self.after(k, self.base.matvec(v), v, before, self.scale, reuse)
        return self._step(self.folded, k, v, None if self.series.powers or k == 0 else before, reuse)

    def _step(self, folded: SparseOperator, k: int, v: Tensor, before: Tensor | None, reuse: bool) -> Tensor:
        """`X v`, less `before`: twice the product for Chebyshev beyond k = 0."""
        image = folded.matvec(v)
        if k == 0 and not self.series.powers:
            image = image.mul_(0.5)
        return image if before is None else torch.sub(image, before, out=before if reuse else image)

    def down(
        self,
        k: int,
        one: Tensor,
        two: Tensor | None,
        g: Tensor | Sequence[Tensor],
        like: Sequence[Tensor],
    ) -> Tensor:
        """l_k from l_{k+1} and l_{k+2} if this walks with the adjoint; in the memory of the latter, if it counts."""
        two = None if self.series.powers else two
        if self.folded is None:
            return downwards(self.series, k, self.base.matvec(one), one, two, g, like, self.scale)
        return with_source(self._step(self.folded, k, one, two, True), self.series, k, g, like)

    def after(self, k: int, image: Tensor, v: Tensor, before: Tensor, scale: float = 1.0, reuse: bool = False) -> Tensor:
        """v_{k+1} from the product `image = A v_k / scale`."""
        s = self.series
        twice = self.twice(k)
        gain, shift = twice * scale / s.radius, -twice * s.centre / s.radius
        if twice == 1.0:
            return torch.add(image * gain, v, alpha=shift)
        start = before.neg_() if reuse else before.neg()
        return start.add_(image, alpha=gain).add_(v, alpha=shift)


def unscaled(A: LinearOperator) -> tuple[float, LinearOperator]:
    """`A = c B` with a number c: the products are then made with B, and c joins the other factors."""
    scale: Any = 1.0
    base = A
    while isinstance(base, Scaled):
        scale = scale * (base.scale.detach().item() if isinstance(base.scale, Tensor) else base.scale)
        base = base.operator
    return (scale, base) if not isinstance(scale, complex) else (1.0, A)


def downwards(
    series: Series,
    k: int,
    image: Tensor,
    one: Tensor,
    two: Tensor | None,
    g: Tensor | Sequence[Tensor],
    like: Sequence[Tensor],
    scale: float = 1.0,
) -> Tensor:
    """l_k from `image = A^H l_{k+1} / scale`, l_{k+1} and l_{k+2}, in the memory of the last, which is overwritten."""
    twice = 1.0 if series.powers or k == 0 else 2.0
    gain, shift = twice * scale / series.radius, -twice * series.centre / series.radius
    new = image * gain if two is None else two.neg_().add_(image, alpha=gain)
    return with_source(new.add_(one, alpha=shift), series, k, g, like)
