"""Explicit Runge-Kutta methods for particular uses: Ralston's, the strong-stability-preserving SSPRK3, Fehlberg's 4(5).

Sources: Ralston (1962) Math. Comp. 16, 431; Shu & Osher (1988) J. Comp. Phys. 77, 439; Fehlberg (1969) NASA TR R-315, table
of RK4(5), formula 2. Stability intervals are those of the stability polynomials (measured again by the tests).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .tableau import ExplicitRungeKutta, Tableau


@dataclass(frozen=True)
class Ralston(ExplicitRungeKutta):
    """Ralston's method, order 2: of all two-stage methods the one with the smallest bound on its local error."""

    order = 2
    real_stability = 2.0
    imaginary_stability = 0.0
    tableau = Tableau(c=(0.0, 2 / 3), a=((), (2 / 3,)), b=(1 / 4, 3 / 4))


@dataclass(frozen=True)
class SSPRK3(ExplicitRungeKutta):
    """Shu-Osher, order 3, strong stability preserving with coefficient 1: a mean of steps of explicit Euler.

    Whatever explicit Euler does not increase for `dt <= dt_E` (total variation, a maximum, positivity), it does not either.
    """

    order = 3
    real_stability = 2.512745326618329
    imaginary_stability = 1.7320508075688772
    tableau = Tableau(c=(0.0, 1.0, 1 / 2), a=((), (1.0,), (1 / 4, 1 / 4)), b=(1 / 6, 1 / 6, 2 / 3))


@dataclass(frozen=True)
class Fehlberg45(ExplicitRungeKutta):
    """Fehlberg's RK4(5), order 4(5): the fourth-order solution is carried on, the fifth-order one estimates its error."""

    order = 4
    presets: ClassVar = {"fehlberg": {}, "rkf45": {}}
    adaptive = True
    real_stability = 3.0200175439705026
    imaginary_stability = 0.0
    tableau = Tableau(
        c=(0.0, 1 / 4, 3 / 8, 12 / 13, 1.0, 1 / 2),
        a=(
            (),
            (1 / 4,),
            (3 / 32, 9 / 32),
            (1932 / 2197, -7200 / 2197, 7296 / 2197),
            (439 / 216, -8.0, 3680 / 513, -845 / 4104),
            (-8 / 27, 2.0, -3544 / 2565, 1859 / 4104, -11 / 40),
        ),
        b=(25 / 216, 0.0, 1408 / 2565, 2197 / 4104, -1 / 5, 0.0),
        error=(-1 / 360, 0.0, 128 / 4275, 2197 / 75240, -1 / 50, -2 / 55),
        error_order=4,
    )
