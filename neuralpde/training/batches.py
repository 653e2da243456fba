"""Batches of graphs out of a collection of them, in an order that the seed of the fit determines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..datasets.graph_list import GraphCollection
from ..graph import Graph


@dataclass(frozen=True, eq=False)
class GraphBatches:
    """Pairs `(Graph, y)` of so many graphs each; the last one may be smaller. Iterate once an epoch.

    Args:
        graphs: the collection.
        index: the numbers of the graphs that take part, `[k]`.
        size: graphs in a batch.
        shuffle: draw a new order for each epoch, from torch's generator (that of `fit` is its own).
    """

    graphs: GraphCollection
    index: Tensor
    size: int = 64
    shuffle: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size = {self.size}; expected at least one graph in a batch")

    def __len__(self) -> int:
        return -(-self.index.numel() // self.size)

    def __iter__(self) -> Iterator[tuple[Graph, Tensor]]:
        index = self.index[torch.randperm(self.index.numel())] if self.shuffle else self.index
        for part in index.split(self.size):
            yield self.graphs.batch(part), self.graphs.targets(part)
