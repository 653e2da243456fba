"""Continuous extensions of Runge-Kutta methods whose stages are at hand: weights b(theta), polynomials without constant term.

    y(t + theta dt) = y + dt sum_i b_i(theta) k_i,    b(0) = 0,    b(1) the weights of the method

The weights solve the order conditions at theta, which are linear: `b . 1 = theta`, `b . c = theta^2/2`, `b . c^2 = theta^3/3`,
`b . A c = theta^3/6` and so on, one for each rooted tree; of all solutions the smallest is taken. Conditions up to order q
make the error inside a step O(dt^(q + 1)).

Where the first stage is explicit, `k_1 = f(t, y)`, a stiff field makes it as large as it likes. One more condition,
`b_1 = b' A^-1 a` (over the other stages, a their column of the first), makes the extension a combination of y and of the
stages' states, which are bounded: `y + sum_i w_i (Y_i - y)`, `w' = b' A^-1`.

Reference: Zennaro (1986) Math. Comp. 46, 119; Kennedy & Carpenter (2003) Appl. Numer. Math. 44, 139, 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_EXACT = 1e-11  # largest residual of conditions that count as met


def matrix(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Rows of different lengths as a square matrix, `[s, s]`."""
    out = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _nodes(a: np.ndarray) -> np.ndarray:
    return a @ np.ones(len(a))


def conditions(c: np.ndarray, matrices: Sequence[np.ndarray], order: int) -> list[tuple[np.ndarray, int, float]]:
    """The conditions `b . v = theta^power / gamma` up to an order (at most 4) as `(v, power, 1/gamma)`.

    Args:
        c: nodes, `[s]`.
        matrices: the coefficients of each part of the field that has its own, `[s, s]`.
        order: 1 to 4.
    """
    found = [(np.ones_like(c), 1, 1.0), (c, 2, 1 / 2), (c * c, 3, 1 / 3)]
    found += [(a @ c, 3, 1 / 6) for a in matrices]
    found += [(c**3, 4, 1 / 4)]
    for a in matrices:
        found += [(c * (a @ c), 4, 1 / 8), (a @ (c * c), 4, 1 / 12)]
        found += [(a @ (other @ c), 4, 1 / 24) for other in matrices]
    return [f for f in found if f[1] <= order]


def bounded(a: np.ndarray) -> np.ndarray:
    """The v with `b . v = 0` for weights that make a combination of states."""
    return np.concatenate(([1.0], -np.linalg.solve(a[1:, 1:], a[1:, 0])))


def extension(
    found: Sequence[tuple[np.ndarray, int, float]], zero: Sequence[np.ndarray], end: np.ndarray, degree: int
) -> np.ndarray:
    """The coefficients of the weights, `b(theta) = sum_m out[m] theta^(m+1)`, `[degree, s]`.

    Args:
        found: conditions, as `conditions` lists them.
        zero: vectors v with `b . v = 0` at every theta.
        end: `b(1)`.
        degree: of the polynomials.

    Raises:
        ValueError: if the conditions contradict one another.
    """
    s, rows, right = len(end), [], []
    for m in range(degree):
        for v, power, value in [*found, *((z, 0, 0.0) for z in zero)]:
            row = np.zeros((degree, s))
            row[m] = v
            rows.append(row.ravel())
            right.append(value if power == m + 1 else 0.0)
    for i in range(s):
        row = np.zeros((degree, s))
        row[:, i] = 1.0
        rows.append(row.ravel())
        right.append(end[i])
    left, given = np.array(rows), np.array(right)
    solution = np.linalg.lstsq(left, given, rcond=1e-11)[0]
    miss = float(max(abs(left @ solution - given)))
    if miss > _EXACT:
        raise ValueError(f"no weights meet these {len(found)} order conditions on {s} stages: the best miss them by {miss:.1e}")
    return solution.reshape(degree, s)


@dataclass(frozen=True, eq=False)
class Extension:
    """A continuous extension in terms of the stages' states and, for the explicit part of a method, of its slopes.

    Args:
        states: coefficients of w, `[degree, s - 1]`, of the stages after the first.
        slopes: coefficients of v, `[degree, s]`, or None where there are no other slopes.
    """

    states: np.ndarray
    slopes: np.ndarray | None = None

    def __call__(self, theta: float) -> tuple[list[float], list[float]]:
        """`(w, v)` at theta."""
        powers = theta ** np.arange(1, len(self.states) + 1)
        return (powers @ self.states).tolist(), [] if self.slopes is None else (powers @ self.slopes).tolist()

    @classmethod
    def implicit(cls, rows: Sequence[Sequence[float]], order: int) -> Extension:
        """Of a stiffly accurate method with an explicit first stage, meeting the conditions up to an order."""
        a = matrix(rows)
        b = extension(conditions(_nodes(a), [a], order), [bounded(a)], a[-1], order)
        return cls(np.linalg.solve(a[1:, 1:].T, b[:, 1:].T).T)

    @classmethod
    def additive(
        cls,
        implicit: Sequence[Sequence[float]],
        explicit: Sequence[Sequence[float]],
        weights: tuple[Sequence[float], Sequence[float]],
        order: int,
    ) -> Extension:
        """Of an additive pair, the weights of whose implicit and explicit slopes are solved for one by one.

        Args:
            implicit, explicit: rows of coefficients.
            weights: of the method, implicit and explicit; an explicit slope of the last stage of weight zero is not used.
            order: up to which the conditions, those that couple the two parts included, are met.
        """
        a, e = matrix(implicit), matrix(explicit)
        trees, unused = conditions(_nodes(a), [a, e], order), np.eye(len(a))[-1:] if weights[1][-1] == 0 else []
        inner = extension(trees, [bounded(a)], np.array(weights[0]), order)
        outer = extension(trees, list(unused), np.array(weights[1]), order)
        states = np.linalg.solve(a[1:, 1:].T, inner[:, 1:].T).T
        return cls(states, outer - states @ e[1:])
