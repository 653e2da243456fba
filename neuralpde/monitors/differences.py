"""Energies of edge differences, node by node."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..graph import Graph
from ..operators.differences import edge_inner, edge_squares
from ..operators.reverse import reverse_edges

Energy = Callable[[Tensor], Tensor]  # of features [nodes, channels], [graphs]


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


def edge_energy(graph: Graph, weight: Tensor | None = None) -> Energy:
    """The total of `energy_density` over each graph, made ready for many readings.

    Of an undirected graph it looks at one direction of every edge, at half the cost; differences of float32 features are
    taken in float32 where no gradient is wanted, at half of that.

    Args:
        graph: the edges.
        weight: `[edges]` in place of the graph's weights.

    Returns:
        A function of features `[nodes, channels]`, real, with values `[graphs]`, float64.
    """
    halves = _one_way(graph) if weight is None else None
    if halves is None:
        return lambda x: graph.space.total(energy_density(graph, x, weight))
    edges, weights = halves
    pairs = edges.t().contiguous()

    def squares(x: Tensor) -> Tensor:
        if x.dtype == torch.float32 and not (x.requires_grad and torch.is_grad_enabled()):
            return edge_squares(pairs, x.contiguous())
        return edge_inner(edges, x := x.to(torch.float64), x)

    def energy(x: Tensor) -> Tensor:
        each = squares(x)
        each = each if weights is None else each * weights
        return graph.space.total(each.new_zeros(graph.num_nodes).index_add(0, edges[1], each))

    return energy


def _one_way(graph: Graph) -> tuple[Tensor, Tensor | None] | None:
    """Edges s -> t with s < t, sorted, and the mean weight of both directions; None where that does not say everything."""
    source, target = graph.edge_index
    if (graph.weight is not None and graph.weight.requires_grad) or not graph.undirected:
        return None
    kept = torch.nonzero(source < target).squeeze(1)
    kept = kept[torch.argsort(source[kept] * graph.num_nodes + target[kept])]
    edges = graph.edge_index[:, kept].contiguous()
    if graph.weight is None:
        return edges, None
    reverse = reverse_edges(graph)
    if not torch.equal(graph.edge_index[:, reverse], graph.edge_index.flip(0)):  # parallel edges, one way only
        return None
    weight = graph.edge_weight(torch.float64)
    return edges, ((weight + weight[reverse]) / 2)[kept]
