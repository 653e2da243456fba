"""Many labelled graphs in a few tensors, and how they are divided into training, validation and test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..errors import GraphError
from ..graph import Graph


class GraphCollection(Protocol):
    """Labelled graphs that come as one block-diagonal graph; `GraphList` and `DigitGrids` are such."""

    @property
    def x(self) -> Tensor:
        """The features of all nodes, channels last."""
        ...

    def targets(self, index: Tensor) -> Tensor:
        """The labels of the graphs of these numbers, or of their nodes: as many rows as a model gives for `batch`."""
        ...

    def batch(self, index: Tensor) -> Graph:
        """The graphs of these numbers as one, with features `x`."""
        ...


@dataclass(frozen=True, eq=False)
class GraphList:
    """Graphs of different sizes, end to end; `GraphList.of` makes one.

    Args:
        x: features, `[nodes of all graphs, channels]`.
        edge_index: `[2, edges of all graphs]`, any integers; each graph's nodes are numbered from 0.
        nodes, edges: how many each graph has, `[graphs]`.
        y: labels, a row for each graph, or for each node.
        pos: positions, `[nodes of all graphs, axes]`; None for none.
    """

    x: Tensor
    edge_index: Tensor
    nodes: Tensor
    edges: Tensor
    y: Tensor
    pos: Tensor | None = None

    def __post_init__(self) -> None:
        sums = int(self.nodes.sum()), int(self.edges.sum())
        if sums != (self.x.size(0), self.edge_index.size(1)):
            got = self.x.size(0), self.edge_index.size(1)
            raise GraphError(f"the graphs have {sums[0]} nodes and {sums[1]} edges together; x and edge_index hold {got}")
        if self.y.size(0) not in (len(self), sums[0]):
            raise GraphError(f"y has {self.y.size(0)} rows; expected one for each of {len(self)} graphs or {sums[0]} nodes")

    @staticmethod
    def of(items: Iterable[Mapping[str, Tensor]]) -> GraphList:
        """From one mapping for each graph: `x` `[nodes, channels]`, `edge_index`, `y`, and perhaps `pos`.

        Args:
            items: y of one row for each graph (`[1]`, `[1, k]` or a scalar) or of one for each node.
        """
        parts = list(items)
        if not parts:
            raise GraphError("there are no graphs to make a list of; expected at least one")
        labels = [p["y"].reshape(1) if p["y"].dim() == 0 else p["y"] for p in parts]
        return GraphList(
            torch.cat([p["x"] for p in parts]),
            torch.cat([p["edge_index"] for p in parts], 1),
            torch.tensor([p["x"].size(0) for p in parts]),
            torch.tensor([p["edge_index"].size(1) for p in parts]),
            torch.cat(labels),
            torch.cat([p["pos"] for p in parts]) if "pos" in parts[0] else None,
        )

    def __len__(self) -> int:
        return self.nodes.numel()

    @property
    def per_node(self) -> bool:
        """Whether the labels are those of nodes."""
        return self.y.size(0) != len(self)

    def targets(self, index: Tensor) -> Tensor:
        return self.y[_ranges(self.nodes, index)] if self.per_node else self.y[index]

    def batch(self, index: Tensor) -> Graph:
        """The graphs of these numbers, in this order, as one block-diagonal graph with `node["x"]` and `batch`."""
        count = self.nodes[index]
        where, which = _ranges(self.nodes, index), _ranges(self.edges, index)
        first = (count.cumsum(0) - count).repeat_interleave(self.edges[index])
        return Graph.from_edges(
            self.edge_index[:, which].long() + first,
            num_nodes=int(count.sum()),
            batch=torch.arange(index.numel()).repeat_interleave(count),
            pos=None if self.pos is None else self.pos[where],
            node={"x": self.x[where]},
            validate=False,
        )

    def with_positions(self) -> GraphList:
        """With the positions as further features: x becomes (x, pos)."""
        if self.pos is None:
            raise GraphError("the graphs have no positions to put among their features")
        return replace(self, x=torch.cat([self.x, self.pos.to(self.x.dtype)], 1))

    def select(self, index: Tensor) -> GraphList:
        """The graphs of these numbers only."""
        where, pos = _ranges(self.nodes, index), self.pos
        edges = self.edge_index[:, _ranges(self.edges, index)]
        pos = None if pos is None else pos[where]
        return GraphList(self.x[where], edges, self.nodes[index], self.edges[index], self.targets(index), pos)


@dataclass(frozen=True, eq=False)
class GraphSets:
    """Labelled graphs with a published or drawn division, which `sweep` and `search` take in place of one labelled graph.

    Args:
        graphs: all of them.
        train, val, test: numbers of the graphs in each set.
        outputs: how many numbers a model gives for a row: classes, labels, or targets.
    """

    graphs: GraphCollection
    train: Tensor
    val: Tensor
    test: Tensor
    outputs: int

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            if not getattr(self, name).numel():
                raise ValueError(f"{name} holds no graph; expected at least one")

    @property
    def channels(self) -> int:
        """Features per node."""
        return self.graphs.x.size(-1)

    @staticmethod
    def of_parts(train: GraphList, val: GraphList, test: GraphList, outputs: int) -> GraphSets:
        """From three lists."""
        parts = (train, val, test)
        if len({part.per_node for part in parts}) > 1:
            raise GraphError("some of the lists have labels of graphs and some of nodes; expected one kind")
        pos = [part.pos for part in parts if part.pos is not None]
        whole = GraphList(
            torch.cat([p.x for p in parts]),
            torch.cat([p.edge_index for p in parts], 1),
            torch.cat([p.nodes for p in parts]),
            torch.cat([p.edges for p in parts]),
            torch.cat([p.y for p in parts]),
            torch.cat(pos) if pos else None,
        )
        first, second, third = torch.arange(len(whole)).split([len(part) for part in parts])
        return GraphSets(whole, first, second, third, outputs)


def _ranges(sizes: Tensor, index: Tensor) -> Tensor:
    """Positions of the entries of the chosen graphs, one after the other."""
    count = sizes[index]
    start = (sizes.cumsum(0) - sizes)[index]
    offset = start - (count.cumsum(0) - count)
    return torch.arange(int(count.sum())) + offset.repeat_interleave(count)
