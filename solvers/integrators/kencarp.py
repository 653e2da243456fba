"""The additive Runge-Kutta pairs of Kennedy and Carpenter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .ark import AdditiveRungeKutta, AdditiveTableau


def _three() -> AdditiveTableau:
    g = 1767732205903 / 4055673282236
    b = (1471266399579 / 7840856788654, -4482444167858 / 7529755066697, 11266239266428 / 11593286722821, g)
    implicit = ((0.0,), (g, g), (2746238789719 / 10658868560708, -640167445237 / 6845629431997, g), b)
    explicit = (
        (),
        (2 * g,),
        (5535828885825 / 10492691773637, 788022342437 / 10882634858940),
        (6485989280629 / 16251701735622, -4246266847089 / 9704473918619, 10755448449292 / 10357097424841),
    )
    embedded = (
        2756255671327 / 12835298489170,
        -10771552573575 / 22201958757719,
        9247589265047 / 10645013368117,
        2193209047091 / 5459859503100,
    )
    return AdditiveTableau(implicit, explicit, b, b, embedded, 2, 2)


def _four() -> AdditiveTableau:
    g = 1 / 4
    b = (82889 / 524892, 0.0, 15625 / 83664, 69875 / 102672, -2260 / 8211, g)
    implicit = (
        (0.0,),
        (g, g),
        (8611 / 62500, -1743 / 31250, g),
        (5012029 / 34652500, -654441 / 2922500, 174375 / 388108, g),
        (15267082809 / 155376265600, -71443401 / 120774400, 730878875 / 902184768, 2285395 / 8070912, g),
        b,
    )
    explicit = (
        (),
        (1 / 2,),
        (13861 / 62500, 6889 / 62500),
        (-116923316275 / 2393684061468, -2731218467317 / 15368042101831, 9408046702089 / 11113171139209),
        (
            -451086348788 / 2902428689909,
            -2682348792572 / 7519795681897,
            12662868775082 / 11960479115383,
            3355817975965 / 11060851509271,
        ),
        (
            647845179188 / 3216320057751,
            73281519250 / 8382639484533,
            552539513391 / 3454668386233,
            3354512671639 / 8306763924573,
            4040 / 17871,
        ),
    )
    embedded = (
        4586570599 / 29645900160,
        0.0,
        178811875 / 945068544,
        814220225 / 1159782912,
        -3700637 / 11593932,
        61727 / 225920,
    )
    return AdditiveTableau(implicit, explicit, b, b, embedded, 3, 3)


@dataclass(frozen=True)
class KenCarp3(AdditiveRungeKutta):
    """KenCarp3 (ARK3(2)4L[2]SA), order 3(2), adaptive: the linear part by an L-stable, stiffly accurate ESDIRK method.

    Three linear systems with the same matrix, four evaluations of g; stage order 2. Order 3 for L(t, y) too.

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.

    Reference: Kennedy & Carpenter (2003) Appl. Numer. Math. 44, 139.
    """

    order = dense_order = 3
    presets: ClassVar = {"kencarp3": {}}
    adaptive = True
    tableau = _three()


@dataclass(frozen=True)
class KenCarp4(AdditiveRungeKutta):
    """KenCarp4 (ARK4(3)6L[2]SA), order 4(3), adaptive: the linear part by an L-stable, stiffly accurate ESDIRK method.

    Five linear systems with the same matrix, six evaluations of g; stage order 2. Order 4 for L(t, y) too.

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.

    Reference: Kennedy & Carpenter (2003) Appl. Numer. Math. 44, 139.
    """

    order = dense_order = 4
    presets: ClassVar = {"kencarp4": {}}
    adaptive = True
    tableau = _four()
