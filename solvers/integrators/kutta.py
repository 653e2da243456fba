"""Explicit Runge-Kutta methods that stand beside the usual ones: Kutta's 3/8 rule, Heun's third-order method, Fehlberg's 2(1).

Sources: Kutta (1901) Z. Math. Phys. 46, 435; Heun (1900) Z. Math. Phys. 45, 23; Fehlberg (1969) NASA TR R-315, table of RK1(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .tableau import ExplicitRungeKutta, Tableau


@dataclass(frozen=True)
class RK4ThreeEighths(ExplicitRungeKutta):
    """Kutta's 3/8 rule, order 4: slightly smaller error than the classical method; torchdiffeq's `rk4`."""

    order = 4
    presets: ClassVar = {"rk438": {}}
    real_stability = 2.785293563405282
    imaginary_stability = 2.8284271247461903
    tableau = Tableau(
        c=(0.0, 1 / 3, 2 / 3, 1.0),
        a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
        b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    )


@dataclass(frozen=True)
class Heun3(ExplicitRungeKutta):
    """Heun's third-order method."""

    order = 3
    real_stability = 2.512745326618329
    imaginary_stability = 1.7320508075688772
    tableau = Tableau(c=(0.0, 1 / 3, 2 / 3), a=((), (1 / 3,), (0.0, 2 / 3)), b=(1 / 4, 0.0, 3 / 4))


@dataclass(frozen=True)
class Fehlberg2(ExplicitRungeKutta):
    """Fehlberg's RK1(2), order 2(1), the second-order solution carried on."""

    order = 2
    adaptive = True
    real_stability = 2.007843137254902
    imaginary_stability = 0.0
    tableau = Tableau(
        c=(0.0, 0.5, 1.0),
        a=((), (0.5,), (1 / 256, 255 / 256)),
        b=(1 / 512, 255 / 256, 1 / 512),
        error=(1 / 512, 0.0, -1 / 512),
        error_order=1,
    )
