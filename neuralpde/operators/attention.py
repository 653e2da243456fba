"""Attention as an operator: weights on the edges that sum to one over the edges into (or out of) each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from solvers import LinearOperator, Scaled, SparseOperator, host_may_look, unknown

from ..graph import Graph
from .attention_pattern import attention_pattern as attention_pattern
from .attention_pattern import by_head as by_head
from .attention_pattern import heads_pattern as heads_pattern
from .attention_weights import attention_weights, head_dots, head_weights, layout_of, positive_part, shifted
from .base import GraphOperator
from .scores import Score, check_width, score_named

NORMS = ("row", "col")
ACTIVATIONS = ("softmax", "squareplus")


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Attention(GraphOperator):
    """Attention along the edges, the mean over heads h; scaled dot products unless another score is given:

        a_ij = (1/H) sum_h softmax_j( <q_i^h, k_j^h> / sqrt(d) )       over the edges j -> i and the self-loop i -> i

    with d the width of a head. Rows sum to one (`norm="row"`, the GRAND paper's; the flow of A - I then obeys a maximum
    principle and its kernel is the constants), or columns (`norm="col"`, the form of the released code's tuned runs: mass
    is conserved instead). The paper's eq. 10 divides by a number d_k, the authors' code and this by its root. "squareplus"
    replaces exp(s) by (s + sqrt(s^2 + 4)) / 2; the released code first subtracts the largest score of all edges, which
    would couple the graphs of a batch and is left out here.

    Every node has one self-loop, whether the graph stores loops or not. Weights of the graph are not used unless given.
    Memory is a few numbers per edge and head, never edges x channels.

    Args:
        graph: directed or not; attention at i looks along incoming edges.
        query, key: `[N, H d]`.
        heads: H.
        norm: "row" or "col".
        activation: "softmax" or "squareplus".
        score: "scaled_dot", "cosine", "pearson", "exp_kernel", "additive", or a `Score`; see `scores`.
        weight: factors of the scores, `[entries]`, as `entry_weights(graph)` gives them, or None.

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
        score: str | Score = "scaled_dot",
        weight: Tensor | None = None,
    ):
        values = _values(graph, query, key, heads, norm, activation, score_named(score), weight, apart=False)
        super().__init__(_stochastic(graph, values))

    def blended(self, share: float | Tensor, other: Tensor) -> Attention:
        """`(1 - share) A + share B`, with B on the same entries and as stochastic as A.

        Args:
            share: in [0, 1].
            other: the entries of B, `[entries]`, such as `walk_weights` gives them.
        """
        twin = object.__new__(type(self))
        GraphOperator.__init__(
            twin,
            SparseOperator(
                self.matrix.pattern, torch.lerp(self.matrix.values, other, share), metzler=True, interval=(-1.0, 1.0)
            ),
        )
        return twin

    def generator(self, rate: float | Tensor = 1.0) -> LinearOperator:
        """`rate (A - I)`, the operator of `u' = rate (A - I) u`; rate is not negative.

        One matrix. If the rate needs a gradient, `rate * (A - I)` beside it: exact flows find that gradient as a product of
        states, where a sum over the entries would cancel, to a ten thousandth of its parts if the state is smooth.
        """
        if isinstance(rate, Tensor) and rate.requires_grad:
            return Scaled(self._generator(1.0), rate, self._generator(rate))
        return self._generator(rate)

    def _generator(self, rate: float | Tensor) -> SparseOperator:
        pattern, values = self.matrix.pattern, self.matrix.values
        moved = rate * (values - torch.zeros_like(values).index_fill(0, pattern.on_diagonal, 1.0))
        if isinstance(rate, Tensor) and not host_may_look(rate):
            return SparseOperator(pattern, moved)
        c = float(rate.detach()) if isinstance(rate, Tensor) else float(rate)
        return SparseOperator(pattern, moved, metzler=c >= 0, interval=(min(-2 * c, 0.0), max(-2 * c, 0.0)))

    @classmethod
    def example(cls) -> Self:
        q, k = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return cls(Graph.grid(2, 3), q, k, heads=2)


def attention_by_head(
    graph: Graph,
    query: Tensor,
    key: Tensor,
    *,
    heads: int = 1,
    norm: Literal["row", "col"] = "row",
    activation: Literal["softmax", "squareplus"] = "softmax",
    score: str | Score = "scaled_dot",
    weight: Tensor | None = None,
) -> Tensor:
    """The entries of the attention of each head, `[entries, H]`, on `attention_pattern(graph)`; their mean is `Attention`.

    Args, Raises: those of `Attention`.
    """
    return _values(graph, query, key, heads, norm, activation, score_named(score), weight, apart=True)


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


def _stochastic(graph: Graph, values: Tensor) -> SparseOperator:
    return SparseOperator(attention_pattern(graph), values, metzler=True, interval=(-1.0, 1.0))


def _values(
    graph: Graph,
    query: Tensor,
    key: Tensor,
    heads: int,
    norm: str,
    activation: str,
    score: Score,
    weight: Tensor | None,
    apart: bool,
) -> Tensor:
    """The entries in the order of the pattern: the mean over heads, `[E]`, or those of each head, `[E, H]`."""
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    if query.shape != key.shape or query.dim() != 2 or len(query) != graph.num_nodes or query.shape[1] % heads:
        raise ValueError(
            f"query {tuple(query.shape)} and key {tuple(key.shape)} do not fit; expected ({graph.num_nodes}, width) "
            f"twice, with a width that {heads} heads divide"
        )
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, ACTIVATIONS)
    check_width(score, query.shape[1] // heads, heads)
    pattern, place = attention_pattern(graph), None
    if norm == "col":  # the rows of the transpose
        pattern, query, key = pattern.transposed, key, query
        place, order = pattern.by_row.place, pattern.by_row.order
        weight = weight if weight is None or order is None else weight.index_select(0, order)
    layout = layout_of(pattern, heads)
    rows, cols, scale = score.factors(query.unflatten(1, (heads, -1)), key.unflatten(1, (heads, -1)))
    rows, cols = rows.flatten(1), cols.flatten(1)
    if score.plain and weight is None and not apart:
        values = attention_weights(layout, rows, cols, activation, scale)
    else:
        s = score.shape(head_dots(layout, rows, cols, scale))
        values = head_weights(layout, s if weight is None else s * weight.unsqueeze(1), activation)
        values = values if apart else values.mean(1)
    return values if place is None else values.index_select(0, place)
