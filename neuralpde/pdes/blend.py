"""BLEND: features and positions diffuse together, with attention on both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvers import LinearFlow, VectorField, unknown

from ..graph import Graph
from ..operators.attention import ACTIVATIONS, NORMS
from ..operators.scores import ExpKernel, check_width, score_named
from .attentive import AttentiveDiffusion
from .base import GraphPDE
from .grand import MODES, SOURCES
from .positions import node_positions
from .rewired import RewiredFlow, check_rewiring, rewired_by_state

if TYPE_CHECKING:
    from ..transform import Transform

KERNELS = ("joint", "product")
SCORES = ("scaled_dot", "cosine", "pearson", "exp_kernel")
FACTORS = ("scaled_dot", "exp_kernel")  # of which there are products


class BLEND(GraphPDE):
    """`Z' = alpha (A(Z) - I) Z + beta Z0`, `Z = (X, P)`: features X beside positions P = scale W pos, both evolve, X is read.

    A is attention along the edges (see `Attention`), self-loops included, on features and positions:

        "joint":    one kernel, of queries Q z_i and keys K z_j
        "product":  a kernel of Q_x x_i and K_x x_j times one of Q_p p_i and K_p p_j, each of half the width. With
                    "scaled_dot" the kernels are exp(s), before the softmax's normalisation; with "exp_kernel" scores are
                    sigma^2 exp(-|q_x - k_x|^2 / (2 l_x^2)) exp(-|q_p - k_p|^2 / (2 l_p^2)), as in the released code

    attention="frozen": A = A(Z0), once: a linear field (what the tuned runs of the released code solve).
    attention="recomputed": A = A(Z) at every evaluation: a semilinear field.

    alpha = sigmoid(a) with a = 0 at the start, beta starts at 0 and exists with a source, keys and queries start small, as in
    `GRAND`. W has no bias: the attention has its own.

    With `rewire`, a transform such as `KNN(8, of="state")`, edges are chosen anew at the start of every solve, from Z0, which
    the transform finds as the node data "state"; no gradient passes through the choice. With `rewire_every` they are chosen
    anew from the current state Z(t) each time so much time has passed, and frozen attention is then that of Z(t), too: the
    field is a `Piecewise` one, and the solver starts anew at each choice. (Apply a transform that looks at the graph alone,
    such as `GDC`, to the graph beforehand: here it would be done again for every solve.)

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
        score: "scaled_dot", "cosine", "pearson" or "exp_kernel" (sigma and lengths are learned, 1 at the start).
        kernels: "joint" or "product" (of "scaled_dot" and "exp_kernel").
        source: add beta Z0; "detached" as a constant.
        norm: "row" or "col".
        activation: "softmax" or "squareplus".
        rewire: a transform that makes the edges of each solve.
        rewire_every: the time after which it makes them anew; None for the start only. Penalties along the solution
            (`FitConfig.regularisation`) need None.

    Raises:
        ValueError: heads that do not divide the attention width or are too narrow for the score, unknown names, a product
            of other scores.
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
        score: Literal["scaled_dot", "cosine", "pearson", "exp_kernel"] = "scaled_dot",
        kernels: Literal["joint", "product"] = "joint",
        source: bool | Literal["detached"] = False,
        norm: Literal["row", "col"] = "row",
        activation: Literal["softmax", "squareplus"] = "softmax",
        rewire: Transform | None = None,
        rewire_every: float | None = None,
    ):
        super().__init__()
        for what, got, known in (
            ("attention", attention, MODES),
            ("kernels", kernels, KERNELS),
            ("score", score, SCORES),
            ("norm", norm, NORMS),
            ("activation", activation, ACTIVATIONS),
            ("source", str(source), SOURCES),
        ):
            if got not in known:
                raise unknown(what, got, known)
        if kernels == "product" and score not in FACTORS:
            raise ValueError(f'score={score!r} with kernels="product"; there are products of {" and of ".join(FACTORS)}')
        check_rewiring(rewire, rewire_every)
        parts = 2 if kernels == "product" else 1
        if attention_dim % (parts * heads):
            raise ValueError(f"attention_dim = {attention_dim} is not a multiple of {parts * heads} ({heads} heads, {kernels})")
        check_width(score_named(score), attention_dim // heads, heads)
        self.channels, self.encoding_channels, self.pos_channels = channels, encoding_channels, pos_channels
        self.positions, self.scale, self.heads, self.attention = positions, float(scale), heads, attention
        self.score, self.kernels, self.source, self.rewire, self.rewire_every = score, kernels, source, rewire, rewire_every
        self.norm: Literal["row", "col"] = norm
        self.activation: Literal["softmax", "squareplus"] = activation
        widths, both = [channels + pos_channels] if parts == 1 else [channels, pos_channels], score in ("cosine", "pearson")
        self.position = nn.Linear(encoding_channels, pos_channels, bias=False)
        self.query = nn.ModuleList(nn.Linear(w, attention_dim // parts, bias=both or norm == "row") for w in widths)
        self.key = nn.ModuleList(nn.Linear(w, attention_dim // parts, bias=both or norm == "col") for w in widths)
        self.alpha_raw = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(())) if source else None
        self.sigma = nn.Parameter(torch.ones(())) if score == "exp_kernel" else None
        self.length = nn.Parameter(torch.ones(parts)) if score == "exp_kernel" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W anew, keys and queries at a tenth of Glorot's size; alpha = 1/2, beta = 0, sigma = l = 1."""
        self.position.reset_parameters()
        for linear in (*self.query, *self.key):
            nn.init.xavier_uniform_(linear.weight, gain=0.1)  # type: ignore[arg-type]
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.alpha_raw)
        if self.beta is not None:
            nn.init.zeros_(self.beta)
        for one in (self.sigma, self.length):
            if one is not None:
                nn.init.ones_(one)

    @property
    def alpha(self) -> Tensor:
        """The rate of the diffusion, in (0, 1)."""
        return torch.sigmoid(self.alpha_raw)

    def on(self, graph: Graph, u0: Tensor) -> VectorField:
        z0 = self.lift(graph, u0)
        source = None if self.beta is None else self.beta * (z0.detach() if self.source == "detached" else z0)
        if self.rewire_every is not None:
            return RewiredFlow(self.rewire_every, partial(self._from, graph, source))
        return self._from(graph, source, z0)

    def _from(self, graph: Graph, source: Tensor | None, z: Tensor) -> LinearFlow | AttentiveDiffusion:
        """The field of a solution that begins at z."""
        if self.rewire is not None:
            graph = rewired_by_state(graph, self.rewire, z)
        (query, query_bias), (key, key_bias) = self._weights(self.query), self._weights(self.key)
        score = score_named(self.score) if self.sigma is None else ExpKernel(self.sigma)
        field = AttentiveDiffusion(
            graph, query, key, query_bias, key_bias, self.alpha, self.heads, self.norm, self.activation, source, score
        )
        if self.attention == "recomputed":
            return field
        return LinearFlow(field.generator(z), source)

    def _weights(self, parts: nn.ModuleList) -> tuple[Tensor, Tensor | None]:
        """One map of Z, head by head: `[H d, channels + pos_channels]`, and its bias; lengths of kernels are in it.

        Of two maps each is a block. Queries and keys of scaled dots then have the factor 2^(1/4): sqrt(d / 2), not sqrt(d).
        """
        first, last = parts[0], parts[-1]
        weights = [part.weight.view(self.heads, -1, part.in_features) for part in parts]  # type: ignore[operator]
        biases = None if first.bias is None else [part.bias.view(self.heads, -1) for part in parts]  # type: ignore[operator]
        factors = [2**0.25 if first is not last else 1.0] * len(parts) if self.length is None else 1 / self.length
        weights = [w * f for w, f in zip(weights, factors, strict=True)]
        if first is not last:
            x, p = weights
            weights = [F.pad(x, (0, p.shape[-1])), F.pad(p, (x.shape[-1], 0))]
        bias = None if biases is None else torch.cat([b * f for b, f in zip(biases, factors, strict=True)], 1).flatten()
        return torch.cat(weights, 1).flatten(0, 1), bias

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
        """Recomputed attention, two heads, a product of kernels and a source on a grid of six nodes and their places."""
        generator = torch.Generator().manual_seed(0)
        pde = cls(
            3,
            2,
            pos_channels=2,
            heads=2,
            attention_dim=8,
            attention="recomputed",
            score="exp_kernel",
            kernels="product",
            source=True,
        ).double()
        with torch.no_grad():
            for p in pde.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
        return pde, Graph.grid(2, 3), torch.randn(6, 3, generator=generator, dtype=torch.float64)
