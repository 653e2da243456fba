"""The reverse of every edge of an undirected graph, and quantities per edge that must agree with it."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers import Pattern

from ..errors import GraphError
from ..graph import Graph


def reverse_edges(graph: Graph) -> Tensor:
    """For each edge j -> i the number of an edge i -> j, `[E]`; an involution, parallel edges in their order.

    Both sorted orders are the pattern's own, so this is one scatter.

    Raises:
        GraphError: the graph is directed.
    """
    graph.require_undirected("reverse_edges")
    pattern = graph.pattern
    by_target, by_source = _order(pattern), _order(pattern.transposed)
    return torch.empty_like(by_target).scatter_(0, by_target, by_source)


def require_symmetric(graph: Graph, value: Tensor, who: str) -> None:
    """Raise unless a quantity per edge, `[E]`, is the same on both directions of every edge.

    Raises:
        GraphError: naming the first edge at fault.
    """
    if graph.num_edges == 0:
        return
    reverse = reverse_edges(graph)
    value = value.detach()
    wrong = (value - value[reverse]).abs() > 8 * torch.finfo(value.dtype).eps * value.abs()
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0, 0])
        source, target = graph.edge_index[:, first].tolist()
        raise GraphError(
            f"{who} differs between an edge and its reverse on {int(wrong.sum()):,} of {graph.num_edges:,} edges (first: "
            f"{source} -> {target} has {float(value[first]):g}, its reverse {float(value[reverse[first]]):g}); an undirected "
            "flux needs one value per edge: (c + c[reverse_edges(graph)]) / 2"
        )


def _order(pattern: Pattern) -> Tensor:
    order = pattern.by_row.order
    return torch.arange(len(pattern), device=pattern.rows.device) if order is None else order
