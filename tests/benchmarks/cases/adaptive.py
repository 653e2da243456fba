"""The same scheme on a nonlinear field: dopri5 on GraphCON-GCN with tanh, against torchdiffeq's; and small systems."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.nn import GCNConv
from torchdiffeq import odeint

from neuralpde import GraphCON, simulate
from solvers import solve

from ..graphs import Sample, cora, pubmed
from ..measure import OURS, Kept, interleave, ratio_rows
from ..peers import DOPRI5, Oscillators, dopri5
from ..plan import Plan
from ..row import Row

NONLINEAR, SMALL, TOLERANCE, END = "dopri5 on GraphCON-GCN, tanh", "small system, dopri5 step", 1e-4, 10.0


def nonlinear(plan: Plan) -> Iterator[Row]:
    """Equal weights, tolerances and time; forward."""
    for sample in [cora(plan)] if plan.name == "quick" else [cora(plan), pubmed(plan)]:
        yield from on(sample, plan)


def on(sample: Sample, plan: Plan) -> Iterator[Row]:
    torch.manual_seed(0)
    pde = GraphCON(sample.channels, "gcn", alpha=0.5, gamma=1.0, activation="tanh")
    conv = GCNConv(sample.channels, sample.channels, cached=True)
    with torch.no_grad():
        conv.lin.weight.copy_(pde.weight.t())
    peer, u0 = Oscillators(conv, sample.graph.edge_index, 0.5, 1.0, torch.tanh), sample.state()
    options = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE, "save": "final"}

    ours = Kept(lambda: simulate(pde, sample.graph, u0, END, **options))
    theirs = Kept(lambda: peer.reset() or dopri5(peer, (u0, u0), END, TOLERANCE, TOLERANCE)[0])
    with torch.no_grad():
        seconds = interleave({OURS: ours, DOPRI5: theirs}, plan)
    u = ours.result.u[-1]
    apart = float((u - theirs.result).norm() / u.norm())
    note = f"{ours.result.stats.evaluations} and {peer.evaluations} evaluations; the two are {apart:.0e} apart"
    yield from ratio_rows(NONLINEAR, sample.name, seconds, note=note)


def small(plan: Plan) -> Iterator[Row]:
    """The time of a step on three equations whose field is one product (a rotation): what the machinery costs."""
    y0, end = torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64), plan.pick(30.0, 10.0, 0.5)
    spin = torch.tensor([[0.0, 1.0, 2.0], [-1.0, 0.0, 1.0], [-2.0, -1.0, 0.0]], dtype=torch.float64)
    calls = 0

    def field(t: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.mv(spin, y)

    def ours() -> Tensor:
        return solve(field, y0, end, "dopri5", rtol=1e-6, atol=1e-9, save="final").y[-1]

    times = torch.tensor([0.0, end], dtype=torch.float64)

    def theirs() -> Tensor:
        return odeint(field, y0, times, rtol=1e-6, atol=1e-9, method="dopri5")[-1]  # type: ignore[index]

    with torch.no_grad():
        seconds = interleave({OURS: ours, "torchdiffeq dopri5": theirs}, plan)
        stats = solve(field, y0, end, "dopri5", rtol=1e-6, atol=1e-9, save="final").stats
        calls = 0
        theirs()
    steps = {OURS: max(1, stats.accepted + stats.rejected), "torchdiffeq dopri5": max(1, (calls - 2) // 6)}
    each = {name: [s / steps[name] for s in found] for name, found in seconds.items()}
    note = f"rotation; {steps[OURS]} and {steps['torchdiffeq dopri5']} steps"
    yield from ratio_rows(SMALL, "3 equations", each, note=note)
