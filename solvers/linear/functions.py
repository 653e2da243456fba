"""Sums of functions of an operator applied to vectors: Chebyshev series where the spectrum is known, else Krylov spaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..space import Space
from .krylov import krylov_basis, krylov_functions, largest_ratio
from .phi import PhiSum
from .recurrence import polynomials
from .series import chebyshev_series

_LARGEST = 700.0  # logarithm of the growth that double precision can hold


@dataclass(frozen=True, eq=False)
class Applied:
    """What `matrix_functions` computed.

    Attributes:
        y: `[outputs, *state]`.
        products: products with the operator.
        message: empty if the tolerance is met, else what went wrong.
    """

    y: Tensor
    products: int
    message: str = ""


def matrix_functions(
    A: LinearOperator,
    space: Space,
    functions: Sequence[Sequence[PhiSum]],
    vectors: Sequence[Tensor],
    *,
    rtol: float,
    tolerance: Tensor,
    most: int = 64,
    record: LinearOperator | None = None,
) -> Applied:
    """`y_i = sum_b f_{b,i}(A) v_b`; gradients flow to the vectors and to what A holds.

    Args:
        A: any operator; symmetric ones with finite bounds are expanded in Chebyshev polynomials, one recurrence for all.
        functions: `[blocks][outputs]`; `PhiSum(())` is zero.
        vectors: one state for each block.
        rtol: where a Chebyshev series is cut off, relative to its vector.
        tolerance: of the error of a Krylov approximation, `[groups]`.
        most: largest dimension of a Krylov space.
        record: the same operator, faster, for what needs no gradient.
    """
    bounds = A.bounds()
    if A.symmetric and A.columnwise and all(map(math.isfinite, bounds)):
        scales = [c for block in functions for f in block for _, _, c in f.terms]
        if (growth := max((c * b for c in scales for b in bounds), default=0.0)) > _LARGEST:
            return Applied(torch.stack([v.detach() for v in vectors[:1]]), 0, f"the flow may grow by exp({growth:.4g})")
        series = chebyshev_series(functions, bounds, rtol)
        return Applied(polynomials(A, series, vectors), series.degree)
    outputs: list[Tensor | float] = [0.0] * len(functions[0])
    products, message = 0, ""
    for block, v in zip(functions, vectors, strict=True):
        wanted = [i for i, f in enumerate(block) if f.terms]
        hardest = max((block[i] for i in wanted), key=lambda f: max(abs(c) for _, _, c in f.terms))
        basis = krylov_basis(record or A, v, space, hardest, tolerance, most)
        products += len(basis.vectors) - 1
        error = torch.stack([basis.error(block[i]) for i in wanted])
        if largest_ratio(error, 10 * tolerance.double().cpu()) > 1 and not basis.is_invariant:
            message = f"a Krylov space of dimension {most} leaves an error of {float(error.amax()):.1e}"
        found = krylov_functions(A, space, [block[i] for i in wanted], v, basis, rtol, most)
        for i, part in zip(wanted, found, strict=True):
            outputs[i] = outputs[i] + part
    return Applied(torch.stack([o for o in outputs if isinstance(o, Tensor)]), products, message)
