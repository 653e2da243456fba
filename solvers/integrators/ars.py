"""The implicit-explicit Runge-Kutta methods of Ascher, Ruuth and Spiteri."""

from __future__ import annotations

from dataclasses import dataclass

from .ark import AdditiveRungeKutta, AdditiveTableau

_G = 1 - 0.5**0.5
_D = 1 - 1 / (2 * _G)


@dataclass(frozen=True)
class ARS222(AdditiveRungeKutta):
    """ARS(2,2,2), order 2: the linear part by the L-stable SDIRK2, `g = 1 - 1/sqrt 2`, `d = 1 - 1/(2 g)`:

        (I - g dt L) Y = y + g dt g0,   (I - g dt L) y_new = y + dt ((1 - g) L Y + d g0 + (1 - d) g1)

    with `g0 = g(t, y)`, `g1 = g(t + g dt, Y)`. Two linear systems with the same matrix, two evaluations of g. The new
    state is the last stage. Order 2 for L(t, y) too.

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.

    Reference: Ascher, Ruuth & Spiteri (1997) Appl. Numer. Math. 25, 151, 2.6.
    """

    order = dense_order = 2
    tableau = AdditiveTableau(
        implicit=((0.0,), (0.0, _G), (0.0, 1 - _G, _G)),
        explicit=((), (_G,), (_D, 1 - _D)),
        implicit_weights=(0.0, 1 - _G, _G),
        explicit_weights=(_D, 1 - _D, 0.0),
    )


@dataclass(frozen=True)
class ARS443(AdditiveRungeKutta):
    """ARS(4,4,3), order 3: four linear systems with the same matrix `I - dt/2 L`, L-stable; four evaluations of g.

    The new state is the last stage. Order 3 for L(t, y) too.

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.

    Reference: Ascher, Ruuth & Spiteri (1997) Appl. Numer. Math. 25, 151, 2.8.
    """

    order = dense_order = 3
    tableau = AdditiveTableau(
        implicit=((0.0,), (0.0, 1 / 2), (0.0, 1 / 6, 1 / 2), (0.0, -1 / 2, 1 / 2, 1 / 2), (0.0, 3 / 2, -3 / 2, 1 / 2, 1 / 2)),
        explicit=((), (1 / 2,), (11 / 18, 1 / 18), (5 / 6, -5 / 6, 1 / 2), (1 / 4, 7 / 4, 3 / 4, -7 / 4)),
        implicit_weights=(0.0, 3 / 2, -3 / 2, 1 / 2, 1 / 2),
        explicit_weights=(1 / 4, 7 / 4, 3 / 4, -7 / 4, 0.0),
        dense=3,
    )
