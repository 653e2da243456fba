"""The exact flow of a symmetric linear field, by Chebyshev's expansion of the exponential."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..errors import IntegrationError
from ..linear.phi import exponential, integral
from ..linear.recurrence import polynomials
from ..linear.series import chebyshev_series
from ..protocols import LinearFlow, Problem, Work
from .exact_flow import ExactFlow

_SHARE = 0.2  # of the tolerance: some 6 % more products; gradients to the operator multiply what is cut off by t A


@dataclass(frozen=True)
class ChebyshevExp(ExactFlow):
    """`exp(t A) y = e^{t c} sum_k (2 - [k = 0]) I_k(t r) T_k((A - c) / r) y`, A symmetric with spectrum in [c - r, c + r].

    Exact to the tolerance for any step (order: infinite). The degree is known before the first product, about
    `sqrt(2 t r ln(1 / rtol))` for `t r >> 1`: products grow with the root of the largest eigenvalue. All output times come
    from one recurrence. Gradients to the state, the operator's tensors and the source by the recurrence run backwards, in
    the memory of a few states. The operator must state bounds that hold; a float32 state reaches about 1e-4 at t r = 1e4.

    Reference: Tal-Ezer & Kosloff (1984) J. Chem. Phys. 81, 3967; Bergamaschi & Vianello (2000).
    """

    real_stability = float("inf")

    def states(self, problem: Problem, flow: LinearFlow, spans: Sequence[float], y: Tensor) -> tuple[Tensor, Work]:
        A = flow.operator
        bounds = A.bounds()
        if not (A.symmetric and A.columnwise and all(map(math.isfinite, bounds))):
            raise ValueError(
                f"ChebyshevExp needs a symmetric operator with finite bounds(); {type(A).__name__} is "
                f"{'' if A.symmetric else 'not '}marked symmetric and has bounds {bounds}. "
                "Take uniformization (no negative entry off the diagonal) or krylov_exp (any operator)"
            )
        if (growth := max(t * b for t in spans for b in bounds)) > 700.0:
            raise IntegrationError(f"ChebyshevExp: this flow may grow by a factor of exp({growth:.4g})", "nonfinite")
        functions, vectors = [[exponential(t) for t in spans]], [y]
        if flow.source is not None:
            functions.append([integral(t) for t in spans])
            vectors.append(flow.source.expand_as(y))
        series = chebyshev_series(functions, bounds, _SHARE * problem.rtol, spans)
        return polynomials(A, series, vectors), Work(products=series.degree)
