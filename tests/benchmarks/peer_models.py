"""Node classifiers as users of torchdiffeq and PyG write them: GRAND (linear and not) and GraphCON in layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GCNConv
from torchdiffeq import odeint

from .peers import ScaledDotAttention


class GrandField(nn.Module):
    """`u' = alpha (A - I) u + beta u0`, A frozen or recomputed; u0 is detached, as in the released code."""

    def __init__(self, channels: int, heads: int, width: int, frozen: bool):
        super().__init__()
        self.attention, self.frozen = ScaledDotAttention(channels, heads, width), frozen
        self.alpha, self.beta = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.evaluations = 0

    def start(self, u0: Tensor, edges: Tensor) -> None:
        self.u0, self.edges, self.evaluations = u0.detach(), edges, 0
        self.weights = self.attention.weights(u0, edges) if self.frozen else None

    def forward(self, t: Tensor, u: Tensor) -> Tensor:
        self.evaluations += 1
        weights = self.attention.weights(u, self.edges) if self.weights is None else self.weights
        return torch.sigmoid(self.alpha) * (self.attention(u, self.edges, weights) - u) + self.beta * self.u0


class Grand(nn.Module):
    """Dropout, linear encoder, `GrandField` by torchdiffeq, ReLU, linear decoder."""

    def __init__(self, width: int, classes: int, field: GrandField, channels: int, t: float, method: str, **options):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(width, channels), nn.Linear(channels, classes)
        self.field, self.t, self.method, self.options = field, t, method, options

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        u0 = self.encoder(F.dropout(x, 0.5, self.training))
        self.field.start(u0, edges)
        u = odeint(self.field, u0, torch.tensor([0.0, self.t]), method=self.method, **self.options)[-1]
        return self.decoder(F.relu(u))  # type: ignore[arg-type]


class GraphConLayers(nn.Module):
    """GraphCON's published loop over layers that share a `GCNConv`; `cached` keeps the normalised edges."""

    def __init__(
        self, width: int, classes: int, channels: int, layers: int, dt: float, alpha: float, gamma: float, cached: bool = False
    ):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(width, channels), nn.Linear(channels, classes)
        self.conv = GCNConv(channels, channels, cached=cached)
        self.layers, self.dt, self.alpha, self.gamma = layers, dt, alpha, gamma

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        q = p = self.encoder(F.dropout(x, 0.5, self.training))
        for _ in range(self.layers):
            p = p + self.dt * (F.relu(self.conv(q, edges)) - self.alpha * p - self.gamma * q)
            q = q + self.dt * p
        return self.decoder(F.relu(q))
