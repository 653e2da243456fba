"""The exact flow of a linear field that keeps signs, by uniformisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import IntegrationError
from ..linear.recurrence import polynomials
from ..linear.series import poisson_series
from ..operator import LinearOperator
from ..protocols import LinearFlow, Problem, Work
from .exact_flow import ExactFlow


@dataclass(frozen=True)
class Uniformization(ExactFlow):
    """`exp(t A) y = sum_k e^{-q t} (q t)^k / k! P^k y`, `P = I + A / q >= 0`, for A without negative entries off the diagonal.

    q is the largest exit rate `-a_ii`. Exact to the tolerance for any step forward in time (order: infinite). Every
    coefficient and every entry of P is positive, so that nothing cancels and signs and bounds of the state are kept, however
    far A is from normal: row-stochastic attention, Markov chains, upwind advection. About `q t + 4 sqrt(q t)` products, cut
    off where the Poisson tail falls below rtol. All output times come from one recurrence; gradients in closed form, with
    sqrt(products) states of memory.

    Reference: Jensen (1953) Skand. Aktuarietidskr. 36, 87; Grassmann (1977) Comput. Oper. Res. 4, 47.
    """

    real_stability = float("inf")

    def states(self, problem: Problem, flow: LinearFlow, spans: Sequence[float], y: Tensor) -> tuple[Tensor, Work]:
        A = flow.operator
        with torch.no_grad():
            rate, growth, spent = rates(A, y, problem)
        lost = torch.finfo(y.dtype).eps * math.exp(min(-2 * rate * spans[-1], 700.0))
        if spans[-1] < 0 and lost > problem.rtol:
            raise IntegrationError(
                f"Uniformization cannot go back in time by {-spans[-1]:.6g}: terms of alternating sign cancel and leave an "
                f"error of {lost:.1e} (wanted {problem.rtol:.1e}); take krylov_exp",
                "linear",
            )
        source = flow.source
        series = poisson_series(spans, rate, growth, problem.rtol, source is not None)
        vectors = [y] if source is None else [y, source.expand_as(y)]
        return polynomials(A, series, vectors), Work(products=series.degree + spent)


def rates(A: LinearOperator, y: Tensor, problem: Problem) -> tuple[float, float, int]:
    """The largest exit rate, a bound of the growth rate (by rows or by columns), and products spent.

    Raises:
        ValueError: if the operator has negative entries off the diagonal, as far as it says.
    """
    diagonal = A.diagonal()
    if not (A.metzler and A.columnwise) or diagonal is None:
        raise ValueError(
            f"Uniformization needs an operator marked metzler (no negative entry off the diagonal) that knows its diagonal; "
            f"{type(A).__name__} is {'' if A.metzler else 'not '}marked and its diagonal is {'un' * (diagonal is None)}known. "
            "Take chebyshev_exp (symmetric) or krylov_exp (any operator), or mark the operator if it is one"
        )
    space, ones = problem.space, torch.ones(A.shape[0], 1, dtype=A.dtype, device=A.device)
    rate = float(space.max(-diagonal.real.unsqueeze(-1)).amax())
    growth, spent = float(space.max(A.matvec(ones).real).amax()), 1
    slack = 16 * torch.finfo(A.dtype).eps * max(rate, 0.0)
    if growth > slack and not A.symmetric:
        growth, spent = min(growth, float(space.max(A.adjoint.matvec(ones).real).amax())), 2
    growth = 0.0 if growth <= slack else growth
    return (rate if rate > 0 else max(growth, 1.0)), growth, spent
