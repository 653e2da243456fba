"""Stiff diffusion (combinatorial Laplacian, hubs) to T = 100: implicit, stabilised and exact steps against explicit adaptive.

16 channels (the peer takes some 40,000 evaluations). Ours runs at the loosest tolerance at which its measured error is not
larger than the peer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from neuralpde import Diffusion, simulate

from ..graphs import Sample, cora
from ..measure import Kept, once
from ..peers import DOPRI5, Heat, dopri5
from ..plan import Plan
from ..reference import exact_heat, relative_error
from ..row import Row, single

CASE, SHORT, TOLERANCE = "stiff diffusion to T = 100", "stiff diffusion to T = 10", 1e-4
METHODS = ("auto", "trbdf2", "sdirk2", "rkc2", "rkl2")
AIMED = ("auto", "trbdf2", "rkc2")  # exact, implicit and stabilised: one of each has a target
LADDER = (1e-2, 1e-3, 1e-4, 1e-5, 2e-6)


def run(plan: Plan) -> Iterator[Row]:
    """One row per method; the peer runs once."""
    sample, t = replace(cora(plan), channels=plan.pick(16, 16, 4)), plan.pick(100.0, 10.0, 1.0)
    u0, exact = sample.state(), exact_heat(sample, "none", t)
    pde, edges = Diffusion(), sample.graph.edge_index
    peer = Heat(edges, torch.ones(edges.shape[1]), sample.graph.degree.unsqueeze(1))
    solved = Kept(lambda: dopri5(peer, u0, t, TOLERANCE, TOLERANCE))
    with torch.no_grad():
        theirs = once(solved)
        error = relative_error(solved.result, exact)
        for method in METHODS:
            row = _row(pde, sample, u0, t, exact, method, theirs, error, f"{peer.evaluations} evaluations")
            yield replace(row, case=SHORT) if plan.name == "quick" else row


def _row(
    pde: Diffusion, sample: Sample, u0: Tensor, t: float, exact: Tensor, method: str, theirs: float, error: float, calls: str
) -> Row:
    best, rtol, stats = float("inf"), LADDER[0], None
    for rtol in LADDER:
        result = simulate(pde, sample.graph, u0, t, method, rtol=rtol, save="final")
        best, stats = relative_error(result.u[-1], exact), result.stats
        if best <= error:
            break
    own = min(once(lambda: simulate(pde, sample.graph, u0, t, method, rtol=rtol, save="final")) for _ in range(3))
    work = f"{stats.products + stats.evaluations} products and evaluations" if stats else ""
    reached = "" if best <= error else " (the peer's was not reached)"
    own_note = f"T = {t:g}, {sample.channels} channels, rtol {rtol:.0e}, {work}, error {best:.1e}{reached}"
    note = f"{own_note}; peer: {calls}, error {error:.1e}"
    return single(CASE, method, DOPRI5, "ratio", theirs / own, ours=1e3 * own, theirs=1e3 * theirs, note=note)
