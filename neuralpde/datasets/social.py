"""Zachary's karate club: 34 members, 78 friendships, and the two clubs that it split into.

Source: W. W. Zachary (1977), An information flow model for conflict and fission in small groups, Journal of
Anthropological Research 33, 452; as in networkx (BSD-3). Weights: number of contexts in which two members met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx
import torch

from ..graph import Graph

if TYPE_CHECKING:
    from torch_geometric.data import Data

LEADERS = (0, 33)


def karate_graph(weighted: bool = False) -> Graph:
    """The club as a graph for equations: 34 nodes, 156 directed edges; `node["y"]` is 0 (Mr. Hi) or 1 (Officer)."""
    club = nx.karate_club_graph()
    y = torch.tensor([int(club.nodes[i]["club"] == "Officer") for i in club.nodes])
    return Graph.from_networkx(club, "weight" if weighted else None).with_node(y=y)


def karate(val: int = 10, seed: int = 0, *, weighted: bool = False) -> Data:
    """The club as a semi-supervised task: only the two leaders are labelled (Kipf and Welling 2017).

    Args:
        val: how many of the other 32 members are for validation; the rest is for testing.
        seed: of that draw.
        weighted: keep the weights, as `edge_weight`.

    Returns:
        A PyG `Data` with `x` (one-hot, `[34, 34]`), `y`, `train_mask`, `val_mask`, `test_mask`.
    """
    graph = karate_graph(weighted)
    others = torch.tensor([i for i in range(graph.num_nodes) if i not in LEADERS])
    others = others[torch.randperm(others.numel(), generator=torch.Generator().manual_seed(seed))]
    train, validation, test = (torch.zeros(graph.num_nodes, dtype=torch.bool) for _ in range(3))
    train[list(LEADERS)] = True
    validation[others[:val]] = True
    test[others[val:]] = True
    x = torch.eye(graph.num_nodes)
    return graph.with_node(x=x, train_mask=train, val_mask=validation, test_mask=test).to_data()
