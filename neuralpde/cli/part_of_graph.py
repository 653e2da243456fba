"""A part of a large graph that can be drawn: the surroundings of an edge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..diagnosis import BottleneckMap
from ..graph import Graph

_MOST = 120  # nodes


@dataclass(frozen=True, eq=False)
class Part:
    """Some nodes of a graph, and the edges among them.

    Attributes:
        graph: those, numbered anew.
        nodes: `[n]`, their old numbers.
        edges: `[e]`, the old places of the edges.
    """

    graph: Graph
    nodes: Tensor
    edges: Tensor

    def cut(self, found: BottleneckMap, values: Tensor | None, node: int) -> tuple[Graph, BottleneckMap, Tensor | None, int]:
        """A map, node values and a node of the whole graph on this part."""
        here = replace(found, edge=found.edge[self.edges], node=found.node[self.nodes])
        new = int((self.nodes == node).nonzero()[0])
        return self.graph, here, None if values is None else values[self.nodes], new


def around(graph: Graph, edge: Tensor, most: int = _MOST) -> Part:
    """The nodes nearest to an edge, hop by hop, as long as they are few; of the last hop those of low number.

    Args:
        graph: undirected.
        edge: `[2]`, its ends.
        most: nodes.
    """
    source, target = graph.edge_index
    inside = torch.zeros(graph.num_nodes, dtype=torch.bool, device=graph.device)
    inside[edge] = True
    while int(inside.sum()) < most:
        reached = inside.clone()
        reached[target[inside[source]]] = True
        new = (reached & ~inside).nonzero().squeeze(1)
        if not len(new):
            break
        inside[new[: most - int(inside.sum())]] = True
    nodes = inside.nonzero().squeeze(1)
    edges = (inside[source] & inside[target]).nonzero().squeeze(1)
    number = torch.full((graph.num_nodes,), -1, device=graph.device)
    number[nodes] = torch.arange(len(nodes), device=graph.device)
    return Part(Graph.from_edges(number[graph.edge_index[:, edges]], num_nodes=len(nodes)), nodes, edges)
