"""Diffusion by attention, bound to a graph: the field of GRAND."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from solvers import LinearOperator

from ..graph import Graph
from ..operators.attention import Attention, attention_by_head, attention_pattern
from ..operators.attention_mixing import ChannelMixing, Relaxation
from ..operators.dense import project
from ..operators.scores import Score


@dataclass(frozen=True, eq=False)
class AttentiveDiffusion:
    """`u' = rate (B(u) - I) u + s`: a semilinear field whose linear part follows the state.

    B is the attention A(u); with a walk `(1 - g) A(u) + g R`; with values and out `u -> mean_h B_h u V_h' O'`.

    Args:
        graph: the edges.
        query, key: weights, `[H d, C]`.
        query_bias, key_bias: `[H d]`, or None.
        rate: alpha, a scalar tensor, or `[C]`.
        heads, norm, activation: of the attention.
        source: s, `[N, C]`, or None.
        score: of the attention.
        weight: factors of the scores, `[entries]`, or None.
        walk, share: R, `[entries]`, and g, a scalar tensor; or None.
        value, out: V, `[H d, C]`, and O, `[C, d]`; or None.
    """

    graph: Graph
    query: Tensor
    key: Tensor
    query_bias: Tensor | None
    key_bias: Tensor | None
    rate: Tensor
    heads: int
    norm: Literal["row", "col"]
    activation: Literal["softmax", "squareplus"]
    source: Tensor | None = None
    score: str | Score = "scaled_dot"
    weight: Tensor | None = None
    walk: Tensor | None = None
    share: Tensor | None = None
    value: Tensor | None = None
    out: Tensor | None = None

    def attention(self, y: Tensor) -> Attention:
        """A(y), the mean over heads, with its share of the walk."""
        found = Attention(self.graph, *self._queries_and_keys(y), **self._form())
        return found if self.walk is None or self.share is None else found.blended(self.share, self.walk)

    def average(self, y: Tensor) -> LinearOperator:
        """B(y)."""
        if self.value is None or self.out is None:
            return self.attention(y)
        weights = attention_by_head(self.graph, *self._queries_and_keys(y), **self._form())
        if self.walk is not None and self.share is not None:
            weights = torch.lerp(weights, self.walk.unsqueeze(1).expand_as(weights), self.share)
        return ChannelMixing(attention_pattern(self.graph), weights, self.value, self.out)

    def generator(self, y: Tensor) -> LinearOperator:
        """`rate (B(y) - I)`; one sparse matrix where there is one rate and channels are not mixed."""
        if self.value is None and self.rate.dim() == 0:
            return self.attention(y).generator(self.rate)
        return Relaxation(self.average(y), self.rate)

    def _queries_and_keys(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return project(y, self.query.t(), self.query_bias), project(y, self.key.t(), self.key_bias)

    def _form(self) -> dict[str, Any]:
        return {
            "heads": self.heads,
            "norm": self.norm,
            "activation": self.activation,
            "score": self.score,
            "weight": self.weight,
        }

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        out = self.rate * (self.average(y).matvec(y) - y)
        return out if self.source is None else out + self.source

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return self.generator(y)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y) if self.source is None else self.source.expand_as(y)
