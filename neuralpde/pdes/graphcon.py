"""Graph-coupled oscillators (GraphCON)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvers import LinearFlow, unknown

from ..graph import Graph
from ..operators.adjacency import Adjacency
from .activation import activation_named
from .base import GraphPDE
from .coefficient import Coefficient
from .coupled_oscillators import AttentionStiffness, CoupledOscillators, CouplingStiffness
from .coupling import Convolution, GraphAttention, Layered
from .coupling_attention import DotAttention, HeldAttention
from .coupling_residual import RESIDUALS, Residual
from .oscillator import FirstOrder

COUPLINGS = ("gcn", "gat", "transformer")
MODES = ("frozen", "recomputed")
RATES = ("alpha", "gamma")
VELOCITIES = ("features", "zero")


class GraphCON(GraphPDE):
    """`X'' = sigma(F(X)) - gamma X - alpha X'`, as `Y' = sigma(F(X)) - gamma X - alpha Y`, `X' = Y`; X(0) = Y(0) = u0.

    F is one of the paper's couplings, which `neuralpde train --pde` calls

        graphcon-gcn     coupling="gcn": `A X W + b`, a graph convolution with `A = (D + 1)^-1/2 (A + I) (D + 1)^-1/2`
        graphcon-gat     coupling="gat": graph attention (ELU as sigma, as in the released code)
        graphcon-tran    coupling="transformer": `A X`, A the mean over heads of scaled-dot attention; "frozen" is A(u0), the
                         form of the released runs (sigma the identity there: a linear equation), "recomputed" is A(X)

    The published scheme is `method="symplectic_euler"`:

        Y_n = Y_{n-1} + dt (sigma(F(X_{n-1})) - gamma X_{n-1} - alpha Y_{n-1}),    X_n = X_{n-1} + dt Y_n

    whose homogeneous part is stable for 0 <= alpha dt <= 2 and 0 <= gamma dt^2 <= 4 - 2 alpha dt.

    The published default dt = alpha = gamma = 1 is degenerate: the step is then X_n = sigma(F(X_{n-1})) exactly, a plain
    graph neural network, whatever Y is. A warning says so.

    Args:
        channels: C.
        coupling: "gcn", "gat" or "transformer".
        alpha: damping, 1 / time.
        gamma: restoring force, 1 / time^2. alpha = gamma = 0, a driven double integrator, is what the released code's tuned
            runs on Texas, Wisconsin and Cornell use, with a residual.
        layers: None for weights shared over time; a number for as many weights, one after the other, each lasting `dt`.
        dt: the time that a layer lasts (with `layers`; solve with steps of `dt`, or fractions of it, to time `layers dt`).
        activation: "relu", "tanh", "elu", ...; "identity" or None for none.
        heads: of "gat", where it divides C, and of "transformer", where it divides attention_dim.
        self_loops: of "gcn": False for the plain `D^-1/2 A D^-1/2`.
        bias: add b in "gcn", and r in a residual. "gat" has its bias in any case, "transformer" none.
        attention: of "transformer": "frozen" or "recomputed".
        attention_dim: of "transformer": H d, the width of keys and queries.
        residual: what stands in sigma in place of F(X), with a learned linear map R(Z) = Z R + r (W = I for "transformer"):
            None      F(X)
            "v1"      F(X) - R(X W)             heterophilic graphs, first version (Cornell)
            "v2"      F(X) - X W + R(X)         the second (Texas, Wisconsin), and ZINC: (A - I) X W + X R for "gcn"
            "skip"    F(X) + R(X)               superpixels
        learned: "alpha", "gamma" or both in a list: learned as softplus of a parameter, so positive, from the values given.
        initial_velocity: "features" for Y(0) = u0, "zero" for Y(0) = 0.
        dropout: share of the entries of X(0) and, independently, of Y(0) that is dropped in training, once for a solve.

    Raises:
        ValueError: unknown names, heads that do not divide the width, layers without dt or with frozen attention, negative
            alpha or gamma (or zero, if learned).

    Reference: T. K. Rusch, B. Chamberlain, J. Rowbottom, S. Mishra, M. Bronstein, Graph-coupled oscillator networks (2022),
        eqs. 1-4; https://github.com/tk-rusch/GraphCON.
    """

    def __init__(
        self,
        channels: int,
        coupling: Literal["gcn", "gat", "transformer"] = "gcn",
        alpha: float = 0.5,
        gamma: float = 1.0,
        *,
        layers: int | None = None,
        dt: float | None = None,
        activation: str | None = "relu",
        heads: int = 4,
        self_loops: bool = True,
        bias: bool = True,
        attention: Literal["frozen", "recomputed"] = "frozen",
        attention_dim: int = 16,
        residual: Literal["v1", "v2", "skip"] | None = None,
        learned: Literal["alpha", "gamma"] | Sequence[Literal["alpha", "gamma"]] = (),
        initial_velocity: Literal["features", "zero"] = "features",
        dropout: float = 0.0,
    ):
        super().__init__()
        learned = (learned,) if isinstance(learned, str) else learned
        for what, got, known in (
            ("coupling", coupling, COUPLINGS),
            ("attention", attention, MODES),
            ("residual", "v1" if residual is None else residual, RESIDUALS),
            ("initial_velocity", initial_velocity, VELOCITIES),
            *(("rate to learn", name, RATES) for name in learned),
        ):
            if got not in known:
                raise unknown(what, got, known)
        _check(coupling, alpha, gamma, layers, dt, attention)
        _check_numbers(channels, heads, attention_dim, coupling, dropout)
        activation_named(activation)
        self.channels = channels
        self.coupling, self.attention, self.heads = coupling, attention, heads
        self.layers, self.dt, self.self_loops, self.activation = layers, dt if layers else None, self_loops, activation
        self.residual: Literal["v1", "v2", "skip"] | None = residual
        self.initial_velocity, self.dropout = initial_velocity, float(dropout)
        self._start = (float(alpha), float(gamma))
        self.damping = Coefficient(alpha, learnable="alpha" in learned, name="alpha")
        self.restoring = Coefficient(gamma, learnable="gamma" in learned, name="gamma")

        def weights(*shape: int, wanted: bool = True) -> nn.Parameter | None:
            first = () if layers is None else (layers,)
            return nn.Parameter(torch.empty(*first, *shape)) if wanted else None

        attends, dots, rests = coupling == "gat", coupling == "transformer", residual is not None
        self.weight = weights(channels, channels, wanted=not dots)
        self.bias = weights(channels, wanted=attends or (bias and not dots))
        self.left, self.right = weights(channels, wanted=attends), weights(channels, wanted=attends)
        self.query, self.key = (weights(channels, attention_dim, wanted=dots) for _ in range(2))
        self.query_bias = weights(attention_dim, wanted=dots)
        self.rest, self.rest_bias = weights(channels, channels, wanted=rests), weights(channels, wanted=rests and bias)
        self.reset_parameters()
        _warn_degenerate(float(alpha), float(gamma), self.dt)

    def reset_parameters(self) -> None:
        """Draw the weights anew: Glorot for W and the attention vectors, zero for b (as PyG's GCNConv and GATConv); a tenth of
        Glorot for keys and queries, so that A starts close to uniform; R and r as nn.Linear; learned rates as given."""
        width, dim = self.channels or 1, 0 if self.query is None else self.query.shape[-1]
        glorot, dots = (3 / width) ** 0.5, 0.1 * (6 / (width + dim)) ** 0.5
        vector = (6 / (self.heads + width // self.heads)) ** 0.5
        for weight, bound in (
            (self.weight, glorot),
            (self.bias, 0.0),
            (self.left, vector),
            (self.right, vector),
            (self.query, dots),
            (self.key, dots),
            (self.query_bias, 0.0),
            (self.rest, width**-0.5),
            (self.rest_bias, width**-0.5),
        ):
            if weight is not None:
                nn.init.uniform_(weight, -bound, bound)
        for rate, start in zip((self.damping, self.restoring), self._start, strict=True):
            if rate.learnable:
                nn.init.constant_(rate.raw, start + math.log(-math.expm1(-start)))

    @property
    def alpha(self) -> float | Tensor:
        """The damping: a number, or a scalar tensor if it is learned."""
        return self.damping()

    @property
    def gamma(self) -> float | Tensor:
        """The restoring force: a number, or a scalar tensor if it is learned."""
        return self.restoring()

    def on(self, graph: Graph, u0: Tensor) -> CoupledOscillators:
        given = {name: getattr(self, name) for name in self._parameters}
        weights = {name: Layered(value, self.dt) for name, value in given.items() if value is not None}
        alpha, gamma, sigma = self.alpha, self.gamma, activation_named(self.activation)
        coupling = self._coupling(graph, u0, weights)
        if self.residual is not None:
            coupling = Residual(coupling, self.residual, weights["rest"], weights.get("rest_bias"))
            return CoupledOscillators(coupling, alpha, gamma, sigma)
        stiffness = flow = None
        if sigma is None and isinstance(coupling, HeldAttention):
            flow = LinearFlow(FirstOrder(AttentionStiffness(coupling.attention, gamma), alpha))
        elif sigma is None and isinstance(coupling, Convolution) and self.bias is None and self.layers is None:
            weight = coupling.weight.values
            if torch.equal(weight, weight.mT):
                stiffness = CouplingStiffness(coupling.adjacency, weight, gamma)
        return CoupledOscillators(coupling, alpha, gamma, sigma, stiffness, flow)

    def _coupling(
        self, graph: Graph, u0: Tensor, weights: dict[str, Layered]
    ) -> Convolution | GraphAttention | DotAttention | HeldAttention:
        if self.coupling == "transformer":
            moving = DotAttention(graph, weights["query"], weights["key"], weights["query_bias"], self.heads)
            return HeldAttention(moving.operator(0.0, u0)) if self.attention == "frozen" else moving
        if self.coupling == "gat":
            vectors = weights["left"], weights["right"], weights["bias"]
            return GraphAttention(graph, weights["weight"], *vectors, self.heads)
        adjacency = Adjacency(graph, "sym", self_loops=self.self_loops, dtype=u0.dtype)
        return Convolution(adjacency, weights["weight"], weights.get("bias"))

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        q = F.dropout(u0, self.dropout, self.training)
        if self.initial_velocity == "zero":
            return torch.stack((q, torch.zeros_like(q)))
        return torch.stack((q, F.dropout(u0, self.dropout, self.training)))

    def read(self, y: Tensor) -> Tensor:
        return y[..., 0, :, :]

    @classmethod
    def example(cls) -> tuple[GraphCON, Graph, Tensor]:
        """Attention with two heads and two layers on a grid of six nodes."""
        generator = torch.Generator().manual_seed(0)
        pde = cls(4, "gat", heads=2, layers=2, dt=0.5, activation="tanh").double()
        with torch.no_grad():
            for p in pde.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / 2)
        return pde, Graph.grid(2, 3), torch.randn(6, 4, generator=generator, dtype=torch.float64)


def _check(coupling: str, alpha: float, gamma: float, layers: int | None, dt: float | None, attention: str) -> None:
    if alpha < 0 or gamma < 0:
        raise ValueError(f"alpha = {alpha:g}, gamma = {gamma:g}; neither may be negative (the oscillators would be driven)")
    if layers is not None and (layers < 1 or dt is None or not dt > 0):
        raise ValueError(f"layers={layers} with dt={dt}; expected at least one layer and the positive time dt that each lasts")
    if layers is None and dt is not None:
        raise ValueError(
            "dt is the time that a layer lasts: give layers= too, or hand the step to the solver: simulate(..., dt=)"
        )
    if layers is not None and coupling == "transformer" and attention == "frozen":
        raise ValueError(
            f'layers={layers} with attention="frozen", which is one A for all times; attention="recomputed" has both'
        )


def _check_numbers(channels: int, heads: int, attention_dim: int, coupling: str, dropout: float) -> None:
    if coupling == "gat" and channels % heads:
        raise ValueError(f"{heads} heads do not divide {channels} channels; heads=1 or another width")
    if coupling == "transformer" and (heads < 1 or attention_dim < 1 or attention_dim % heads):
        raise ValueError(f"attention_dim = {attention_dim} is not a multiple of heads = {heads}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout = {dropout}; expected 0 <= dropout < 1")


def _warn_degenerate(alpha: float, gamma: float, dt: float | None) -> None:
    step = 1.0 if dt is None else dt
    if abs(alpha * step - 1) < 1e-9 and abs(gamma * step * step - 1) < 1e-9:
        warnings.warn(
            f"GraphCON with alpha = {alpha:g}, gamma = {gamma:g} is degenerate under symplectic Euler with dt = {step:g}: a "
            "step is X -> sigma(F(X)) exactly, a plain graph neural network. Take a smaller step, or another alpha or gamma.",
            stacklevel=4,
        )
