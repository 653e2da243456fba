"""Standard stiff problems with reference solutions by scipy's Radau at rtol 1e-12.

States are `[n, 1]`, the Brusselator's is `[10, 2]`. Source: Hairer & Wanner (1996) IV.10; Mazzia & Magherini (2008) Test
Set for Initial Value Problem Solvers, release 2.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.integrate import solve_ivp
from torch import Tensor

Field = Callable[[Tensor, Tensor], Tensor]


def van_der_pol(t: Tensor, y: Tensor) -> Tensor:
    """`x'' = mu (1 - x^2) x' - x`, mu = 1000."""
    x, v = y.unbind(0)
    return torch.stack((v, 1000 * (1 - x * x) * v - x))


def robertson(t: Tensor, y: Tensor) -> Tensor:
    """Three reactions with rates from 0.04 to 3e7."""
    a, b, c = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    return torch.stack((b - a, a - b - c, c))


def hires(t: Tensor, y: Tensor) -> Tensor:
    """High irradiance response of a plant: eight reactants."""
    a, b, c, d, e, f, g, h = y.unbind(0)
    return torch.stack(
        (
            -1.71 * a + 0.43 * b + 8.32 * c + 0.0007,
            1.71 * a - 8.75 * b,
            -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d,
            -1.745 * e + 0.43 * f + 0.43 * g,
            -280 * f * h + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
            280 * f * h - 1.81 * g,
            -280 * f * h + 1.81 * g,
        )
    )


def oregonator(t: Tensor, y: Tensor) -> Tensor:
    """Belousov-Zhabotinsky reaction: a relaxation oscillation over six decades."""
    a, b, c = y.unbind(0)
    return torch.stack((77.27 * (b + a * (1 - 8.375e-6 * a - b)), (c - (1 + a) * b) / 77.27, 0.161 * (a - c)))


def brusselator(t: Tensor, y: Tensor) -> Tensor:
    """`u' = 1 + u^2 v - 4 u + u_xx / 50, v' = 3 u - u^2 v + v_xx / 50` at 10 points, u = 1 and v = 3 at both ends."""
    u, v = y.unbind(1)
    ends = y.new_tensor([[1.0, 3.0]])
    padded = torch.cat((ends, y, ends))
    spread = 0.02 * 11**2 * (padded[:-2] - 2 * y + padded[2:])
    return torch.stack((1 + u * u * v - 4 * u, 3 * u - u * u * v), 1) + spread


@dataclass(frozen=True)
class StiffProblem:
    """A field with its start and its solution at the end.

    Args:
        field: `f(t, y)`.
        start: initial state, row by row.
        end: time of the reference.
        reference: the state there, entry by entry.
        scale: typical size of the smallest entries: the absolute tolerance is rtol times this.
    """

    field: Field
    start: tuple[tuple[float, ...], ...]
    end: float
    reference: tuple[float, ...]
    scale: float

    @property
    def y0(self) -> Tensor:
        return torch.tensor(self.start, dtype=torch.float64)

    def error(self, y: Tensor) -> float:
        """The largest error, entry by entry relative to `|y| + scale`."""
        exact = torch.tensor(self.reference, dtype=torch.float64).view(y.shape)
        return float(((y - exact).abs() / (exact.abs() + self.scale)).max())

    def computed(self, rtol: float = 1e-12) -> Tensor:
        """The reference, computed anew."""

        def flat(t, y):
            return self.field(torch.tensor(t, dtype=torch.float64), torch.from_numpy(y).view(self.y0.shape)).reshape(-1).numpy()

        found = solve_ivp(flat, (0, self.end), self.y0.reshape(-1).numpy(), "Radau", rtol=rtol, atol=1e-4 * rtol)
        return torch.from_numpy(found.y[:, -1].copy()).view(self.y0.shape)


def _column(*values: float) -> tuple[tuple[float, ...], ...]:
    return tuple((v,) for v in values)


def _wave() -> tuple[tuple[float, ...], ...]:
    x = torch.arange(1, 11, dtype=torch.float64) / 11
    return tuple((1 + s, 3.0) for s in torch.sin(2 * torch.pi * x).tolist())


PROBLEMS = {
    "van_der_pol": StiffProblem(van_der_pol, _column(2.0, 0.0), 2000.0, (1.706167732171121, -0.0008928097010241135), 1e-3),
    "robertson": StiffProblem(
        robertson, _column(1.0, 0.0, 0.0), 1e4, (0.10730042853793166, 4.800166972578037e-07, 0.8926990914453725), 1e-6
    ),
    "hires": StiffProblem(
        hires,
        _column(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057),
        321.8122,
        (
            *(0.0007371312573325646, 0.00014424857263161805, 5.8887297409675386e-05, 0.0011756513432831447),
            *(0.0023863561988312775, 0.006238968252742645, 0.0028499983951857325, 0.0028500016048142547),
        ),
        1e-4,
    ),
    "oregonator": StiffProblem(
        oregonator, _column(1.0, 2.0, 3.0), 360.0, (1.0008148703185227, 1228.1785215499017, 132.0554942846599), 1e-3
    ),
    "brusselator": StiffProblem(
        brusselator,
        _wave(),
        10.0,
        (
            *(0.7723149108260462, 3.2900214693464904, 0.605730853431431, 3.4982674179328175, 0.5060736640054649),
            *(3.6156484793914854, 0.45428004415599477, 3.670841278522065, 0.43282933448025834, 3.6928964046412553),
            *(0.43294915736844136, 3.6969669128285303, 0.45468330274286445, 3.6817123277320642, 0.5068729757476118),
            *(3.6296724725034033, 0.6069649178116329, 3.5106744628192432, 0.7735253561947332, 3.29689274717635),
        ),
        1e-3,
    ),
}
