"""Attention as an operator: weights on the edges that sum to one over the edges into (or out of) each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from solvers import Pattern, SparseOperator, unknown

from ..graph import Graph
from .attention_weights import attention_weights, layout_of, positive_part, shifted
from .base import GraphOperator

NORMS = ("row", "col")
ACTIVATIONS = ("softmax", "squareplus")


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Attention(GraphOperator):
    """Scaled dot-product attention along the edges, the mean over heads h:

        a_ij = (1/H) sum_h softmax_j( <q_i^h, k_j^h> / sqrt(d) )       over the edges j -> i and the self-loop i -> i

    with d the width of a head. Rows sum to one (`norm="row"`, the GRAND paper's; the flow of A - I then obeys a maximum
    principle and its kernel is the constants), or columns (`norm="col"`, the form of the released code's tuned runs: mass
    is conserved instead). The paper's eq. 10 divides by a number d_k, the authors' code and this by its root. "squareplus"
    replaces exp(s) by (s + sqrt(s^2 + 4)) / 2; the released code first subtracts the largest score of all edges, which
    would couple the graphs of a batch and is left out here.

    Every node has one self-loop, whether the graph stores loops or not. Weights of the graph are not used. Memory is a few
    numbers per edge and head, never edges x channels.

    Args:
        graph: directed or not; attention at i looks along incoming edges.
        query, key: `[N, H d]`.
        heads: H.
        norm: "row" or "col".
        activation: "softmax" or "squareplus".

    Raises:
        ValueError: shapes that do not fit, heads that do not divide the width, unknown names.

    Reference: B. Chamberlain et al., GRAND: Graph Neural Diffusion (2021), eq. 10.
    """

    def __init__(
        self,
        graph: Graph,
        query: Tensor,
        key: Tensor,
        *,
        heads: int = 1,
        norm: Literal["row", "col"] = "row",
        activation: Literal["softmax", "squareplus"] = "softmax",
    ):
        if norm not in NORMS:
            raise unknown("norm", norm, NORMS)
        if query.shape != key.shape or query.dim() != 2 or len(query) != graph.num_nodes or query.shape[1] % heads:
            raise ValueError(
                f"query {tuple(query.shape)} and key {tuple(key.shape)} do not fit; expected ({graph.num_nodes}, width) "
                f"twice, with a width that {heads} heads divide"
            )
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        pattern = attention_pattern(graph)
        if norm == "row":
            values = attention_weights(layout_of(pattern, heads), query, key, activation)
        else:  # the rows of the transpose
            values = attention_weights(layout_of(pattern.transposed, heads), key, query, activation)
            place = pattern.transposed.by_row.place
            values = values if place is None else values.index_select(0, place)
        super().__init__(SparseOperator(pattern, values, metzler=True, interval=(-1.0, 1.0)))

    def generator(self, rate: float | Tensor = 1.0) -> SparseOperator:
        """`rate (A - I)` as one matrix, the operator of `u' = rate (A - I) u`; rate is not negative."""
        pattern, values = self.matrix.pattern, self.matrix.values
        loops = torch.zeros_like(values).index_fill(0, pattern.on_diagonal, 1.0)
        c = float(rate.detach()) if isinstance(rate, Tensor) else float(rate)
        return SparseOperator(pattern, rate * (values - loops), metzler=c >= 0, interval=(min(-2 * c, 0.0), max(-2 * c, 0.0)))

    @classmethod
    def example(cls) -> Self:
        q, k = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return cls(Graph.grid(2, 3), q, k, heads=2)


def edge_softmax(scores: Tensor, segment: Tensor, count: int, activation: str = "softmax") -> Tensor:
    """Positive weights that sum to one over each segment of entries, `[entries]`.

    Args:
        scores: `[entries]`.
        segment: the segment of each entry, `[entries]`, values below `count`.
        count: number of segments.
        activation: "softmax" for exp(s), "squareplus" for (s + sqrt(s^2 + 4)) / 2.
    """
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, ACTIVATIONS)
    if activation == "softmax":
        scores = shifted(scores.unsqueeze(1), segment, count).squeeze(1)
    positive = positive_part(scores, activation)
    total = positive.new_zeros(count).index_add(0, segment, positive)
    return positive / total[segment]


def attention_pattern(graph: Graph) -> Pattern:
    """The edges without the graph's own self-loops and one loop per node, sorted by row; kept by the graph."""
    if "attention" not in graph.patterns:
        source, target = graph.edge_index
        proper, loop = source != target, torch.arange(graph.num_nodes, device=graph.device)
        rows, cols = torch.cat([target[proper], loop]), torch.cat([source[proper], loop])
        c = Pattern(rows, cols, graph.num_nodes, graph.num_nodes).by_row
        graph.patterns["attention"] = Pattern(c.rows, c.columns, graph.num_nodes, graph.num_nodes)
    return graph.patterns["attention"]


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
