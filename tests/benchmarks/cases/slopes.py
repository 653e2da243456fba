"""How cost grows: log-log slopes with edges at fixed nodes, with channels, with T; and the making of a large graph."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from neuralpde import Diffusion, Graph, simulate
from solvers import SparseOperator

from ..graphs import Sample, pubmed, uniform
from ..measure import OURS, interleave, once, slope, spread
from ..plan import Plan
from ..row import Row, single

CASE, MAKING = "growth of cost", "Graph of many edges, sorted and transposed"


def run(plan: Plan) -> Iterator[Row]:
    """Edges, channels, T."""
    with torch.no_grad():
        yield from with_edges(plan)
        yield with_channels(plan)
        yield with_time(plan)


def with_edges(plan: Plan) -> Iterator[Row]:
    """The product on ever more random edges between 50,000 nodes; the last graph's making, by the clock."""
    nodes, channels = plan.pick(50_000, 50_000, 50), 16
    counts = plan.pick(
        (300_000, 1_000_000, 3_000_000, 10_000_000), (100_000, 300_000, 1_000_000), (100, 300, 1000)
    )  # fmt: skip
    seconds, made = [], 0.0
    for count in counts:
        sample = uniform(nodes, count, channels)
        start = time.perf_counter()
        graph = Graph.from_edges(sample.graph.edge_index, num_nodes=nodes)
        _ = graph.pattern.by_row, graph.pattern.transposed.by_row
        made = time.perf_counter() - start
        A, x = SparseOperator(graph.pattern, torch.ones(count)), sample.state()
        seconds.append(spread(interleave({OURS: lambda A=A, x=x: A.matvec(x)}, plan)[OURS]).median)
    found = slope(counts, seconds)
    yield single(CASE, "edges", "-", "slope", found, note=f"{counts[0]:,} to {counts[-1]:,} edges, {nodes:,} nodes")
    yield single(MAKING, f"{counts[-1]:,} edges", "-", "time", made, ours=1e3 * made, note="from_edges, checked; wall clock, s")


def with_channels(plan: Plan) -> Row:
    """The product from 8 to 256 channels."""
    base, widths, seconds = pubmed(plan), (8, 16, 32, 64, 128, 256), []
    A = base.operator()
    for width in widths:
        x = replace(base, channels=width).state()
        seconds.append(spread(interleave({OURS: lambda x=x: A.matvec(x)}, plan)[OURS]).median)
    return single(CASE, "channels", "-", "slope", slope(widths, seconds), note="8 to 256 channels, PubMed-like")


def with_time(plan: Plan) -> Row:
    """Linear diffusion with the normalised Laplacian, T from 1 to 1000, tolerance 1e-4."""
    sample, times, seconds, products = replace(pubmed(plan), channels=16), (1.0, 10.0, 100.0, 1000.0), [], []
    for t in times:
        runs = [_solve(sample, t) for _ in range(plan.pick(3, 2, 1))]
        seconds.append(min(s for s, _ in runs))
        products.append(runs[0][1])
    note = f"T = 1 to 1000: {', '.join(map(str, products))} products, slope {slope(times, products):.2f}"
    return single(CASE, "T", "-", "slope", slope(times, seconds), note=note)


def _solve(sample: Sample, t: float) -> tuple[float, int]:
    found = []
    pde, u0 = Diffusion(normalization="sym"), sample.state()
    seconds = once(lambda: found.append(simulate(pde, sample.graph, u0, t, rtol=1e-4, save="final").stats.products))
    return seconds, found[0]
