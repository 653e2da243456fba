"""`neuralpde info`: what there is."""

from __future__ import annotations

import inspect
import json

from torch import Tensor

from solvers import BackEnd, Integrator, available, method_named

from .. import datasets, monitors, pdes
from .options import Info
from .output import show


def run(options: Info) -> int:
    lists = {"methods": _methods, "pdes": _pdes, "monitors": _monitors, "datasets": _datasets}
    wanted = options.what.lower()
    wanted = {"schemes": "methods", "integrators": "methods", "equations": "pdes"}.get(wanted, wanted)
    if wanted == "all":
        found = {name: rows() for name, rows in lists.items()}
    elif wanted in lists:
        found = {wanted: lists[wanted]()}
    else:
        found = {options.what: _graph(options.what)}
    if options.json:
        print(json.dumps(found, indent=2, default=str))
        return 0
    for name, rows in found.items():
        _print(name, rows)
    return 0


def _methods() -> list[dict[str, object]]:
    rows = []
    for name in [*available(), *available("scipy"), *available("torchdiffeq")]:
        m = method_named(name)
        rows.append(
            {
                "name": name,
                "order": "exact" if m.order == float("inf") else "-" if isinstance(m, BackEnd) else m.order,
                "kind": f"{_kind(m)}, {m.needs}" if m.needs else _kind(m),
                "step": _step(m),
                "real stability": m.real_stability,
                "what": _first_line(m),
            }
        )
    return rows


def _kind(m: Integrator) -> str:
    if isinstance(m, BackEnd):
        return "another library's"
    return "exact flow" if m.order == float("inf") else "explicit" if m.explicit else "implicit"


def _step(m: Integrator) -> str:
    if m.order == float("inf"):
        return "one for all outputs"
    if isinstance(m, BackEnd):
        return "adaptive" if m.adaptive else "fixed"
    return "adaptive or fixed" if m.adaptive else "fixed"


def _pdes() -> list[dict[str, object]]:
    found = [(n, getattr(pdes, n)) for n in dir(pdes)]
    return [
        {"name": n, "parameters": str(inspect.signature(c)).strip("()"), "what": _first_line(c)}
        for n, c in found
        if inspect.isfunction(c) or (inspect.isclass(c) and issubclass(c, pdes.GraphPDE) and c is not pdes.GraphPDE)
    ]


def _monitors() -> list[dict[str, object]]:
    found = [(n, getattr(monitors, n)) for n in dir(monitors)]
    base = monitors.Observable
    return [
        {"name": n, "what": _first_line(c)} for n, c in found if inspect.isclass(c) and issubclass(c, base) and c is not base
    ]


def _datasets() -> list[dict[str, object]]:
    return [
        {
            "name": e.name,
            "here": "yes" if e.here else "no",
            "nodes": e.nodes,
            "edges": e.edges,
            "labels": e.labels,
            "what": e.what,
        }
        for e in datasets.available()
    ]


def _graph(text: str) -> list[dict[str, object]]:
    g = datasets.resolve_graph(text)
    degree = g.degree.double()
    return [
        {"property": "nodes", "value": g.num_nodes},
        {"property": "edges (directed)", "value": g.num_edges},
        {"property": "undirected", "value": g.undirected},
        {"property": "isolated nodes", "value": g.isolated},
        {"property": "degree: least, mean, largest", "value": " ".join(map(show, (*_extremes(degree),)))},
        {"property": "weights", "value": "none (all 1)" if g.weight is None else " to ".join(map(show, _range(g.weight)))},
        {"property": "node data", "value": ", ".join(f"{k} {tuple(v.shape)}" for k, v in g.node.items()) or "none"},
    ]


def _extremes(x: Tensor) -> tuple[float, float, float]:
    return float(x.min()), float(x.mean()), float(x.max())


def _range(x: Tensor) -> tuple[float, float]:
    return float(x.min()), float(x.max())


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]


def _print(title: str, rows: list[dict[str, object]]) -> None:
    print(f"\n{title}")
    if not rows:
        return
    columns = list(rows[0])
    cells = [[show(r[c]) for c in columns] for r in rows]
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    for line in [columns, *cells]:
        text = "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))
        print("  " + text.rstrip()[:150])
