"""Part 2: heat over real terrain by many integrators; what accuracy costs, and what a step too long is told."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import Comparison, Row, Run, available, compare, method_named, reference_solution

from ...datasets import Raster, jacksboro, jacksboro_raster
from ...graph import Graph
from ...pdes import Diffusion
from .part import Tick

RUNS = (
    Run("euler", dt=0.3),
    Run("rk4", dt=0.4),
    Run("ab2", dt=0.2),
    Run("euler", dt=0.2),
    Run("euler", dt=0.1),
    Run("heun", dt=0.2),
    Run("heun", dt=0.1),
    Run("rk4", dt=0.3),
    Run("rk4", dt=0.15),
    Run("ab2", dt=0.1),
    Run("ab2", dt=0.05),
    Run("ab4", dt=0.03),
    Run("abm3", dt=0.1),
    Run("abm3", dt=0.05),
    Run("bosh3", rtol=1e-3),
    Run("bosh3", rtol=1e-5),
    Run("dopri5", rtol=1e-4),
    Run("dopri5", rtol=1e-6),
    Run("tsit5", rtol=1e-4),
    Run("tsit5", rtol=1e-6),
    Run("implicit_euler", dt=1.0),
    Run("implicit_euler", dt=0.25),
    Run("crank_nicolson", dt=1.0),
    Run("crank_nicolson", dt=0.25),
    Run("bdf2", dt=1.0),
    Run("bdf2", dt=0.25),
    Run("sdirk2", dt=1.0),
    Run("trbdf2", rtol=1e-3),
    Run("trbdf2", rtol=1e-5),
)
"""The first three are beyond their stability limit on this terrain (lambda_max is just below 8)."""


@dataclass(frozen=True)
class HeatSetup:
    """What is computed.

    Args:
        crop: rows and columns of the terrain; None for all 344 x 403.
        t_end: in (cell width)^2 / diffusivity; a point spreads to sqrt(2 t) cells.
        runs: methods with steps or tolerances.
    """

    crop: tuple[int, int] | None = None
    t_end: float = 10.0
    runs: tuple[Run, ...] = RUNS


@dataclass(frozen=True, eq=False)
class Smoothing:
    """The terrain before and after, and what every run cost.

    Args:
        graph, raster: the terrain.
        before, after: elevation in metres, `[N, 1]`; `after` is the reference.
        comparison: the rows.
    """

    graph: Graph
    raster: Raster
    before: Tensor
    after: Tensor
    comparison: Comparison

    @property
    def refused(self) -> list[Row]:
        return [row for row in self.comparison.rows if row.status == "refused"]

    def records(self) -> list[dict[str, object]]:
        """One dictionary per run, with the kind of method, the work in products with L, and a short note."""
        rows = []
        for row, record in zip(self.comparison.rows, self.comparison.records(), strict=True):
            note = row.note.split(" (")[0].split("it needs ")[-1] if row.status == "refused" else row.note
            setting = f"dt {row.dt:g}" if row.dt is not None else f"rtol {row.rtol:.0e}"
            rows.append({**record, "kind": kind(row.method), "setting": setting, "work": work(row), "why": note})
        return rows


def kind(name: str) -> str:
    """Explicit, multistep or implicit."""
    method = method_named(name)
    if name.startswith(("ab", "bdf")):
        return "multistep" if method.explicit else "implicit multistep"
    return "explicit" if method.explicit else "implicit"


def work(row: Row) -> int:
    """Products with the Laplacian: one per evaluation, and those inside linear solves."""
    return row.evaluations + row.products


def smooth_terrain(setup: HeatSetup, tick: Tick) -> Smoothing:
    """Solve `u' = -L u` from the elevation by every run, against the action of the matrix exponential."""
    graph, raster = jacksboro(setup.crop), jacksboro_raster(setup.crop)
    before = graph.node["elevation"].unsqueeze(1)
    runs = [run for run in setup.runs if run.method in available()]
    tick(0.0, "reference")
    with torch.no_grad():
        field = Diffusion().on(graph, before)
        after = reference_solution(field, before, setup.t_end)
        done: list[Row] = []

        def each(row: Row) -> None:
            done.append(row)
            tick(len(done) / len(runs), row.method)

        result = compare(field, before, setup.t_end, runs, reference=after, space=graph.space, each=each)
    return Smoothing(graph, raster, before, after, result)
