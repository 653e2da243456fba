"""The largest connected component."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..errors import GraphError
from ..graph import Graph
from ..transform import Transform


def in_largest_component(graph: Graph) -> Tensor:
    """Which nodes are in the largest component, `[N]` bool; directions of edges do not matter.

    Of components of equal size it is the one with the first node.
    """
    if graph.num_nodes == 0:
        return torch.zeros(0, dtype=torch.bool, device=graph.device)
    adjacency = graph.with_weight(None).to_scipy()
    labels = torch.from_numpy(connected_components(adjacency, directed=False)[1].astype("int64"))
    sizes = torch.bincount(labels)
    return (labels == labels[int(sizes[labels].argmax())]).to(graph.device)


@dataclass(frozen=True)
class LargestComponent(Transform):
    """The nodes of the largest component, in their order, with their data, positions and edges.

    Directions of edges do not matter; of components of equal size it is the one with the first node.

    Raises:
        GraphError: for a batch of graphs.
    """

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"undirected", "edges"})

    def apply(self, graph: Graph) -> Graph:
        if graph.batch is not None:
            raise GraphError(f"{graph} is a batch; take the largest component of each graph before they are put together")
        inside = in_largest_component(graph)
        number = inside.long().cumsum(0) - 1
        keep = inside[graph.edge_index[0]]  # both ends of an edge are in one component

        def cut(x: Tensor | None, mask: Tensor) -> Tensor | None:
            return None if x is None else x[mask]

        return Graph(
            number[graph.edge_index[:, keep]],
            num_nodes=int(inside.sum()),
            weight=cut(graph.weight, keep),
            pos=cut(graph.pos, inside),
            edge_attr=cut(graph.edge_attr, keep),
            node={key: value[inside] for key, value in graph.node.items()},
        )

    @classmethod
    def example(cls) -> tuple[LargestComponent, Graph]:
        """A triangle beside an edge."""
        return cls(), Graph.from_edges([[0, 2, 4, 1], [2, 4, 0, 3]], undirected=True)
