"""`neuralpde compare`: many integrators on one problem, error against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from solvers import Comparison, Row, Run, method_named, reference_solution
from solvers import compare as measure

from ..plots import work_precision
from .options import Compare
from .output import RunFolder
from .problem import as_float64, make_problem, parse_list

_COLUMNS = ("method", "setting", "error", "steps", "evaluations", "linear_iterations", "seconds", "status")


def run(options: Compare) -> int:
    runs = _runs(options)
    p = make_problem(options.graph, options.pde, options.pde_options, options.u0, options.seed, options.dtype, options.device)
    folder = RunFolder(Path(options.out), "compare", options, options.quiet)
    folder.say(f"{type(p.pde).__name__} on {options.graph}: {p.graph}, t = 0 .. {options.t_end:g}, {len(runs)} runs")
    exact = as_float64(p)
    with torch.no_grad():
        reference = reference_solution(
            exact.pde.on(exact.graph, exact.u0), exact.pde.lift(exact.graph, exact.u0), options.t_end
        )
        field, y0 = p.pde.on(p.graph, p.u0), p.pde.lift(p.graph, p.u0)

    def progress(row: Row) -> None:
        folder.say(f"  {row.method} {row.dt or row.rtol}: {row.status}, {row.seconds:.2f} s")

    result = measure(field, y0, options.t_end, runs, reference=reference, space=p.graph.space, each=progress)
    return _write(folder, result)


def _runs(options: Compare) -> list[Run]:
    names = [n.strip() for n in options.methods.split(",") if n.strip()]
    dts, tols = parse_list(options.dts, "dts"), parse_list(options.tols, "tols")
    runs = []
    for name in names:
        method = method_named(name)
        exact_flow = ":" not in name and method.order == float("inf")  # it has no steps, and goes by its tolerance
        adaptive = method.adaptive or exact_flow
        if not adaptive and not dts:
            raise ValueError(f"{name} runs with fixed steps only: give --dts, for instance --dts 0.1,0.05,0.025")
        runs += [] if adaptive and ":" in name else [Run(name, dt=dt) for dt in dts]  # other libraries' own step control
        runs += [Run(name, rtol=tol) for tol in tols] if adaptive else []
    if not runs:
        raise ValueError("nothing to run: give --methods, and --dts or --tols")
    return runs


def _write(folder: RunFolder, result: Comparison) -> int:
    rows: Sequence[dict[str, object]] = result.records()
    folder.table("error against cost", [{**row, "setting": _setting(row)} for row in rows], _COLUMNS)
    for row in result.rows:
        if row.status != "ok":
            folder.say(f"{row.method}: {row.note.split('. ')[0]}")
    best = result.cheapest(1e-4)
    if best is not None:
        folder.say(f"cheapest with an error below 1e-4: {best.method}, {best.seconds:.3g} s")
    folder.write_csv("results.csv", rows)
    work_precision(_lines(rows)).savefig(folder.file("work_precision.png"), dpi=150)
    done = any(row.status == "ok" for row in result.rows)
    folder.finish("ok" if done else "failed", rows=list(rows))
    return 0 if done else 1


def _lines(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The rows under the names of their lines: fixed and adaptive steps of one method are two."""
    both = {r["method"] for r in rows if r["dt"] is not None} & {r["method"] for r in rows if r["dt"] is None}
    return [
        {**r, "method": f"{r['method']}, fixed steps"} if r["dt"] is not None and r["method"] in both else dict(r) for r in rows
    ]


def _setting(row: Mapping[str, object]) -> str:
    if row["dt"] is not None:
        return f"dt {row['dt']:g}"
    return "default" if row["rtol"] is None else f"rtol {row['rtol']:.0e}"
