"""Where attention has its entries: the edges, and one self-loop per node; and what the graph's weights are there."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from solvers import Pattern

from ..errors import GraphError
from ..graph import Graph
from .strongest import strongest

_ORDERS: WeakKeyDictionary[Pattern, Tensor] = WeakKeyDictionary()


def attention_pattern(graph: Graph) -> Pattern:
    """The edges without the graph's own self-loops and one loop per node, sorted by row; kept by the graph."""
    if "attention" not in graph.patterns:
        c = _unsorted(graph).by_row
        graph.patterns["attention"] = Pattern(c.rows, c.columns, graph.num_nodes, graph.num_nodes)
    return graph.patterns["attention"]


def _unsorted(graph: Graph) -> Pattern:
    source, target = graph.edge_index
    proper, loop = source != target, torch.arange(graph.num_nodes, device=graph.device)
    rows, cols = torch.cat([target[proper], loop]), torch.cat([source[proper], loop])
    return Pattern(rows, cols, graph.num_nodes, graph.num_nodes)


def heads_pattern(graph: Graph, heads: int) -> Pattern:
    """So many copies of `attention_pattern` side by side, one per head: node i of head h is row h N + i."""
    one = attention_pattern(graph)
    if heads == 1:
        return one
    name = f"attention x {heads}"
    if name not in graph.patterns:
        n = graph.num_nodes
        shift = (torch.arange(heads, device=graph.device) * n).repeat_interleave(len(one))
        graph.patterns[name] = Pattern(one.rows.repeat(heads) + shift, one.cols.repeat(heads) + shift, heads * n, heads * n)
    return graph.patterns[name]


def by_head(x: Tensor, heads: int) -> Tensor:
    """`[N, H d]` with the channels of a head side by side, as `[H N, d]`."""
    if heads == 1:
        return x
    return x.view(len(x), heads, -1).transpose(0, 1).reshape(heads * len(x), -1)


def entry_weights(graph: Graph, dtype: torch.dtype | None = None) -> Tensor:
    """The graph's weights on the entries of `attention_pattern`, `[entries]`.

    A self-loop has the weight that the graph stores for it (of several their sum), or 1 if it stores none.
    """
    weight = graph.edge_weight(dtype)
    source, target = graph.edge_index
    own = source == target
    at = target[own]
    stored = weight.new_zeros(graph.num_nodes).index_add(0, at, weight[own])
    missing = torch.ones(graph.num_nodes, dtype=torch.bool, device=graph.device).index_fill(0, at, False)
    loops = torch.where(missing, torch.ones_like(stored), stored)
    return torch.cat([weight[~own], loops]).index_select(0, _order(graph))


def _order(graph: Graph) -> Tensor:
    """Which of the edges that are no loops, followed by the loops, an entry is."""
    pattern = attention_pattern(graph)
    if pattern not in _ORDERS:
        order = _unsorted(graph).by_row.order
        _ORDERS[pattern] = torch.arange(len(pattern), device=graph.device) if order is None else order
    return _ORDERS[pattern]


def walk_weights(graph: Graph, norm: Literal["row", "col"] = "row", dtype: torch.dtype | None = None) -> Tensor:
    """A random walk on the entries of `attention_pattern`: `entry_weights` over their sum in each row (or column).

    Raises:
        GraphError: a negative weight, or a node all of whose weights are zero.
    """
    pattern, weight = attention_pattern(graph), entry_weights(graph, dtype)
    end = pattern.rows if norm == "row" else pattern.cols
    total = weight.new_zeros(graph.num_nodes).index_add(0, end, weight)
    if graph.weight is not None and (bool((weight.detach() < 0).any()) or bool((total.detach() <= 0).any())):
        raise GraphError(
            "a random walk needs weights >= 0 that are not all zero at a node; use weight.abs(), or drop the edges"
        )
    return weight / total.index_select(0, end)


def strongest_edges(graph: Graph, values: Tensor, share: float) -> Graph:
    """The graph without the weakest edges: of those of each graph, at most `share` go, the ones with the smallest values.

    The threshold is the value at place floor(share E) of the E sorted ones (from 0); of equal values either none or all go.
    Self-loops stay. Nodes and their data are those of the graph; attributes of edges are dropped. Weights keep their
    gradient; the choice has none.

    Args:
        graph: what the values are on.
        values: of the entries of `attention_pattern(graph)`, `[entries]`: attention.
        share: in [0, 1).
    """
    pattern = attention_pattern(graph)
    proper = (pattern.rows != pattern.cols).nonzero().squeeze(1)
    of = torch.zeros_like(proper) if graph.batch is None else graph.batch[pattern.rows[proper]]
    keep = torch.ones(len(pattern), dtype=torch.bool, device=graph.device)
    keep[proper] = strongest(values[proper], of, graph.num_graphs, share)
    rows, cols = pattern.rows[keep], pattern.cols[keep]
    weight = None if graph.weight is None else entry_weights(graph)[keep]
    kept = {"attention": Pattern(rows, cols, graph.num_nodes, graph.num_nodes)}
    return replace(graph, edge_index=torch.stack([cols, rows]), weight=weight, edge_attr=None, patterns=kept)
