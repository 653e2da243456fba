"""`neuralpde solve`: an equation on a graph, what happened to it, and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from solvers import BackEnd, ExactFlow, choose, method_named

from ..monitors import Monitor
from ..plots import animate, energies, snapshot
from ..simulate import Simulation, simulate
from .options import Solve, SolverOptions
from .output import RunFolder
from .problem import GraphProblem, make_problem, observable_named
from .progress import Bar
from .solve_page import write_page


def run(options: Solve) -> int:
    if not options.t_end > 0 or options.saves < 1:
        raise ValueError(f"t_end = {options.t_end}, saves = {options.saves}; both must be positive")
    p = make_problem(options.graph, options.pde, options.pde_options, options.u0, options.seed, options.dtype, options.device)
    observables = [observable_named(name) for name in options.monitors]
    watched = shows_steps(p, options.solver, options.t_end)
    watchers = [Monitor(o, None if watched else options.t_end / options.saves) for o in observables]
    folder = RunFolder(Path(options.out), "solve", options, options.quiet)
    folder.say(f"{type(p.pde).__name__} on {options.graph}: {p.graph}, {p.u0.shape[1]} channels, t = 0 .. {options.t_end:g}")
    times = None if watched else [options.t_end]  # without steps to show there is one thing to say: that it is done
    with Bar("solving", 0.0, options.t_end, options.quiet or options.json, times) as bar:
        result = integrate(p, options, watchers, bar)
    folder.say(result.message)
    _write(folder, options, p, result, watchers)
    return 0


def integrate(p: GraphProblem, options: Solve, watchers: list[Monitor], bar: Bar) -> Simulation:
    """Solve from 0 to `t_end`, with `saves` equally spaced outputs."""
    times = torch.linspace(0.0, options.t_end, options.saves + 1, dtype=torch.float64)
    s = options.solver
    with torch.no_grad():
        return simulate(
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


def shows_steps(p: GraphProblem, options: SolverOptions, t_end: float) -> bool:
    """Whether the method takes steps that can be watched.

    An exact flow gives all outputs from one recurrence, unless it is told a step; another library's method keeps its steps
    to itself. Both serve declared times.
    """
    if options.method == "auto":
        with torch.no_grad():
            field, y0 = p.pde.on(p.graph, p.u0), p.pde.lift(p.graph, p.u0)
            method, _ = choose(field, y0, [0.0, t_end], options.dt)
    else:
        method = method_named(options.method)
    return not (isinstance(method, BackEnd) or (isinstance(method, ExactFlow) and options.dt is None))


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
    write_page(folder, options, p, result, shown)
    folder.finish(result.status, method=result.message, stats=vars(result.stats), monitors=shown)
