"""Linear diffusion with the normalised Laplacian, forward, tolerance 1e-4, against dopri5 on messages; errors measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from neuralpde import Diffusion, simulate

from ..graphs import Sample, cora, pubmed
from ..measure import OURS, Kept, interleave, ratio_rows
from ..peers import DOPRI5, Heat, dopri5
from ..plan import Plan
from ..reference import exact_heat, relative_error
from ..row import Row

CASE, TOLERANCE = "linear diffusion, T = {:g}", 1e-4


def run(plan: Plan) -> Iterator[Row]:
    """Cora-like and PubMed-like, T = 10 and T = 100; the first only in a quick run."""
    for sample in (cora(plan), pubmed(plan)):
        for t in (10.0, 100.0):
            if sample.name == "Cora-like" or plan.name != "quick":
                yield from on(sample, t, plan)


def on(sample: Sample, t: float, plan: Plan) -> Iterator[Row]:
    """`u' = -(I - D^-1/2 A D^-1/2) u` to time t."""
    pde, u0 = Diffusion(normalization="sym"), sample.state()
    degree = sample.graph.degree.clamp(min=1).rsqrt()
    edges = sample.graph.edge_index
    heat = Heat(edges, degree[edges[0]] * degree[edges[1]])

    ours = Kept(lambda: simulate(pde, sample.graph, u0, t, rtol=TOLERANCE, save="final"))
    theirs = Kept(lambda: heat.reset() or dopri5(heat, u0, t, TOLERANCE, TOLERANCE))
    with torch.no_grad():
        seconds = interleave({OURS: ours, DOPRI5: theirs}, plan)
    exact = exact_heat(sample, "sym", t)
    note = (
        f"{ours.result.stats.products} products, error {relative_error(ours.result.u[-1], exact):.0e}; "
        f"peer: {heat.evaluations} evaluations, error {relative_error(theirs.result, exact):.0e}"
    )
    yield from ratio_rows(CASE.format(t), sample.name, seconds, note=note)
