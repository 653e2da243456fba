"""What `neuralpde diagnose` looks at: an equation, a network, or a trained model, with the features on their way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from solvers import SolveOptions, UnknownName, choose, linear_flow, method_named, unknown

from .. import datasets
from ..datasets import resolve_graph
from ..diagnose import diagnose, second_order
from ..diagnose_checkpoint import Run, as_run, from_file
from ..diagnose_layers import by_edges, convolutions, layer_states
from ..diagnose_report import Diagnosis
from ..graph import Graph, as_graph
from ..simulate import simulate
from .diagnose_options import Diagnose
from .networks import network_named
from .problem import device_named, initial_features, make_problem, parse_list

_LAYERS = 32  # of a network that is read layer by layer
_T_END = 10.0
_TIMES, MOST_NUMBERS = 33, 20_000_000  # states that are kept for pictures


@dataclass(frozen=True, eq=False)
class Subject:
    """What was diagnosed.

    Attributes:
        name: for the title of the page.
        graph, x: the graph, and the features that go in.
        found: the diagnosis.
        run: an equation in time; None for a network.
        model: a network, the deepest if there are several; None for an equation.
        states: makes the features at several times or layers, `([times], [times, N, channels])`.
    """

    name: str
    graph: Graph
    x: Tensor
    found: Diagnosis
    run: Run | None
    model: nn.Module | None
    states: Callable[[], tuple[Tensor, Tensor]]

    @property
    def swings(self) -> bool:
        """Whether it is an equation of second order in time."""
        return self.run is not None and second_order(self.run.pde.on(self.run.graph, self.run.u0))


def subject_of(options: Diagnose) -> Subject:
    """Build what the options name, and diagnose it."""
    if options.model and options.checkpoint:
        raise ValueError("give --model, a network with random weights, or --checkpoint, a trained one")
    if options.checkpoint:
        return _trained(options)
    if options.component:
        raise ValueError(f"component = {options.component!r} is for trained models: give --checkpoint, or leave it out")
    return _network(options) if options.model else _equation(options)


def _equation(options: Diagnose) -> Subject:
    t = _T_END if options.t_end is None else options.t_end
    if not t > 0:
        raise ValueError(f"t_end = {t}; expected a positive time")
    if options.depths:
        raise ValueError("depths is for networks (--model gcn); an equation runs until --t_end")
    u0 = options.u0 or "random:16"
    p = make_problem(options.graph, options.pde, options.pde_options, u0, options.seed, options.dtype, options.device)
    given = _solver(options)
    run = Run(type(p.pde).__name__, p.pde, p.graph, p.u0, t, options.solver.method, given)
    energy = options.energy or None
    found = diagnose(p.pde, p.graph, t=t, u0=p.u0, energy=energy, method=options.solver.method, **_copy(given))
    return Subject(run.name, p.graph, p.u0, found, run, None, lambda: _flow(run))


def _network(options: Diagnose) -> Subject:
    kind, device = _kind(options), device_named(options.device)
    graph = resolve_graph(options.graph).to(kind).to(device)
    x = initial_features(graph, options.u0 or "random:16", options.seed).to(device, kind)
    depths = [int(depth) for depth in parse_list(options.depths, "depths")]

    def make(depth: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            return network_named(options.model, x.shape[1], depth).to(device, kind)

    energy = options.energy or None
    if depths:
        found = diagnose(make, graph, depths, u0=x, energy=energy)
    else:
        found = diagnose(make(_LAYERS), graph, u0=x, energy=energy)
    model = make(depths[-1] if depths else _LAYERS)
    return Subject(options.model.upper(), graph, x, found, None, model, lambda: _layers(model, x, graph))


def _trained(options: Diagnose) -> Subject:
    if options.depths:
        raise ValueError("depths is for networks that are made here (--model gcn); those of --checkpoint have theirs")
    device = device_named(options.device)
    files = [part.strip() for part in options.checkpoint.split(",") if part.strip()]
    models = [from_file(path).to(device) for path in files]
    kind = next((p.dtype for p in models[0].parameters() if p.is_floating_point()), _kind(options))
    graph = _labelled(options.graph, options.component or _component(Path(files[0]), options.graph)).to(kind).to(device)
    x = initial_features(graph, options.u0 or "features", options.seed).to(device, kind)
    energy, given = options.energy or None, _solver(options)
    if len(models) > 1:
        by_depth = dict(sorted({len(convolutions(model)): model for model in models}.items()))
        if len(by_depth) < len(models):
            raise ValueError(
                f"{', '.join(files)}: two of them have equally many convolutions; expected networks of different depths"
            )
        found = diagnose(by_depth, graph, u0=x, energy=energy, trained=True)
        last = by_depth[max(by_depth)]
        return Subject(type(last).__name__, graph, x, found, None, last, lambda: _layers(last, x, graph))
    run = as_run(models[0], graph, x)
    if run is None:
        found = diagnose(models[0], graph, u0=x, energy=energy, trained=True)
        return Subject(Path(files[0]).name, graph, x, found, None, models[0], lambda: _layers(models[0], x, graph))
    t, method = options.t_end or run.t, options.solver.method
    run = Run(run.name, run.pde, run.graph, run.u0, t, run.method if method == "auto" else method, {**run.options, **given})
    found = diagnose(models[0], graph, t=t, u0=x, energy=energy, trained=True, method=method, **_copy(given))
    return Subject(Path(files[0]).name, run.graph, x, found, run, None, lambda: _flow(run))


def _labelled(name: str, component: str) -> Graph:
    """The graph with the features that `neuralpde train` gives it."""
    if component not in ("all", "largest"):
        raise unknown("component", component, ("all", "largest"))
    try:
        return as_graph(datasets.load(name, component=component))  # type: ignore[arg-type]
    except UnknownName:
        return resolve_graph(name)


def _component(checkpoint: Path, data: str) -> str:
    """The part of a data set that a checkpoint was trained on, as the record of its run says."""
    try:
        config = json.loads((checkpoint.parent / "run.json").read_text(encoding="utf-8"))["config"]
        return config["component"] if config["data"].lower() == data.lower() else "all"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "all"  # a checkpoint of another origin


def _kind(options: Diagnose) -> torch.dtype:
    return torch.float32 if options.dtype == "float32" else torch.float64


def _solver(options: Diagnose) -> SolveOptions:
    s = options.solver
    given: Any = {name: value for name, value in (("dt", s.dt), ("rtol", s.rtol), ("atol", s.atol)) if value is not None}
    return given


def _copy(options: SolveOptions) -> Any:
    return dict(options)


def _flow(run: Run) -> tuple[Tensor, Tensor]:
    count = max(9, min(_TIMES, MOST_NUMBERS // max(1, run.u0.numel())))
    t = torch.linspace(0, run.t, count, dtype=torch.float64)
    options = _copy(run.options)
    linear = linear_flow(run.pde.on(run.graph, run.u0)) is not None
    if linear and run.u0.dtype == torch.float64 and "dt" not in options:  # cheap, and bands may be far below the whole
        options = {"rtol": 1e-8, "atol": 1e-12, **options}
    with torch.no_grad():
        return t, simulate(run.pde, run.graph, run.u0, t, run.method, **options).u


def _layers(model: nn.Module, x: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
    return layer_states(model, x, graph.with_weight(None), by_edges)


def method_of(run: Run) -> str:
    """The name of the method that a run takes."""
    if run.method != "auto":
        return method_named(run.method).name
    with torch.no_grad():
        field, state = run.pde.on(run.graph, run.u0), run.pde.lift(run.graph, run.u0)
        chosen, _ = choose(field, state, [0.0, run.t], run.options.get("dt"), rtol=run.options.get("rtol"))
    return chosen.name
