"""`neuralpde diagnose`: whether an equation or a network oversmooths, how fast, and what theory says; a page to read."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from ..datasets import resolve_graph
from ..diagnose import diagnose
from ..diagnose_report import Diagnosis
from ..plots import diagnosis
from .diagnose_options import Diagnose
from .diagnose_page import write_page
from .networks import network_named
from .output import RunFolder
from .problem import device_named, initial_features, make_problem, parse_list

_LAYERS = 32  # of a network that is read layer by layer


def run(options: Diagnose) -> int:
    folder = RunFolder(Path(options.out), "diagnose", options, options.quiet)
    found = _network(options) if options.model else _equation(options)
    folder.say(str(found))
    folder.write_csv("results.csv", found.records())
    figure = diagnosis(found)
    figure.savefig(folder.file("diagnosis.png"), dpi=150)
    write_page(folder, options, found, figure)
    plt.close(figure)
    low, high = found.interval
    folder.finish(
        "ok",
        verdict=found.verdict.meaning,
        kind=found.kind,
        rate=found.rate,
        interval=[low, high],
        theory={"rate": found.theory.rate, "kind": found.theory.kind, "text": found.theory.text},
        notes=list(found.notes),
        recommendation=found.recommendation,
    )
    return 0


def _equation(options: Diagnose) -> Diagnosis:
    if not options.t_end > 0:
        raise ValueError(f"t_end = {options.t_end}; expected a positive time")
    if options.depths:
        raise ValueError("depths is for networks (--model gcn); an equation runs until --t_end")
    p = make_problem(options.graph, options.pde, options.pde_options, options.u0, options.seed, options.dtype, options.device)
    s = options.solver
    given = {name: value for name, value in (("dt", s.dt), ("rtol", s.rtol), ("atol", s.atol)) if value is not None}
    return diagnose(
        p.pde,
        p.graph,
        t=options.t_end,
        u0=p.u0,
        energy=options.energy or None,
        method=s.method,
        **given,  # type: ignore[arg-type]
    )


def _network(options: Diagnose) -> Diagnosis:
    kind = torch.float32 if options.dtype == "float32" else torch.float64
    device = device_named(options.device)
    graph = resolve_graph(options.graph).to(kind).to(device)
    x = initial_features(graph, options.u0, options.seed).to(device, kind)
    depths = [int(depth) for depth in parse_list(options.depths, "depths")]

    def make(depth: int) -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            return network_named(options.model, x.shape[1], depth).to(device, kind)

    energy = options.energy or None
    if depths:
        return diagnose(make, graph, depths, u0=x, energy=energy)
    return diagnose(make(_LAYERS), graph, u0=x, energy=energy)
