"""The page that `neuralpde solve` leaves: what ran, what it cost, what happened."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from ..report import Report
from ..simulate import Simulation
from .options import Solve
from .output import RunFolder, versions
from .problem import GraphProblem

_PICTURES = {
    "monitors.png": "What was watched, over time.",
    "final.png": "The state at the end.",
    "solution.gif": "The solution over time.",
}


def write_page(
    folder: RunFolder, options: Solve, p: GraphProblem, result: Simulation, monitors: Sequence[Mapping[str, object]]
) -> Path:
    """Write `report.html` and return its path."""
    name = type(p.pde).__name__
    page = Report(
        f"{name} on {options.graph}",
        f"{p.graph.num_nodes:,} nodes, {p.graph.num_edges:,} directed edges, {p.u0.shape[1]} channels, "
        f"t = 0 to {options.t_end:g}.",
        footer=", ".join(f"{package} {version}" for package, version in versions().items()),
    )
    page.section("How it was solved").text(result.message).table([vars(result.stats)], "What the solve cost")
    seen = page.section("What happened")
    if monitors:
        seen.table(monitors, "At the first and at the last time")
    for file, caption in _PICTURES.items():
        if file in folder.written:
            seen.image(folder.path / file, caption)
    again = page.section("Again")
    again.text("The command of this run; beside this page are solution.npz (t, u), results.csv and run.json.")
    again.commands(command(options))
    return page.write(folder.file("report.html"))


def command(options: Solve) -> str:
    """The command line that gives these options, without those at their defaults."""
    words = ["neuralpde", "solve", options.graph]
    solver = {f"solver.{f.name}": (getattr(options.solver, f.name), f.default) for f in fields(options.solver)}
    plain = Solve(options.graph)
    rest = {
        f.name: (getattr(options, f.name), getattr(plain, f.name)) for f in fields(options) if f.name not in ("graph", "solver")
    }
    for key, (value, default) in {**rest, **solver}.items():
        if value != default:
            words += [f"--{key}"] if value is True else [f"--{key}", _text(value)]
    return shlex.join(words)


def _flat(options: Solve) -> dict[str, object]:
    found = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in ("graph", "solver")}
    return {**found, **{f"solver.{f.name}": getattr(options.solver, f.name) for f in fields(options.solver)}}


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value)
