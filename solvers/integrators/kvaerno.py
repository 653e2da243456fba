"""Kvaerno's stiffly accurate, L-stable ESDIRK pairs.

In every pair both formulas are stages: the method is the last stage, the embedded one the stage before it, so that both
have `a_si = b_i` and the estimate needs no filter. Reference: Kvaerno (2004) BIT 44, 489.
"""

from __future__ import annotations

from dataclasses import dataclass

from .dirk import DiagonallyImplicit, DiagonalTableau, Row


def _pair(a: tuple[Row, ...], order: int, dense: int) -> DiagonalTableau:
    return DiagonalTableau(a, (*a[-2], 0.0), order - 1, dense)


def _three() -> tuple[Row, ...]:
    g = 0.43586652150845895  # root of 6 g^3 - 18 g^2 + 9 g - 1
    return (
        (0.0,),
        (g, g),
        ((-4 * g**2 + 6 * g - 1) / (4 * g), (1 - 2 * g) / (4 * g), g),
        ((6 * g - 1) / (12 * g), -1 / (12 * g * (2 * g - 1)), (-6 * g**2 + 6 * g - 1) / (6 * g - 3), g),
    )


def _four() -> tuple[Row, ...]:
    g = 0.572816062482135  # root of 24 g^4 - 96 g^3 + 72 g^2 - 16 g + 1
    p, q, r = 12 * g**2 - 6 * g + 1, 12 * g**2 - 9 * g + 2, 3 * g - 1
    third = (144 * g**4 - 180 * g**3 + 81 * g**2 - 15 * g + 1) * g / p**2
    fourth = (
        (-144 * g**5 + 396 * g**4 - 330 * g**3 + 117 * g**2 - 18 * g + 1) / (12 * g**2 * q),
        (72 * g**4 - 126 * g**3 + 69 * g**2 - 15 * g + 1) / (12 * g**2 * r),
        (-6 * g**2 + 6 * g - 1) * p**2 / (12 * g**2 * q * r),
    )
    fifth = (
        (288 * g**4 - 312 * g**3 + 120 * g**2 - 18 * g + 1) / (48 * g**2 * q),
        (24 * g**2 - 12 * g + 1) / (48 * g**2 * r),
        -(p**3) / (48 * g**2 * r * q * (6 * g**2 - 6 * g + 1)),
        (-24 * g**3 + 36 * g**2 - 12 * g + 1) / (24 * g**2 - 24 * g + 4),
    )
    return (0.0,), (g, g), (third, (-36 * g**3 + 39 * g**2 - 15 * g + 2) * g / p**2, g), (*fourth, g), (*fifth, g)


def _five() -> tuple[Row, ...]:
    g = 0.26
    return (
        (0.0,),
        (g, g),
        (0.13, 0.84033320996790809, g),
        (0.22371961478320505, 0.47675532319799699, -0.06470895363112615, g),
        (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998, g),
        (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676, g),
        (0.13659751177640291, 0.0, -0.05496908796538376, -0.04118626728321046, 0.62993304899016403, 0.06962479448202728, g),
    )


@dataclass(frozen=True)
class Kvaerno3(DiagonallyImplicit):
    """Kvaerno 3(2), order 3, L-stable; three implicit stages, stage order 2, dense output of order 3 from the stages.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Kvaerno (2004) BIT 44, 489.
    """

    order = dense_order = 3
    tableau = _pair(_three(), order, 3)


@dataclass(frozen=True)
class Kvaerno4(DiagonallyImplicit):
    """Kvaerno 4(3), order 4, L-stable; four implicit stages, stage order 2, dense output of order 4 from the stages.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Kvaerno (2004) BIT 44, 489.
    """

    order = dense_order = 4
    tableau = _pair(_four(), order, 3)


@dataclass(frozen=True)
class Kvaerno5(DiagonallyImplicit):
    """Kvaerno 5(4), order 5, L-stable; six implicit stages, stage order 2, dense output of order 5 from the stages.

    A step evaluates the field at `t + 1.23 dt` too.

    Args:
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Kvaerno (2004) BIT 44, 489.
    """

    order = dense_order = 5
    tableau = _pair(_five(), order, 4)
