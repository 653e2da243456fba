"""The equation that GraphCON's released code solves on citation graphs, which is not the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from neuralpde import FitConfig, Graph, GraphPDE, NodeClassifier, Transform
from neuralpde.operators import Attention
from neuralpde.training import seeded


@dataclass(frozen=True, eq=False)
class GatedOscillators:
    """`p' = (1 - b) (A q - q - p) + b s`, `q' = (1 - c) g p + c s`: a partitioned field, affine, with gates in (0, 1).

    Args:
        attention: A.
        source: s, `[nodes, channels]`.
        velocity_gate: g.
        force_share, velocity_share: b and c.
    """

    attention: Attention
    source: Tensor
    velocity_gate: Tensor
    force_share: Tensor
    velocity_share: Tensor

    @property
    def damping(self) -> Tensor:
        return 1 - self.force_share

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return (1 - self.velocity_share) * self.velocity_gate * p + self.velocity_share * self.source

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return (1 - self.force_share) * (self.attention.matvec(q) - q) + self.force_share * self.source

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(0)
        return torch.stack((self.velocity(t, p), self.force(t, q) - self.damping * p))


class ReleasedGraphCON(GraphPDE):
    """`Y' = (1 - b) (A X - X - Y) + b X0`, `X' = (1 - c) g Y + c X0`; X(0) = Y(0) = X0, which counts as a constant in both.

    b, c and g are sigmoids of learned scalars, 0 at the start; A is the mean over heads of scaled-dot attention on X0, once.
    The paper's `X'' = sigma(F(X)) - gamma X - alpha X'` has no gates and no sources.

    Args:
        channels: C.
        heads, attention_dim: of A.
        norm: "row" or "col".

    Reference: T. K. Rusch et al., Graph-coupled oscillator networks (2022), and its code.
    """

    def __init__(self, channels: int, heads: int = 8, attention_dim: int = 32, norm: Any = "row"):
        super().__init__()
        self.channels, self.heads, self.norm = channels, heads, norm
        self.query, self.key = nn.Linear(channels, attention_dim), nn.Linear(channels, attention_dim)
        for linear in (self.query, self.key):
            nn.init.xavier_uniform_(linear.weight, gain=0.1)
        self.gates = nn.Parameter(torch.zeros(3))

    def on(self, graph: Graph, u0: Tensor) -> GatedOscillators:
        attention = Attention(graph, self.query(u0), self.key(u0), heads=self.heads, norm=self.norm)
        return GatedOscillators(attention, u0.detach(), *torch.sigmoid(self.gates).unbind())

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        return torch.stack((u0, u0))

    def read(self, y: Tensor) -> Tensor:
        return y[..., 0, :, :]


@dataclass(frozen=True)
class ReleasedRecipe:
    """That equation as a classifier of nodes, and its fit.

    Args:
        hidden, t, dt: width, time, step of symplectic Euler.
        input_dropout, dropout: of encoder and decoder.
        arguments: further ones of `ReleasedGraphCON`.
        config: the fit.
        transform: none.
    """

    hidden: int = 80
    t: float = 18.0
    dt: float = 1.0
    input_dropout: float = 0.5
    dropout: float = 0.2
    arguments: Mapping[str, Any] = field(default_factory=dict)
    config: FitConfig = field(default_factory=FitConfig)
    transform: Transform | None = None

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        with seeded(seed):
            return NodeClassifier(
                in_channels,
                num_classes,
                ReleasedGraphCON(self.hidden, **self.arguments),
                self.t,
                "symplectic_euler",
                hidden=self.hidden,
                input_dropout=self.input_dropout,
                dropout=self.dropout,
                dt=self.dt,
            )
