"""Gauss collocation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..interpolate import WithSlope
from ..protocols import Problem
from .base import Step
from .collocation import Collocation, Nodes


@dataclass(frozen=True)
class Gauss4(Collocation):
    """Gauss with two stages (Hammer-Hollingsworth), nodes `1/2 -+ sqrt 3 / 6`: order 4, stage order 2, A-stable.

    Symplectic and symmetric for every field: it keeps quadratic invariants. Not L-stable: `R(-inf) = 1`.

    Dense output of order 4: the collocation polynomial u plus `g theta (1 - theta) (1 - 2 theta)`, which vanishes at both
    ends and has no slope at the nodes, with g such that the slope at the start is `f(t, y)`: an evaluation in each step in
    which a time is asked for.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Hammer & Hollingsworth (1955) MTAC 9, 92; Hairer, Lubich & Wanner (2006) II.1.3 and VI.4.
    """

    order = dense_order = 4
    dense_output = True
    dense_is_free = False
    nodes = Nodes((0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6))

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        step = super().step(problem, t, dt, y, state)
        parabola, new = step.dense, step.y
        if parabola is None:
            return step

        def slope() -> Tensor:
            return 4 * parabola(0.5) - 3 * y - new

        return replace(step, dense=WithSlope(problem, t, dt, y, parabola, slope, _bubble))


@dataclass(frozen=True)
class Gauss6(Collocation):
    """Gauss with three stages (Kuntzmann, Butcher), nodes `1/2 -+ sqrt 15 / 10` and 1/2: order 6, stage order 3, A-stable.

    Symplectic and symmetric for every field, as `Gauss4`. Not L-stable: `R(-inf) = -1`. The loop lands on output times.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Butcher (1964) Math. Comp. 18, 50; Hairer, Lubich & Wanner (2006) II.1.3.
    """

    order = 6
    nodes = Nodes((0.5 - 15**0.5 / 10, 0.5, 0.5 + 15**0.5 / 10))


def _bubble(theta: float) -> float:
    return theta * (1 - theta) * (1 - 2 * theta)
