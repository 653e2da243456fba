"""Graph neural diffusion (GRAND)."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvers import LinearFlow, VectorField, unknown

from ..graph import Graph
from ..operators.attention import ACTIVATIONS, NORMS
from ..operators.attention_pattern import entry_weights, strongest_edges, walk_weights
from ..operators.scores import SCORES, ExpKernel, Score, check_width, score_named
from .attentive import AttentiveDiffusion as AttentiveDiffusion
from .base import GraphPDE
from .rewired import RewiredFlow, check_rewiring, rewired, rewired_by_state

if TYPE_CHECKING:
    from ..transform import Transform

MODES = ("frozen", "recomputed")
SOURCES = ("False", "True", "detached")
RATES = ("learned", "per_channel")


class GRAND(GraphPDE):
    """`u' = alpha (A - I) u + beta u0`, with attention A along the edges (see `Attention`), self-loops included.

    The paper's models are, and `neuralpde train --pde` calls,

        grand-l       attention="frozen": A = A(u0), once: a linear field, `LinearFlow(alpha (A - I), beta u0)`
        grand-nl      attention="recomputed": A = A(u) at every evaluation: a semilinear field
        grand-nl-rw   as grand-nl, with `rewire=GDC(...)` and `drop_weakest`

    alpha = sigmoid(a) with a = 0 at the start; beta starts at 0 and exists with a source. Keys and queries start small, so
    that A starts close to uniform; only queries have a bias (only keys with norm="col") where the other's would cancel.

    With norm="row" and no source a maximum principle holds: u stays between the least and the largest value of u0. With
    norm="col" and no source the sum of u is kept. Mixed channels have neither.

    Args:
        channels: C.
        heads: H.
        attention_dim: H d, the width of keys and queries; H divides it.
        attention: "frozen" or "recomputed".
        source: add beta u0; "detached" adds it as a constant, as the released code does: what makes u0 then learns through
            the diffusion only, which on few labels generalises better (Cora, public split: about a point).
        norm: "row" (the paper's: rows sum to one) or "col" (columns do: what the released tuned runs use).
        activation: "softmax" or "squareplus".
        score: "scaled_dot", "cosine", "pearson", "exp_kernel" (sigma and l are learned, 1 at the start) or "additive" (GAT's;
            queries and keys are then one number per head); see `neuralpde.operators.scores`.
        alpha: "learned", "per_channel" (a rate for each channel) or a fixed number, not negative.
        mix_channels: `mean_h A_h u V_h' O'` in place of A u, with learned V and O; the equation stays linear in u.
        mix_walk: `(1 - g) A + g R` in place of A, with the random walk R = D^-1 (W + I) (or its column form) and a learned g,
            sigmoid of 0 at the start.
        reweight: multiply scores by the weights of the edges (1 for self-loops that are not stored) before normalisation.
        augment: channels, zero at the start, that the state has beside u and that are not read. Only mixed channels feed them.
        drop_weakest: share of the edges of each graph, those with the least attention A(u0), that is left out of a solve, in
            training and evaluation alike; attention is normalised over the rest, and trained. Self-loops stay.
        rewire: a transform of the graph, such as `GDC(top_k=16)`; done once for each graph.
        rewire_every: with a transform that looks at the node data "state", such as `KNN(8, of="state")`: the state's edges are
            chosen anew at the start and each time so much time has passed, and with them what `attention="frozen"` and
            `drop_weakest` take from the state (see `BLEND`); None for a transform of the graph alone.

    Raises:
        ValueError: heads that do not divide the attention width or are too narrow for the score, unknown names, numbers out of
            range.
        GraphError: from `on`: mix_walk with negative weights.

    Reference: B. Chamberlain, J. Rowbottom, M. Gorinova, S. Webb, E. Rossi, M. Bronstein, GRAND: Graph Neural Diffusion
        (2021), eqs. 3-5, 10 and 12; https://github.com/twitter-research/graph-neural-pde.
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
        score: Literal["scaled_dot", "cosine", "pearson", "exp_kernel", "additive"] = "scaled_dot",
        alpha: float | Literal["learned", "per_channel"] = "learned",
        mix_channels: bool = False,
        mix_walk: bool = False,
        reweight: bool = False,
        augment: int = 0,
        drop_weakest: float = 0.0,
        rewire: Transform | None = None,
        rewire_every: float | None = None,
    ):
        super().__init__()
        for what, got, known in (
            ("attention", attention, MODES),
            ("norm", norm, NORMS),
            ("activation", activation, ACTIVATIONS),
            ("source", str(source), SOURCES),
            ("score", score, tuple(SCORES)),
        ):
            if got not in known:
                raise unknown(what, got, known)
        _check(heads, attention_dim, alpha, augment, drop_weakest)
        check_rewiring(rewire, rewire_every)
        width = heads if score == "additive" else attention_dim
        check_width(score_named(score), width // heads, heads)
        self.channels, self.heads, self.attention, self.source = channels, heads, attention, source
        self.norm: Literal["row", "col"] = norm
        self.activation: Literal["softmax", "squareplus"] = activation
        self.score, self.reweight, self.augment, self.drop_weakest = score, reweight, augment, float(drop_weakest)
        self.rewire, self.rewire_every = rewire, rewire_every
        state, both = channels + augment, score in ("cosine", "pearson")
        self.query = nn.Linear(state, width, bias=both or norm == "row")
        self.key = nn.Linear(state, width, bias=both or norm == "col")
        self.alpha_fixed = None if isinstance(alpha, str) else float(alpha)
        rates = (state,) if alpha == "per_channel" else ()
        self.alpha_raw = nn.Parameter(torch.zeros(rates)) if self.alpha_fixed is None else None
        self.beta = nn.Parameter(torch.zeros(())) if source else None
        self.sigma = nn.Parameter(torch.ones(())) if score == "exp_kernel" else None
        self.length = nn.Parameter(torch.ones(())) if score == "exp_kernel" else None
        self.share_raw = nn.Parameter(torch.zeros(())) if mix_walk else None
        self.value = nn.Linear(state, attention_dim, bias=False) if mix_channels else None
        self.out = nn.Linear(attention_dim // heads, state, bias=False) if mix_channels else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw keys and queries anew, a tenth of Glorot's size; alpha = 1/2, beta = 0, g = 1/2, V and O as Glorot's."""
        for linear, gain in ((self.query, 0.1), (self.key, 0.1), (self.value, 1.0), (self.out, 1.0)):
            if linear is not None:
                nn.init.xavier_uniform_(linear.weight, gain=gain)
                if linear.bias is not None:
                    nn.init.zeros_(linear.bias)
        for zero in (self.alpha_raw, self.beta, self.share_raw):
            if zero is not None:
                nn.init.zeros_(zero)
        for one in (self.sigma, self.length):
            if one is not None:
                nn.init.ones_(one)

    @property
    def alpha(self) -> Tensor:
        """The rate of the diffusion, learned ones in (0, 1): a scalar tensor, or one per channel of the state."""
        if self.alpha_raw is None:
            return self.query.weight.new_tensor(self.alpha_fixed)
        return torch.sigmoid(self.alpha_raw)

    def on(self, graph: Graph, u0: Tensor) -> VectorField:
        z0 = self.lift(graph, u0)
        source = None if self.beta is None else self.beta * (z0.detach() if self.source == "detached" else z0)
        if self.rewire_every is not None:
            return RewiredFlow(self.rewire_every, partial(self._by_state, graph, source))
        return self._from(rewired(graph, self.rewire), source, z0)

    def _by_state(self, graph: Graph, source: Tensor | None, z: Tensor) -> LinearFlow | AttentiveDiffusion:
        return self._from(graph if self.rewire is None else rewired_by_state(graph, self.rewire, z), source, z)

    def _from(self, graph: Graph, source: Tensor | None, z: Tensor) -> LinearFlow | AttentiveDiffusion:
        """The field of a solution that begins at z."""
        field = self._field(graph, source, z.dtype)
        if self.drop_weakest:
            with torch.no_grad():
                values = field.attention(z).matrix.values
            field = self._field(strongest_edges(graph, values, self.drop_weakest), source, z.dtype)
        if self.attention == "recomputed":
            return field
        return LinearFlow(field.generator(z), source)

    def _field(self, graph: Graph, source: Tensor | None, dtype: torch.dtype) -> AttentiveDiffusion:
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
            self._score(),
            entry_weights(graph, dtype) if self.reweight else None,
        )
        if self.share_raw is not None:
            field = replace(field, walk=walk_weights(graph, self.norm, dtype), share=torch.sigmoid(self.share_raw))
        if self.value is not None and self.out is not None:
            field = replace(field, value=self.value.weight, out=self.out.weight)
        return field

    def _score(self) -> Score:
        if self.sigma is not None and self.length is not None:
            return ExpKernel(self.sigma, self.length)
        return score_named(self.score)

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        return F.pad(u0, (0, self.augment)) if self.augment else u0

    def read(self, y: Tensor) -> Tensor:
        return y[..., : self.channels] if self.augment else y

    def conserved(self, graph: Graph) -> Tensor | None:
        """Ones, `[N]`, with norm="col", no source and no mixed channels: the sum of u is constant; else None."""
        if self.norm == "row" or self.beta is not None or self.value is not None:
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


def _check(heads: int, attention_dim: int, alpha: float | str, augment: int, drop_weakest: float) -> None:
    if heads < 1 or attention_dim % heads:
        raise ValueError(f"attention_dim = {attention_dim} is not a multiple of heads = {heads}")
    if isinstance(alpha, str):
        if alpha not in RATES:
            raise unknown("alpha", alpha, RATES)
    elif not 0 <= alpha < math.inf:
        raise ValueError(f"alpha = {alpha}; expected a finite number >= 0, or one of {', '.join(map(repr, RATES))}")
    if augment < 0:
        raise ValueError(f"augment = {augment}; expected a number of channels, 0 or more")
    if not 0 <= drop_weakest < 1:
        raise ValueError(f"drop_weakest = {drop_weakest}; expected 0 <= drop_weakest < 1, the share of the edges to leave out")
