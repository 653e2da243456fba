"""The distance W1 between two measures on the neighbourhoods of an edge, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import csr_array, eye_array, kron, vstack

Measure = Mapping[int, Fraction]
_UNITS = 200  # equal masses up to which transport is solved as an assignment of them


def earth_mover(first: Measure, second: Measure, neighbours: Sequence[frozenset[int]]) -> float:
    """`W1 = min over couplings of sum pi_ab d(a, b)`, d counted in hops, for measures around the two ends of an edge.

    Mass that both measures have at a node stays there. The rest, if it is a few equal masses, is an assignment problem, else
    a linear programme; either gives the minimum to rounding. Any two nodes are at most three hops apart.

    Args:
        first: mass of nodes, of total 1, at one end of the edge and its neighbours.
        second: likewise at the other end.
        neighbours: of every node.

    Raises:
        ValueError: the linear programme fails.
    """
    excess = {a: first.get(a, Fraction(0)) - second.get(a, Fraction(0)) for a in {*first, *second}}
    here = {a: m for a, m in excess.items() if m > 0}
    there = {a: -m for a, m in excess.items() if m < 0}
    if not here:
        return 0.0
    cost = np.array([[_hops(a, b, neighbours) for b in there] for a in here], dtype=np.float64)
    scale = lcm(*(m.denominator for m in [*here.values(), *there.values()]))
    counts = [int(m * scale) for m in [*here.values(), *there.values()]]
    unit = gcd(*counts)
    supply = np.array(counts[: len(here)], dtype=object) // unit
    demand = np.array(counts[len(here) :], dtype=object) // unit
    if sum(supply) <= _UNITS:
        repeated = np.repeat(np.repeat(cost, supply.astype(int), axis=0), demand.astype(int), axis=1)
        return float(repeated[linear_sum_assignment(repeated)].sum()) * (unit / scale)
    return _programme(cost, supply.astype(float) * (unit / scale), demand.astype(float) * (unit / scale))


def _programme(cost: NDArray[np.float64], supply: NDArray[np.float64], demand: NDArray[np.float64]) -> float:
    rows, cols = cost.shape
    sums: Any = vstack(
        [kron(eye_array(rows), csr_array(np.ones((1, cols)))), kron(csr_array(np.ones((1, rows))), eye_array(cols))],
        format="csr",
    )
    found: Any = linprog(cost.ravel(), A_eq=sums[:-1], b_eq=np.concatenate([supply, demand])[:-1], method="highs")
    if not found.success:
        raise ValueError(f"optimal transport between {rows} and {cols} nodes failed: {found.message}")
    return float(found.fun)


def _hops(a: int, b: int, neighbours: Sequence[frozenset[int]]) -> int:
    if a == b:
        return 0
    if b in neighbours[a]:
        return 1
    return 3 if neighbours[a].isdisjoint(neighbours[b]) else 2
