"""The graphs that are measured on: citation graphs (real edges where the data is there), power law, terrain, a size sweep."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neuralpde import DataMissing, Graph
from neuralpde.datasets import jacksboro, load
from neuralpde.operators import Adjacency
from solvers import SparseOperator

from .plan import Plan


@dataclass(frozen=True, eq=False)
class Sample:
    """A graph to measure on.

    Attributes:
        name: in the table.
        graph: undirected, without self-loops.
        channels: of the state.
        width: of the given features (bags of words), and their share of nonzeros.
        density: see `width`.
        classes: of the labels.
    """

    name: str
    graph: Graph
    channels: int
    width: int = 0
    density: float = 0.0
    classes: int = 0

    def state(self, seed: int = 0) -> Tensor:
        """A random state `[nodes, channels]`."""
        return torch.randn(self.graph.num_nodes, self.channels, generator=torch.Generator().manual_seed(seed))

    def features(self) -> Tensor:
        """Random bags of words, rows summing to one, `[nodes, width]`."""
        draw = torch.Generator().manual_seed(2)
        x = (torch.rand(self.graph.num_nodes, self.width, generator=draw) < self.density).float()
        return x / x.sum(1, keepdim=True).clamp(min=1)

    def labels(self) -> tuple[Tensor, Tensor]:
        """Random classes, and the 20 a class that train."""
        draw = torch.Generator().manual_seed(3)
        y = torch.randint(self.classes, (self.graph.num_nodes,), generator=draw)
        return y, torch.randperm(len(y), generator=draw)[: 20 * self.classes]

    def operator(self) -> SparseOperator:
        """`(D + 1)^-1/2 (A + I) (D + 1)^-1/2`: the product of a graph convolution."""
        return Adjacency(self.graph, "sym", self_loops=True, dtype=torch.float32).matrix

    def edges(self) -> tuple[Tensor, Tensor]:
        """The same as edges `[2, E]`, source first, and values `[E]`: what a user of PyG has."""
        matrix = self.operator()
        return torch.stack((matrix.pattern.cols, matrix.pattern.rows)), matrix.values


@cache
def cora(plan: Plan) -> Sample:
    """2,708 nodes, 13,264 entries with loops, 80 channels, 1,433 words: the real edges, or as many drawn."""
    edges = _raw_cora() if plan.shrink == 1 else None
    graph = Graph.from_edges(edges, num_nodes=2708, undirected=True) if edges is not None else _drawn(2708, 5278, 0.4, plan)
    return Sample("Cora-like", graph, plan.pick(80, 80, 4), plan.pick(1433, 1433, 12), 0.0127, 7)


@cache
def pubmed(plan: Plan) -> Sample:
    """19,717 nodes, 108,365 entries with loops, 128 channels, 500 words."""
    file = Path(os.environ.get("NEURALPDE_DATA", "")) / "PubMedGraph" / "pubmed_graph.npz"
    if plan.shrink == 1 and os.environ.get("NEURALPDE_DATA") and file.exists():
        with np.load(file) as data:
            graph = Graph.from_edges(torch.from_numpy(data["edge_index"]).long(), num_nodes=19717, undirected=True)
    else:
        graph = _drawn(19717, 44324, 0.4, plan)
    return Sample("PubMed-like", graph, plan.pick(128, 128, 4), plan.pick(500, 500, 12), 0.1, 3)


@cache
def arxiv(plan: Plan) -> Sample:
    """170,000 nodes, 2.5 million entries with loops, 128 channels: hubs of thousands, numbered at random."""
    return Sample("arxiv-like", _drawn(170_000, 1_165_000, 0.5, plan), plan.pick(128, 128, 4))


@cache
def terrain(plan: Plan) -> Sample:
    """The 344 x 403 cells of the Jacksboro fault, four neighbours each, 16 channels."""
    return Sample("terrain", jacksboro(plan.pick(None, None, (8, 9)), dtype=torch.float32), plan.pick(16, 16, 2))


def uniform(nodes: int, edges: int, channels: int) -> Sample:
    """So many directed edges between ends drawn at random: for slopes."""
    draw = np.random.default_rng(7)
    ends = torch.from_numpy(draw.integers(0, nodes, (2, edges)))
    return Sample(f"{edges:,} edges", Graph.from_edges(ends, num_nodes=nodes, validate=False), channels)


def measured_on(plan: Plan, with_terrain: bool = False) -> list[Sample]:
    """The graphs of the rows that ask for three: Cora-like, PubMed-like and, with time, arxiv-like (and the terrain)."""
    makers = [cora, pubmed, *((arxiv,) if plan.large else ()), *((terrain,) if with_terrain and plan.name != "quick" else ())]
    return [make(plan) for make in makers]


def _raw_cora() -> Tensor | None:
    """The published edges, `[2, 10556]`, or None where the files are not there."""
    if not os.environ.get("NEURALPDE_DATA"):
        return None
    try:
        return load("cora").edge_index
    except DataMissing:
        return None


def _drawn(nodes: int, pairs: int, exponent: float, plan: Plan) -> Graph:
    """Ends drawn with probabilities `i^-exponent` and numbered at random; every edge both ways, sorted as PyG sorts."""
    nodes, pairs = max(12, nodes // plan.shrink), max(20, pairs // plan.shrink)
    return Graph.from_edges(_edges(nodes, pairs, exponent), num_nodes=nodes, validate=False)


def _edges(nodes: int, pairs: int, exponent: float) -> Tensor:
    draw = np.random.default_rng(0)
    weight = np.arange(1, nodes + 1) ** -exponent
    cumulated = np.cumsum(weight / weight.sum())
    found = np.zeros(0, np.int64)
    while len(found) < min(pairs, nodes * (nodes - 1) // 4):
        a, b = np.minimum(np.searchsorted(cumulated, draw.random((2, pairs + pairs // 10))), nodes - 1)
        keys = np.minimum(a, b) * nodes + np.maximum(a, b)
        found = np.unique(np.concatenate([found, keys[a != b]]))
    a, b = np.divmod(draw.permutation(found)[:pairs], nodes)
    alone = np.setdiff1d(np.arange(1, nodes), np.concatenate([a, b]))
    a, b = np.concatenate([a, alone]), np.concatenate([b, np.zeros_like(alone)])  # to the largest hub
    name = draw.permutation(nodes)
    a, b = name[a], name[b]
    order = np.argsort(np.concatenate([a, b]) * nodes + np.concatenate([b, a]))
    return torch.from_numpy(np.stack([np.concatenate([a, b])[order], np.concatenate([b, a])[order]]))
