"""BLEND: features and positions diffuse together, with attention on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvers import LinearFlow, unknown

from ..graph import Graph
from ..operators.attention import ACTIVATIONS, NORMS
from .base import GraphPDE
from .grand import MODES, SOURCES, AttentiveDiffusion
from .positions import node_positions

if TYPE_CHECKING:
    from ..transform import Transform

SCORES = ("concatenated", "product")


class BLEND(GraphPDE):
    """`Z' = alpha (A(Z) - I) Z + beta Z0`, `Z = (X, P)`: features X beside positions P = scale W pos, both evolve, X is read.

    A is attention along the edges (see `Attention`), self-loops included, on features and positions:

        "concatenated":  s_ij = <Q z_i, K z_j> / sqrt(d)
        "product":       s_ij = <Q_x x_i, K_x x_j> / sqrt(d_x) + <Q_p p_i, K_p p_j> / sqrt(d_p), halves of d: the softmax is
                         then of a product of kernels, exp of the one times exp of the other

    attention="frozen": A = A(Z0), once: a linear field (what the tuned runs of the released code solve).
    attention="recomputed": A = A(Z) at every evaluation: a semilinear field.

    alpha = sigmoid(a) with a = 0 at the start, beta starts at 0 and exists with a source, keys and queries start small, as in
    `GRAND`. W has no bias: the attention has its own.

    With `rewire`, a transform such as `KNN(8, of="state")`, edges are chosen anew at the start of every solve, from Z0, which
    the transform finds as the node data "state"; no gradient passes through the choice. They stay for the length of the
    solve: edges that change on the way are not offered.

    It is a diffusion with attention, not the descent of a Polyakov energy: that is `BeltramiFlow`.

    Args:
        channels: width of X.
        encoding_channels: width of `pos`.
        pos_channels: width of P.
        positions: where `pos` comes from: "pos" for `graph.pos`, or the name of the graph's node data (an encoding).
        scale: of P, against X; W learns it, this is where it starts.
        heads: H.
        attention_dim: H d, the width of keys and queries; H divides it (2 H with "product").
        attention: "frozen" or "recomputed".
        scores: "concatenated" or "product".
        source: add beta Z0; "detached" as a constant.
        norm: "row" or "col".
        activation: "softmax" or "squareplus".
        rewire: a transform that makes the edges of each solve.

    Raises:
        ValueError: heads that do not divide the attention width, unknown names.
        GraphError: from `on`, without the positions.

    Reference: B. Chamberlain, J. Rowbottom, D. Eynard, F. Di Giovanni, X. Dong, M. Bronstein, Beltrami flow and neural
        diffusion on graphs (2021); https://github.com/twitter-research/graph-neural-pde.
    """

    def __init__(
        self,
        channels: int,
        encoding_channels: int = 2,
        *,
        pos_channels: int = 16,
        positions: str = "pos",
        scale: float = 1.0,
        heads: int = 4,
        attention_dim: int = 16,
        attention: Literal["frozen", "recomputed"] = "frozen",
        scores: Literal["concatenated", "product"] = "concatenated",
        source: bool | Literal["detached"] = False,
        norm: Literal["row", "col"] = "row",
        activation: Literal["softmax", "squareplus"] = "softmax",
        rewire: Transform | None = None,
    ):
        super().__init__()
        for what, got, known in (
            ("attention", attention, MODES),
            ("scores", scores, SCORES),
            ("norm", norm, NORMS),
            ("activation", activation, ACTIVATIONS),
            ("source", str(source), SOURCES),
        ):
            if got not in known:
                raise unknown(what, got, known)
        parts = 2 if scores == "product" else 1
        if attention_dim % (parts * heads):
            raise ValueError(f"attention_dim = {attention_dim} is not a multiple of {parts * heads} ({heads} heads, {scores})")
        self.channels, self.encoding_channels, self.pos_channels = channels, encoding_channels, pos_channels
        self.positions, self.scale, self.heads, self.attention = positions, float(scale), heads, attention
        self.scores, self.source, self.rewire = scores, source, rewire
        self.norm: Literal["row", "col"] = norm
        self.activation: Literal["softmax", "squareplus"] = activation
        widths = [channels + pos_channels] if parts == 1 else [channels, pos_channels]
        self.position = nn.Linear(encoding_channels, pos_channels, bias=False)
        self.query = nn.ModuleList(nn.Linear(w, attention_dim // parts, bias=norm == "row") for w in widths)
        self.key = nn.ModuleList(nn.Linear(w, attention_dim // parts, bias=norm == "col") for w in widths)
        self.alpha_raw = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(())) if source else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W anew, keys and queries at a tenth of Glorot's size; alpha = 1/2, beta = 0."""
        self.position.reset_parameters()
        for linear in (*self.query, *self.key):
            nn.init.xavier_uniform_(linear.weight, gain=0.1)  # type: ignore[arg-type]
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.alpha_raw)
        if self.beta is not None:
            nn.init.zeros_(self.beta)

    @property
    def alpha(self) -> Tensor:
        """The rate of the diffusion, in (0, 1)."""
        return torch.sigmoid(self.alpha_raw)

    def on(self, graph: Graph, u0: Tensor) -> LinearFlow | AttentiveDiffusion:
        z0 = self.lift(graph, u0)
        if self.rewire is not None:
            graph = self.rewire(graph.with_node(state=z0.detach()))
        source = None if self.beta is None else self.beta * (z0.detach() if self.source == "detached" else z0)
        (query, query_bias), (key, key_bias) = self._weights(self.query), self._weights(self.key)
        field = AttentiveDiffusion(
            graph, query, key, query_bias, key_bias, self.alpha, self.heads, self.norm, self.activation, source
        )
        if self.attention == "recomputed":
            return field
        return LinearFlow(field.attention(z0).generator(field.rate), source)

    def _weights(self, parts: nn.ModuleList) -> tuple[Tensor, Tensor | None]:
        """One map of Z, head by head: `[H d, channels + pos_channels]`, and its bias.

        Two maps become blocks; as queries and keys have the same factor, 2^(1/4), scores are over sqrt(d / 2) instead of d.
        """
        first, last = parts[0], parts[-1]
        if first is last:
            return first.weight, first.bias  # type: ignore[return-value]
        of_x, of_p = (part.weight.view(self.heads, -1, part.in_features) for part in (first, last))  # type: ignore[operator]
        weight = torch.cat([F.pad(of_x, (0, of_p.shape[-1])), F.pad(of_p, (of_x.shape[-1], 0))], 1).flatten(0, 1)
        if first.bias is None:
            return weight * 2**0.25, None
        bias = torch.cat([part.bias.view(self.heads, -1) for part in (first, last)], 1).flatten()  # type: ignore[operator]
        return weight * 2**0.25, bias * 2**0.25

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        """`(u0, P)`, `[nodes, channels + pos_channels]`."""
        encoding = node_positions(graph, self.positions, self.encoding_channels, u0, "BLEND")
        return torch.cat([u0, self.scale * self.position(encoding)], dim=1)

    def read(self, y: Tensor) -> Tensor:
        return y[..., : self.channels]

    def conserved(self, graph: Graph) -> Tensor | None:
        """Ones, `[N]`, with norm="col" and no source: the sum of Z is constant; else None."""
        if self.norm == "row" or self.beta is not None:
            return None
        return torch.ones(graph.num_nodes, dtype=torch.float64, device=graph.device)

    @classmethod
    def example(cls) -> tuple[BLEND, Graph, Tensor]:
        """Recomputed attention, two heads, product scores and a source on a grid of six nodes and their places."""
        generator = torch.Generator().manual_seed(0)
        pde = cls(
            3, 2, pos_channels=2, heads=2, attention_dim=8, attention="recomputed", scores="product", source=True
        ).double()
        with torch.no_grad():
            for p in pde.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
        return pde, Graph.grid(2, 3), torch.randn(6, 3, generator=generator, dtype=torch.float64)
