"""`neuralpde solve`: an equation on a graph, what happened to it, and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..monitors import Monitor
from ..plots import animate, energies, snapshot
from ..simulate import Simulation, simulate
from .options import Solve
from .output import RunFolder
from .problem import GraphProblem, make_problem, observable_named
from .progress import Bar


def run(options: Solve) -> int:
    p = make_problem(options.graph, options.pde, options.pde_options, options.u0, options.seed, options.dtype, options.device)
    if not options.t_end > 0 or options.saves < 1:
        raise ValueError(f"t_end = {options.t_end}, saves = {options.saves}; both must be positive")
    watchers = [Monitor(observable_named(name)) for name in options.monitors]
    folder = RunFolder(Path(options.out), "solve", options, options.quiet)
    folder.say(f"{type(p.pde).__name__} on {options.graph}: {p.graph}, {p.u0.shape[1]} channels, t = 0 .. {options.t_end:g}")
    times = torch.linspace(0.0, options.t_end, options.saves + 1, dtype=torch.float64)
    s = options.solver
    with Bar("solving", 0.0, options.t_end, options.quiet or options.json) as bar, torch.no_grad():
        result = simulate(
            p.pde,
            p.graph,
            p.u0,
            times,
            s.method,
            dt=s.dt,
            rtol=s.rtol,
            atol=s.atol,
            monitors=watchers,
            callbacks=[bar],
        )
    folder.say(result.message)
    _write(folder, options, p, result, watchers)
    return 0


def _write(folder: RunFolder, options: Solve, p: GraphProblem, result: Simulation, watchers: list[Monitor]) -> None:
    np.savez_compressed(folder.file("solution.npz"), t=result.t.numpy(), u=result.u.cpu().numpy())
    rows = [
        {"monitor": m.name, "graph": g, "t": float(t), "value": float(v)}
        for m in watchers
        for t, values in zip(m.t, m.values, strict=True)
        for g, v in enumerate(values)
    ]
    folder.write_csv("results.csv", rows)
    shown = [{"monitor": m.name, "first": float(m.values[0].sum()), "last": float(m.values[-1].sum())} for m in watchers]
    if watchers:
        folder.table("monitors", shown)
        energies({type(p.pde).__name__: watchers}).savefig(folder.file("monitors.png"), dpi=150)
    if p.graph.pos is not None and p.graph.pos.shape[1] == 2:
        snapshot(p.graph, result.u[-1]).savefig(folder.file("final.png"), dpi=150)
        if options.animate:
            animate(p.graph, result.u, folder.file("solution.gif"), t=result.t)
    elif options.animate:
        folder.say("no animation: the graph has no positions in the plane")
    stats = vars(result.stats)
    folder.finish(result.status, method=result.message, stats=stats, monitors=shown)
