"""Graph neural diffusion (GRAND)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvers import LinearFlow, LinearOperator, unknown

from ..graph import Graph
from ..operators.attention import ACTIVATIONS, NORMS, Attention
from .base import GraphPDE

MODES = ("frozen", "recomputed")
SOURCES = ("False", "True", "detached")


@dataclass(frozen=True, eq=False)
class AttentiveDiffusion:
    """`u' = rate (A(u) - I) u + s`: a semilinear field whose linear part follows the state.

    Args:
        graph: the edges.
        query, key: weights, `[H d, C]`.
        query_bias, key_bias: `[H d]`, or None.
        rate: alpha, a scalar tensor.
        heads, norm, activation: of the attention.
        source: s, `[N, C]`, or None.
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

    def attention(self, y: Tensor) -> Attention:
        """A(y)."""
        q, k = F.linear(y, self.query, self.query_bias), F.linear(y, self.key, self.key_bias)
        return Attention(self.graph, q, k, heads=self.heads, norm=self.norm, activation=self.activation)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        out = self.rate * (self.attention(y).matvec(y) - y)
        return out if self.source is None else out + self.source

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return self.attention(y).generator(self.rate)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y) if self.source is None else self.source.expand_as(y)


class GRAND(GraphPDE):
    """`u' = alpha (A - I) u + beta u0`, with attention A along the edges (see `Attention`), self-loops included.

    attention="frozen": A = A(u0), once (GRAND-l): a linear field, `LinearFlow(alpha (A - I), beta u0)`.
    attention="recomputed": A = A(u) at every evaluation (GRAND-nl): a semilinear field.

    alpha = sigmoid(a) with a = 0 at the start; beta starts at 0 and exists with a source. Keys and queries start small, so
    that A starts close to uniform; only queries have a bias (only keys with norm="col"), since the other's would cancel in
    the softmax.

    With norm="row" and no source a maximum principle holds: u stays between the least and the largest value of u0.

    Args:
        channels: C.
        heads: H.
        attention_dim: H d, the width of keys and queries; H divides it.
        attention: "frozen" or "recomputed".
        source: add beta u0; "detached" adds it as a constant, as the released code does: what makes u0 then learns through
            the diffusion only, which on few labels generalises better (Cora, public split: about a point).
        norm: "row" (the paper's: rows sum to one) or "col" (columns do: what the released tuned runs use).
        activation: "softmax" or "squareplus".

    Raises:
        ValueError: heads that do not divide the attention width, unknown names.

    Reference: B. Chamberlain, J. Rowbottom, M. Gorinova, S. Webb, E. Rossi, M. Bronstein, GRAND: Graph Neural Diffusion
        (2021), eqs. 3-5 and 10; https://github.com/twitter-research/graph-neural-pde.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 4,
        attention_dim: int = 16,
        attention: Literal["frozen", "recomputed"] = "frozen",
        source: bool | Literal["detached"] = False,
        norm: Literal["row", "col"] = "row",
        activation: Literal["softmax", "squareplus"] = "softmax",
    ):
        super().__init__()
        for what, got, known in (
            ("attention", attention, MODES),
            ("norm", norm, NORMS),
            ("activation", activation, ACTIVATIONS),
            ("source", str(source), SOURCES),
        ):
            if got not in known:
                raise unknown(what, got, known)
        if attention_dim % heads:
            raise ValueError(f"attention_dim = {attention_dim} is not a multiple of heads = {heads}")
        self.channels, self.heads, self.attention, self.source = channels, heads, attention, source
        self.norm: Literal["row", "col"] = norm
        self.activation: Literal["softmax", "squareplus"] = activation
        self.query = nn.Linear(channels, attention_dim, bias=norm == "row")
        self.key = nn.Linear(channels, attention_dim, bias=norm == "col")
        self.alpha_raw = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(())) if source else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw keys and queries anew, a tenth of Glorot's size; alpha = 1/2, beta = 0."""
        for linear in (self.query, self.key):
            nn.init.xavier_uniform_(linear.weight, gain=0.1)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        nn.init.zeros_(self.alpha_raw)
        if self.beta is not None:
            nn.init.zeros_(self.beta)

    @property
    def alpha(self) -> Tensor:
        """The rate of the diffusion, in (0, 1)."""
        return torch.sigmoid(self.alpha_raw)

    def on(self, graph: Graph, u0: Tensor) -> LinearFlow | AttentiveDiffusion:
        source = None if self.beta is None else self.beta * (u0.detach() if self.source == "detached" else u0)
        field = AttentiveDiffusion(
            graph,
            self.query.weight,
            self.key.weight,
            self.query.bias,
            self.key.bias,
            self.alpha,
            self.heads,
            self.norm,
            self.activation,
            source,
        )
        if self.attention == "recomputed":
            return field
        return LinearFlow(field.attention(u0).generator(field.rate), source)

    def conserved(self, graph: Graph) -> Tensor | None:
        """Ones, `[N]`, with norm="col" and no source: the sum of u is constant; else None."""
        if self.norm == "row" or self.beta is not None:
            return None
        return torch.ones(graph.num_nodes, dtype=torch.float64, device=graph.device)

    @classmethod
    def example(cls) -> tuple[GRAND, Graph, Tensor]:
        """Recomputed attention with two heads and a source on a grid of six nodes."""
        generator = torch.Generator().manual_seed(0)
        pde = cls(3, heads=2, attention_dim=4, attention="recomputed", source=True).double()
        with torch.no_grad():
            for p in pde.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
        return pde, Graph.grid(2, 3), torch.randn(6, 3, generator=generator, dtype=torch.float64)
