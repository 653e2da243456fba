"""Couplings by attention as in transformers, recomputed from the state or held."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from solvers import LinearOperator

from ..graph import Graph
from ..operators.attention import Attention
from ..operators.dense import project
from .coupling import Layered


@dataclass(frozen=True, eq=False)
class DotAttention:
    """`F(X) = A(X) X`, with A the mean over heads of softmax of `<q_i, k_j> / sqrt(d)`; see `Attention`. No W: it is I.

    Args:
        graph: the edges.
        query, key: weights, `[C, H d]` (per layer), the columns of a head side by side.
        query_bias: `[H d]` (per layer); one of the keys would cancel.
        heads: H.

    Reference: A. Vaswani et al., Attention is all you need (2017), section 3.2; B. Chamberlain et al., GRAND: Graph Neural
        Diffusion (2021), eq. 10.
    """

    graph: Graph
    query: Layered
    key: Layered
    query_bias: Layered
    heads: int

    def operator(self, t: Tensor | float, x: Tensor) -> Attention:
        """A(x)."""
        if x.dim() != 2:
            raise ValueError(f"attention takes features (nodes, channels), got {tuple(x.shape)}")
        queries = project(x, self.query.at(t), self.query_bias.at(t))
        return Attention(self.graph, queries, project(x, self.key.at(t)), heads=self.heads)

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        return self.operator(t, x).matvec(x)

    def projected(self, t: Tensor, x: Tensor) -> Tensor:
        """X W with W = I."""
        return x

    def gathered(self, t: Tensor, z: Tensor) -> Tensor:
        """F(X) from Z = X W, which is X."""
        return self(t, z)


@dataclass(frozen=True, eq=False)
class HeldAttention:
    """`F(X) = A X`, with attention A that does not follow X: linear.

    Args:
        attention: A.
    """

    attention: LinearOperator

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        return self.attention.matvec(x)

    def projected(self, t: Tensor, x: Tensor) -> Tensor:
        """X W with W = I."""
        return x

    def gathered(self, t: Tensor, z: Tensor) -> Tensor:
        """F(X) from Z = X W, which is X."""
        return self.attention.matvec(z)
