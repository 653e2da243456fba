"""Radau IIA: collocation with a node at the end of the step."""

from __future__ import annotations

from dataclasses import dataclass

from .collocation import Collocation, Nodes


@dataclass(frozen=True)
class RadauIIA3(Collocation):
    """Radau IIA with two stages, nodes 1/3 and 1: order 3, stage order 2, L-stable, algebraically stable, adaptive.

    The new state is the last stage. Error estimate of order 2, `g = 1/sqrt 6`; dense output: the collocation polynomial,
    of order 2 (error O(dt^3)).

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Ehle (1969); Hairer & Wanner (1996) Solving Ordinary Differential Equations II, IV.5.
    """

    order = dense_order = 3
    adaptive = True
    dense_output = True
    nodes = Nodes((1 / 3, 1.0), 6**-0.5)


@dataclass(frozen=True)
class RadauIIA5(Collocation):
    """Radau IIA with three stages, nodes `(4 - sqrt 6)/10, (4 + sqrt 6)/10, 1`: order 5, stage order 3, L-stable, adaptive.

    The new state is the last stage. Error estimate of order 3 with g the real eigenvalue of A, as in RADAU5; dense output:
    the collocation polynomial, of order 3 (error O(dt^4)).

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Ehle (1969); Hairer & Wanner (1996) Solving Ordinary Differential Equations II, IV.5 and IV.8.
    """

    order = 5
    dense_order = 4
    adaptive = True
    dense_output = True
    nodes = Nodes(((4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1.0), 1 / (3 + 3 ** (2 / 3) - 3 ** (1 / 3)))
