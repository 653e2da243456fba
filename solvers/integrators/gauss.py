"""Gauss collocation."""

from __future__ import annotations

from dataclasses import dataclass

from .collocation import Collocation, Nodes


@dataclass(frozen=True)
class Gauss4(Collocation):
    """Gauss with two stages (Hammer-Hollingsworth), nodes `1/2 -+ sqrt 3 / 6`: order 4, stage order 2, A-stable.

    Symplectic and symmetric for every field: it keeps quadratic invariants. Not L-stable: `R(-inf) = 1`.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Hammer & Hollingsworth (1955) MTAC 9, 92; Hairer, Lubich & Wanner (2006) II.1.3 and VI.4.
    """

    order = 4
    nodes = Nodes((0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6))
