"""From names to a problem: the graph, the equation, the initial features, as `solve` and `compare` take them."""

from __future__ import annotations

import inspect
import re
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solvers import nearest, unknown

from .. import monitors, pdes
from ..datasets import resolve_graph
from ..graph import Graph

_ALIASES = {"heat": "diffusion"}


@dataclass(frozen=True, eq=False)
class GraphProblem:
    """What is to be solved."""

    graph: Graph
    pde: pdes.GraphPDE
    u0: Tensor


def make_problem(
    graph: str, pde: str, pde_options: dict[str, Any], u0: str, seed: int, dtype: str, device: str
) -> GraphProblem:
    """Build graph, initial features and equation from their names.

    Raises:
        UnknownName: for a name that does not exist, naming the nearest.
        ValueError: for options that the equation does not have, or features that cannot be made.
    """
    kind = {"float64": torch.float64, "float32": torch.float32}.get(dtype)
    if kind is None:
        raise unknown("dtype", dtype, ["float64", "float32"])
    on = device_named(device)
    where = resolve_graph(graph).to(kind).to(on)
    start = initial_features(where, u0, seed).to(on, kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # weights of equations that have some
        equation = _equation(pde, _with_graph_data(pde, pde_options, where), start.shape[1])
    return GraphProblem(where, equation.to(on, kind), start)


def device_named(name: str) -> torch.device:
    """A device by its name: cpu, cuda, cuda:1, or auto (a GPU if there is one).

    Raises:
        UnknownName: there is no such device.
        ValueError: torch cannot use one here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise unknown("device", name, ["cpu", "cuda", "auto"])
    found = torch.device(name)
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device = {name!r}, but torch sees {torch.cuda.device_count()} GPUs here; take cpu or auto")
    return found


def _with_graph_data(pde: str, options: dict[str, Any], graph: Graph) -> dict[str, Any]:
    """On the sea floor the wave equation takes its cell areas and its sponge from the graph."""
    if _plain(pde) != "wave" or not {"area", "sponge"} <= graph.node.keys():
        return options
    return {"mass": graph.node["area"], "damping": graph.node["sponge"], **options}


def _equation(name: str, options: dict[str, Any], channels: int) -> pdes.GraphPDE:
    known = {_plain(n): getattr(pdes, n) for n in dir(pdes)}
    known = {n: c for n, c in known.items() if inspect.isclass(c) and issubclass(c, pdes.GraphPDE) and c is not pdes.GraphPDE}
    key = _plain(_ALIASES.get(name.lower(), name))
    if key not in known:
        raise unknown("equation", name, [*known, *_ALIASES])
    accepted = inspect.signature(known[key]).parameters
    for option in options:
        if option not in accepted:
            close = nearest(option, accepted)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{known[key].__name__} has no parameter {option!r}.{hint} It has: {', '.join(accepted)}.")
    if "channels" in accepted and "channels" not in options:
        options = {"channels": channels, **options}
    return known[key](**options)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def initial_features(graph: Graph, text: str, seed: int) -> Tensor:
    """Initial features `[nodes, channels]` from their name: bump, random, random:C, node:K, features, or a .npy file."""
    if match := re.fullmatch(r"random(?::([1-9]\d*))?", text):
        return torch.rand(
            graph.num_nodes, int(match[1] or 1), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
    if text == "bump":
        return _bump(graph)
    if text == "features":
        for key in ("x", "elevation"):
            if key in graph.node:
                x = graph.node[key].double()
                return x.unsqueeze(1) if x.dim() == 1 else x
        raise ValueError(f"this graph has no features (node data: {', '.join(graph.node) or 'none'}); take bump or random")
    if match := re.fullmatch(r"node:(\d+)", text):
        k = int(match[1])
        if k >= graph.num_nodes:
            raise ValueError(f"u0 = node:{k}, but the graph has {graph.num_nodes} nodes (0..{graph.num_nodes - 1})")
        return torch.zeros(graph.num_nodes, 1, dtype=torch.float64).index_fill(0, torch.tensor([k]), 1.0)
    if Path(text).suffix == ".npy":
        x = torch.from_numpy(np.load(text, allow_pickle=False)).double()
        return x.unsqueeze(1) if x.dim() == 1 else x
    raise ValueError(f"u0 = {text!r}; expected bump, random, node:K, features, or a .npy file")


def _bump(graph: Graph) -> Tensor:
    """A Gaussian hill round the node in the middle: in space if there are positions, else one node and its neighbours."""
    if graph.pos is not None:
        pos = graph.pos.double().cpu()
        middle = pos[(pos - pos.mean(0)).square().sum(1).argmin()]
        extent = (pos.amax(0) - pos.amin(0)).max()
        return torch.exp(-(pos - middle).square().sum(1, keepdim=True) / (2 * (0.07 * extent) ** 2))
    start = torch.zeros(graph.num_nodes, 1, dtype=torch.float64)
    middle = int(graph.degree.argmax())
    start[middle] = 1.0
    start[graph.edge_index[0, graph.edge_index[1] == middle].cpu()] = 0.5
    return start


def observable_named(name: str) -> monitors.Observable:
    """An observable by its name in snake case, with its default settings."""
    base = monitors.Observable
    found = {_plain(n): getattr(monitors, n) for n in dir(monitors)}
    found = {n: c for n, c in found.items() if inspect.isclass(c) and issubclass(c, base) and c is not base}
    if _plain(name) not in found:
        raise unknown("monitor", name, [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", c.__name__).lower() for c in found.values()])
    return found[_plain(name)]()


def parse_list(text: str, what: str) -> list[float]:
    """`1e-2,1e-4`, or `1e-2:1e-6` for every power of ten between."""
    try:
        if ":" in text:
            first, last = (float(v) for v in text.split(":"))
            a, b = round(np.log10(first)), round(np.log10(last))
            return [10.0**k for k in range(a, b + (1 if b >= a else -1), 1 if b >= a else -1)]
        return [float(v) for v in text.split(",") if v.strip()]
    except ValueError as error:
        raise ValueError(f"{what} = {text!r}; expected numbers separated by commas, or a range such as 1e-2:1e-6") from error


def as_float64(problem: GraphProblem) -> GraphProblem:
    """The same problem in double precision, for a reference."""
    d = torch.float64
    return replace(problem, graph=problem.graph.to(d), pde=deepcopy(problem.pde).to(d), u0=problem.u0.to(d))
