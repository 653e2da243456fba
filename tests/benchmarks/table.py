"""The table of a run: Markdown, CSV, JSON and a picture of ratios over their targets."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from .row import Row
from .targets import target

_HEAD = "| work | graph | against | allocator | result | at least / at most | stretch | | ours | theirs | |"


def write(rows: Sequence[Row], machine: dict[str, object], problems: Sequence[str], out: Path) -> None:
    """`results.md`, `results.csv`, `results.json` and `results.png` in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.md").write_text(markdown(rows, machine, problems), encoding="utf-8")
    records = [{**asdict(row), **_verdict(row)} for row in rows]
    with (out / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*Row.__dataclass_fields__, "target", "stretch", "met"])
        writer.writeheader()
        writer.writerows(records)
    clean = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in r.items()} for r in records]
    text = json.dumps({"machine": machine, "problems": list(problems), "rows": clean}, indent=1)
    (out / "results.json").write_text(text + "\n", encoding="utf-8")
    picture(rows).savefig(out / "results.png", dpi=120, bbox_inches="tight")


def markdown(rows: Sequence[Row], machine: dict[str, object], problems: Sequence[str] = ()) -> str:
    """The table as text; what misses its target is marked."""
    lines = ["# Benchmarks", "", *(f"- {key}: {value}" for key, value in machine.items()), ""]
    counted = [row for row in rows if _verdict(row)["met"] is not None]
    missed = [row for row in counted if not _verdict(row)["met"]]
    lines += [f"{len(counted) - len(missed)} of {len(counted)} targets met.", "", _HEAD, "|" + " --- |" * 11]
    lines += [_line(row) for row in rows]
    lines += ["", "Not measured:", "", *(f"- {text}" for text in problems)] if problems else []
    return "\n".join(lines) + "\n"


def brief(row: Row) -> str:
    """One line for the terminal."""
    verdict = _verdict(row)
    mark = {None: " ", True: "+", False: "-"}[verdict["met"]]
    bound = "" if verdict["target"] is None else f" (target {verdict['target']:g})"
    what = f"{row.case}, {row.graph}, {row.peer}, {row.allocator}"
    return f"{mark} {what}: {row.measure} {row.value:.3g} [{row.low:.3g}, {row.high:.3g}]{bound}  {row.note}"


def picture(rows: Sequence[Row]) -> Figure:
    """Ratios with their quartiles, as multiples of their targets; 1 is the target."""
    shown = [(row, found) for row in rows if (found := target(row)) and found.bound(row.allocator)]
    figure = Figure(figsize=(9, 1.2 + 0.2 * max(1, len(shown))))
    axes = figure.add_subplot()
    for at, (row, found) in enumerate(reversed(shown)):
        bound = found.bound(row.allocator) or 1.0
        scaled = [max(v, 1e-12) / bound for v in (row.value, row.low, row.high)]
        value, low, high = (1 / v for v in scaled) if found.at_most else scaled
        colour = "tab:blue" if found.met(row) else "tab:red"
        axes.plot(value, at, "o" if row.allocator == "default" else "D", color=colour, markersize=4)
        axes.plot(sorted((low, high)), (at, at), color=colour, linewidth=1)
    axes.set_yticks(
        range(len(shown)), [f"{r.case}, {r.graph} ({r.measure}, {r.allocator})" for r, _ in reversed(shown)], size=6
    )
    axes.axvline(1.0, color="0.5", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("multiple of the target (1: met); bars: quartiles over rounds; circle: default allocator, diamond: tuned")
    return figure


def _verdict(row: Row) -> dict[str, float | bool | None]:
    found = target(row)
    if found is None:
        return {"target": None, "stretch": None, "met": None}
    return {"target": found.bound(row.allocator), "stretch": found.further(row.allocator), "met": found.met(row)}


def _line(row: Row) -> str:
    verdict = _verdict(row)
    spread = f" [{_short(row.low)}, {_short(row.high)}]" if row.rounds > 1 else ""
    mark = {None: "", True: "met", False: "**missed**"}[verdict["met"]]
    sides = [f"{_short(v)} {row.unit}" if v == v else "" for v in (row.ours, row.theirs)]
    bounds = ["" if v is None else f"{v:g}" for v in (verdict["target"], verdict["stretch"])]
    cells = (row.case, row.graph, row.peer, row.allocator, f"{row.measure} {_short(row.value)}{spread}", *bounds, mark)
    return f"| {' | '.join((*cells, *sides, row.note))} |"


def _short(x: float) -> str:
    return f"{x:.3g}" if abs(x) < 1000 else f"{x:,.0f}"
