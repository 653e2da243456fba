"""The largest connected component of a labelled graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..graph import as_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data


def largest_component(data: Data) -> Data:
    """The nodes of the largest component, in their order, with what belongs to them; directions of edges do not matter.

    Many protocols take it first (Shchur et al. 2018; Gasteiger et al. 2019): Cora 2,485 of 2,708 nodes, CiteSeer 2,120 of
    3,327. Of components of equal size it is the one with the first node.

    Args:
        data: with `edge_index`; per-node and per-edge tensors are cut to what remains.
    """
    from scipy.sparse.csgraph import connected_components

    graph = as_graph(data)
    if graph.num_nodes == 0:
        return data
    labels = torch.from_numpy(connected_components(graph.to_scipy(), directed=False)[1].astype("int64"))
    sizes = torch.bincount(labels)
    inside = labels == labels[int(sizes[labels].argmax())]
    return data.subgraph(inside.to(graph.device))
