"""Tests of the field: its values, and that they depend on nothing that they must not depend on."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ..pdes.coefficient import Coefficient
from .report import Row
from .trial import Trial, noise, relative_difference


def shape_dtype_device(trial: Trial) -> Row:
    found: list[str] = []
    for dtype in (torch.float64, torch.float32):
        pde, graph = copy.deepcopy(trial.pde).to(dtype), trial.graph.to(dtype=dtype)
        u0 = trial.u0.to(dtype)
        y = pde.lift(graph, u0)
        out, back = trial.f(y, pde.on(graph, u0)), pde.read(y)
        for what, x, like in (("f(t, y)", out, y), ("read(lift(u0))", back, u0)):
            if x.shape != like.shape or x.dtype != like.dtype or x.device != like.device:
                found.append(f"{what} is {tuple(x.shape)} {x.dtype} for {tuple(like.shape)} {like.dtype}")
        rows = pde.read(torch.stack([y, y]))
        if rows.shape != (2, *u0.shape):
            found.append(f"read of two states is {tuple(rows.shape)}")
    advice = "take dtype and device from u0; read must accept leading axes (index with ..., nodes on axis -2)"
    return Row("shape, dtype, device", not found, "; ".join(found) or "as the state", "as the state", advice)


def same_twice(trial: Trial) -> Row:
    miss = relative_difference(trial.f(trial.y), trial.f(trial.y))
    return Row("same value twice", miss == 0, miss, 0.0, "draw random numbers in `on`, not in the field")


def relabelling(trial: Trial) -> Row:
    n, graph = trial.graph.num_nodes, trial.graph
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1)).to(graph.device)
    old = torch.argsort(order)  # new node k is the old node old[k]
    twin = replace(
        graph,
        edge_index=order[graph.edge_index],
        batch=None if graph.batch is None else graph.batch[old],
        pos=None if graph.pos is None else graph.pos[old],
        node={key: x[old] for key, x in graph.node.items()},
        patterns={},
    )
    pde = copy.deepcopy(trial.pde)
    for module in pde.modules():
        if isinstance(module, Coefficient):
            for x in [*module.parameters(), *module.buffers()]:
                if x.dim() == 1 and len(x) == n:
                    x.data = x.data[old]
    out = trial.f(trial.y[..., old, :], pde.on(twin, trial.u0[old]))
    miss = relative_difference(out, trial.f(trial.y)[..., old, :])
    advice = "nothing may depend on the numbers of the nodes; hold values per node in graph.node or in a Coefficient"
    return Row("relabelling", miss <= 1e-12, miss, 1e-12, advice)


def batching(trial: Trial) -> Row:
    name, advice = "graphs in a batch", "use graph.space for sums, means and maxima over the nodes"
    fixed = [m for m in trial.pde.modules() if isinstance(m, Coefficient) and isinstance(c := m(), Tensor) and c.dim()]
    if trial.graph.batch is not None or fixed:
        why = "the graph is a batch" if not fixed else f"{fixed[0].name} belongs to this graph"
        return Row(name, None, why, 1e-12, advice)
    twice = trial.graph.repeat(2)
    y = torch.cat([trial.y, trial.y + noise(trial.y, 2)], -2)
    u0 = torch.cat([trial.u0, trial.u0 * 2], -2)
    out = trial.f(y, trial.pde.on(twice, u0))[..., : trial.graph.num_nodes, :]
    miss = relative_difference(out, trial.f(trial.y))
    return Row(name, miss <= 1e-12, miss, 1e-12, advice)
