"""Energies of edge differences, node by node."""

from __future__ import annotations

import torch
from torch import Tensor

from ..graph import Graph
from ..operators.differences import edge_inner


def energy_density(graph: Graph, x: Tensor, weight: Tensor | None = None) -> Tensor:
    """The energy of edge differences at each node: `e_i = 1/2 sum over edges j -> i of w_ij |x_i - x_j|^2`.

    The sum over the nodes of an undirected graph, stored both ways, is tr(X' L X), L = D - A: each undirected edge counts
    once. For weights that are not symmetric it is that of their symmetric part.

    Args:
        graph: the edges.
        x: `[nodes, channels]`, real; made float64.
        weight: `[edges]` in place of the graph's weights.

    Returns:
        `[nodes]`, float64.
    """
    weight = graph.edge_weight(torch.float64) if weight is None else weight.to(torch.float64)
    x = x.to(torch.float64)
    energy = weight * edge_inner(graph.edge_index, x, x) / 2
    return energy.new_zeros(graph.num_nodes).index_add(0, graph.edge_index[1], energy)
