"""The explicit Runge-Kutta methods, by their tableaux.

Sources: Euler (1768), Heun (1900), Kutta (1901); Bogacki & Shampine (1989) Appl. Math. Lett. 2, 321; Dormand & Prince (1980)
J. Comp. Appl. Math. 6, 19, with the quartic interpolant of Shampine (1986) Math. Comp. 46, 135; Tsitouras (2011) Comput.
Math. Appl. 62, 770. Stability intervals are those of the stability polynomials (measured again by the tests).
"""

from __future__ import annotations

from dataclasses import dataclass

from .tableau import ExplicitRungeKutta, Tableau


@dataclass(frozen=True)
class Euler(ExplicitRungeKutta):
    """Explicit Euler, order 1: `y + dt f(t, y)`; one step of a graph convolution."""

    order = 1
    real_stability = 2.0
    imaginary_stability = 0.0
    tableau = Tableau(c=(0.0,), a=((),), b=(1.0,))


@dataclass(frozen=True)
class Midpoint(ExplicitRungeKutta):
    """Explicit midpoint rule, order 2: the slope at half a step of Euler."""

    order = 2
    real_stability = 2.0
    imaginary_stability = 0.0
    tableau = Tableau(c=(0.0, 0.5), a=((), (0.5,)), b=(0.0, 1.0))


@dataclass(frozen=True)
class Heun(ExplicitRungeKutta):
    """Heun's trapezoidal rule with Euler as embedded method, order 2(1)."""

    order = 2
    adaptive = True
    real_stability = 2.0
    imaginary_stability = 0.0
    tableau = Tableau(c=(0.0, 1.0), a=((), (1.0,)), b=(0.5, 0.5), error=(-0.5, 0.5), error_order=1)


@dataclass(frozen=True)
class RK4(ExplicitRungeKutta):
    """Kutta's classical method, order 4."""

    order = 4
    real_stability = 2.785293563405282
    imaginary_stability = 2.8284271247461903
    tableau = Tableau(
        c=(0.0, 0.5, 0.5, 1.0),
        a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
        b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    )


@dataclass(frozen=True)
class Bosh3(ExplicitRungeKutta):
    """Bogacki-Shampine, order 3(2), first same as last; cubic Hermite interpolant (order 3)."""

    order = dense_order = 3
    adaptive = True
    dense_output = True
    real_stability = 2.512745326618329
    imaginary_stability = 1.7320508075688772
    tableau = Tableau(
        c=(0.0, 0.5, 0.75, 1.0),
        a=((), (0.5,), (0.0, 0.75), (2 / 9, 1 / 3, 4 / 9)),
        b=(2 / 9, 1 / 3, 4 / 9, 0.0),
        error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
        error_order=2,
        dense=((1.0, -4 / 3, 5 / 9), (0.0, 1.0, -2 / 3), (0.0, 4 / 3, -8 / 9), (0.0, -1.0, 1.0)),
    )


@dataclass(frozen=True)
class Dopri5(ExplicitRungeKutta):
    """Dormand-Prince, order 5(4), first same as last; Shampine's quartic interpolant (order 4)."""

    order = dense_order = 5
    adaptive = True
    dense_output = True
    real_stability = 3.306567892634945
    imaginary_stability = 0.9971890086325585
    tableau = Tableau(
        c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
        a=(
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        ),
        b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
        error=(
            35 / 384 - 5179 / 57600,
            0.0,
            500 / 1113 - 7571 / 16695,
            125 / 192 - 393 / 640,
            -2187 / 6784 + 92097 / 339200,
            11 / 84 - 187 / 2100,
            -1 / 40,
        ),
        error_order=4,
        dense=(
            (1.0, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432),
            (0.0, 0.0, 0.0, 0.0),
            (0.0, 131558114200 / 32700410799, -68118460800 / 10900136933, 87487479700 / 32700410799),
            (0.0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072),
            (0.0, 127303824393 / 49829197408, -318862633887 / 49829197408, 701980252875 / 199316789632),
            (0.0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844),
            (0.0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423),
        ),
    )


_TSIT_B = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
)


@dataclass(frozen=True)
class Tsit5(ExplicitRungeKutta):
    """Tsitouras, order 5(4), first same as last; his quartic interpolant (order 4)."""

    order = dense_order = 5
    adaptive = True
    dense_output = True
    real_stability = 3.5068469938049946
    imaginary_stability = 0.4779788680786442
    tableau = Tableau(
        c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
        a=(
            (),
            (0.161,),
            (0.327 - 0.335480655492357, 0.335480655492357),
            (0.9 + 6.359448489975075 - 4.362295432869581, -6.359448489975075, 4.362295432869581),
            (
                0.9800255409045097 + 11.74888356406283 - 7.495539342889836 + 0.09249506636175525,
                -11.74888356406283,
                7.495539342889836,
                -0.09249506636175525,
            ),
            (
                1 + 12.92096931784711 - 8.159367898576159 + 0.071584973281401 + 0.02826905039406838,
                -12.92096931784711,
                8.159367898576159,
                -0.071584973281401,
                -0.02826905039406838,
            ),
            _TSIT_B,
        ),
        b=(*_TSIT_B, 0.0),
        error=(
            -0.001780011052225771,
            -0.0008164344596567469,
            0.007880878010261995,
            -0.1447110071732629,
            0.5823571654525552,
            -0.45808210592918697,
            0.015151515151515152,
        ),
        error_order=4,
        dense=(
            (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
            (0.0, 0.13169999999999998, -0.2234, 0.1017),
            (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
            (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
            (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
            (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
            (0.0, 1.5, -4.0, 2.5),
        ),
    )
