"""Where the many graphs of a task come from: raw files, or made up for quick runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from neuralpde import Graph
from neuralpde.datasets import GraphList, GraphSets, load_graphs
from neuralpde.datasets.loading import Split

GRAPHS = ("mnist-superpixels", "zinc", "ppi")
"""Data sets of many graphs."""


@dataclass(frozen=True)
class GraphData:
    """A data set of `load_graphs`; ("random", k) draws what validates of MNIST with seed k.

    Args:
        name: mnist-superpixels, zinc or ppi.
        root: folder with the raw files; None takes NEURALPDE_DATA.
    """

    name: str
    root: str | None = None

    @property
    def label(self) -> str:
        return self.name

    def __call__(self, split: Split) -> GraphSets:
        found = load_graphs(self.name, self.root, seed=split[1] if isinstance(split, tuple) else 0)
        return _with_places(found) if self.name == "mnist-superpixels" else found


@dataclass(frozen=True)
class MadeUp:
    """Thirty small graphs with labels of the kind of a data set, for `--quick`; the results are those of no table."""

    name: str

    @property
    def label(self) -> str:
        return f"made up, like {self.name}"

    def __call__(self, split: Split) -> GraphSets:
        generator = torch.Generator().manual_seed(0)
        items = []
        for i in range(30):
            nodes = 5 + i % 4
            graph = Graph.ring(nodes) if i % 2 else Graph.path(nodes)
            x, pos = (torch.rand(nodes, c, generator=generator) for c in (1, 2))
            if self.name == "ppi":
                y = torch.cat([x > 0.5, pos > 0.5], 1).float()
            else:
                y = torch.tensor([i % 2]) if self.name == "mnist-superpixels" else x.sum(0)
            items.append({"x": x, "edge_index": graph.edge_index, "y": y, "pos": pos})
        train, val, test = torch.arange(30).split(10)
        outputs = {"ppi": 3, "mnist-superpixels": 2}.get(self.name, 1)
        found = GraphSets(GraphList.of(items), train, val, test, outputs)
        return found if self.name == "zinc" else _with_places(found)


def _with_places(sets: GraphSets) -> GraphSets:
    if not isinstance(sets.graphs, GraphList):
        raise TypeError(f"the graphs are a {type(sets.graphs).__name__}; expected a GraphList")
    return replace(sets, graphs=sets.graphs.with_positions())
