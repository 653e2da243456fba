"""Ten standard problems by many methods: error at the end, steps, evaluations, linear iterations, seconds.

    python tests/benchmarks/standard_problems.py [--out out/benchmarks] [--rtol 1e-4,1e-6]

References are scipy's Radau (stiff) or DOP853 (not stiff) at a tolerance of 1e-12; heat has a closed form. Writes a table in
Markdown and CSV and one work-precision picture per problem. Sources: Hairer, Norsett & Wanner (1993) II.0 and II.10 (Arenstorf,
Pleiades, rigid body, Brusselator); Mazzia & Magherini, Test Set for IVP Solvers 2.4 (2008) (HIRES, Robertson, van der Pol);
Hairer & Wanner (1996) IV.10 (Oregonator); Kuramoto (1975).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stiff_problems import brusselator, hires, oregonator, robertson, van_der_pol

from neuralpde import plots
from solvers import Run, compare

Field = Callable[[Tensor, Tensor], Tensor]
EXPLICIT = ("bosh3", "dopri5", "tsit5", "dopri8")
IMPLICIT = ("trbdf2", "sdirk2", "kvaerno3", "kvaerno4", "kvaerno5", "radau_iia5", "rosenbrock_w", "scipy:Radau")


@dataclass(frozen=True, eq=False)
class Problem:
    """One problem: its field, where it starts and ends, and whether explicit methods make sense."""

    name: str
    field: Field
    y0: Tensor
    t_end: float
    stiff: bool
    scale: float = 1e-3  # the absolute tolerance is rtol times this


def rigid_body(t: Tensor, y: Tensor) -> Tensor:
    """Euler's equations for the angular momentum of a free rigid body, moments of inertia 1/2, 2, 3."""
    a, b, c = y
    return torch.stack((-b * c / 6, 5 / 3 * a * c, -1.5 * a * b))


def arenstorf(t: Tensor, y: Tensor) -> Tensor:
    """The restricted three-body problem with a periodic orbit; y = (x, x', y, y')."""
    mu = 0.012277471
    x, vx, z, vz = y
    d1, d2 = ((x + mu) ** 2 + z**2) ** 1.5, ((x - 1 + mu) ** 2 + z**2) ** 1.5
    ax = x + 2 * vz - (1 - mu) * (x + mu) / d1 - mu * (x - 1 + mu) / d2
    az = z - 2 * vx - (1 - mu) * z / d1 - mu * z / d2
    return torch.stack((vx, ax, vz, az))


def pleiades(t: Tensor, y: Tensor) -> Tensor:
    """Seven stars in the plane with masses 1..7; y = (positions [14], velocities [14])."""
    q, v = y[:14].reshape(2, 7), y[14:]
    mass = torch.arange(1.0, 8.0, dtype=y.dtype)
    gap = q[:, None, :] - q[:, :, None]
    cube = (gap.square().sum(0) + torch.eye(7, dtype=y.dtype)) ** 1.5
    return torch.cat((v, (mass * gap / cube).sum(2).reshape(-1)))


def kuramoto(t: Tensor, y: Tensor) -> Tensor:
    """Fifty oscillators on a ring of four neighbours each side, speeds spread evenly in [-1, 1]."""
    pull = sum(torch.sin(y.roll(k) - y) for k in (-4, -3, -2, -1, 1, 2, 3, 4))
    return torch.linspace(-1, 1, y.numel(), dtype=y.dtype)[torch.arange(y.numel()) * 19 % y.numel()] + 0.4 * pull


def heat(t: Tensor, y: Tensor) -> Tensor:
    """y'' on [0, 1] with 100 cells, ends at zero: |lambda| up to 4e4."""
    z = torch.zeros(1, dtype=y.dtype)
    return (torch.cat((y[1:], z)) - 2 * y + torch.cat((z, y[:-1]))) * (y.numel() + 1) ** 2


def problems() -> list[Problem]:
    """The ten, as small systems `[n]` in float64."""
    d = torch.float64
    stars = [3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0]
    x = torch.arange(1, 101, dtype=d) / 101
    one = torch.tensor([0.994, 0.0, 0.0, -2.00158510637908252240537862224], dtype=d)
    cells = torch.arange(1, 11, dtype=d) / 11
    wave = torch.stack((1 + torch.sin(2 * torch.pi * cells), torch.full((10,), 3.0, dtype=d)), 1)
    phases = torch.linspace(0, 6, 50, dtype=d)
    return [
        Problem("van der Pol, mu = 1000", van_der_pol, torch.tensor([[2.0], [0.0]], dtype=d), 2000.0, True),
        Problem("Robertson", robertson, torch.tensor([[1.0], [0.0], [0.0]], dtype=d), 1e4, True, 1e-5),
        Problem("HIRES", hires, torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0.0057], dtype=d).unsqueeze(1), 321.8122, True),
        Problem("Oregonator", oregonator, torch.tensor([[1.0], [2.0], [3.0]], dtype=d), 360.0, True),
        Problem("Brusselator", brusselator, wave, 10.0, True),
        Problem("heat, 100 cells", heat, torch.sin(torch.pi * x) + 0.2 * torch.sin(30 * torch.pi * x), 0.1, True),
        Problem("Pleiades", pleiades, torch.tensor(stars, dtype=d), 3.0, False),
        Problem("Arenstorf", arenstorf, one, 17.0652165601579625588917206249, False),
        Problem("rigid body", rigid_body, torch.tensor([1.0, 0.0, 0.9], dtype=d), 20.0, False),
        Problem("Kuramoto", kuramoto, phases, 20.0, False),
    ]


def reference(p: Problem) -> Tensor:
    """The state at the end, by scipy at a tolerance of 1e-12."""

    def f(t: float, y: np.ndarray) -> np.ndarray:
        return p.field(torch.tensor(t, dtype=torch.float64), torch.from_numpy(y).view(p.y0.shape)).reshape(-1).numpy()

    method = "Radau" if p.stiff else "DOP853"
    s = solve_ivp(f, (0, p.t_end), p.y0.reshape(-1).numpy(), method, rtol=1e-12, atol=1e-13 * p.scale)
    return torch.from_numpy(s.y[:, -1]).view(p.y0.shape)


def measure(p: Problem, tolerances: list[float]) -> list[dict[str, object]]:
    methods = IMPLICIT if p.stiff else EXPLICIT
    runs = [Run(m, rtol=tol, atol=tol * p.scale) for m in methods for tol in tolerances]
    rows = compare(p.field, p.y0, p.t_end, runs, reference=reference(p), max_steps=60_000).rows
    return [{"problem": p.name, **asdict(r)} for r in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--rtol", default="1e-4,1e-6")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # states of a few numbers
    everything: list[dict[str, object]] = []
    columns = ("method", "rtol", "error", "steps", "rejected", "evaluations", "linear_iterations", "seconds", "status")
    for p in problems():
        rows = measure(p, [float(v) for v in given.rtol.split(",")])
        everything += rows
        print(f"\n{p.name}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
        for r in rows:
            print(
                "| " + " | ".join(f"{r[c]:.2g}" if isinstance(r[c], float) else str(r[c]) for c in columns) + " |", flush=True
            )
        name = p.name.split(",")[0].lower().replace(" ", "_")
        plots.work_precision(rows, cost="evaluations", title=p.name).savefig(given.out / f"{name}.png", dpi=120)
    with (given.out / "standard_problems.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(everything[0]))
        writer.writeheader()
        writer.writerows(everything)
    print(f"\nwrote {given.out}/standard_problems.csv and a picture per problem")


if __name__ == "__main__":
    main()
