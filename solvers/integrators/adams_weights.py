"""Weights of the Adams methods: integrals of Lagrange polynomials over the nodes 0, -1, ... or 1, 0, -1, ..."""

from __future__ import annotations

import math
from functools import cache


def nodes(newest: int, count: int) -> tuple[int, ...]:
    """`newest, newest - 1, ...`: where the slopes are, in units of dt from t_n."""
    return tuple(range(newest, newest - count, -1))


@cache
def step_weights(points: tuple[int, ...]) -> tuple[float, ...]:
    """The weights of a whole step, theta = 1."""
    return integrals(points, 1.0)


def integrals(points: tuple[int, ...], theta: float) -> tuple[float, ...]:
    """`int_0^theta l_j(s) ds` for the Lagrange polynomials on the nodes."""
    return tuple(sum(c * theta ** (m + 1) / (m + 1) for m, c in enumerate(row)) for row in _lagrange(points))


@cache
def _lagrange(points: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """Coefficients of the Lagrange polynomials, lowest power first."""
    others = [points[:j] + points[j + 1 :] for j in range(len(points))]
    scales = [math.prod(node - other for other in rest) for node, rest in zip(points, others, strict=True)]
    return tuple(tuple(c / scale for c in _monic(rest)) for rest, scale in zip(others, scales, strict=True))


def _monic(roots: tuple[int, ...]) -> list[int]:
    """Coefficients of `prod (s - root)`, lowest power first."""
    row = [1]
    for root in roots:
        row = [a - root * b for a, b in zip([0, *row], [*row, 0], strict=True)]
    return row


@cache
def milne(order: int) -> float:
    """`c / (C + c)` with the error constants `|int_0^1 prod (s - node) ds| / order!` of predictor (C) and corrector (c)."""
    C, c = (abs(sum(a / (m + 1) for m, a in enumerate(_monic(nodes(newest, order))))) for newest in (0, 1))
    return c / (C + c)
