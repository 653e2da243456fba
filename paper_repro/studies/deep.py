"""Networks of any depth that differ in their layers only: the same encoder, width, decoder and fit for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralpde import GRAND, FitConfig, Graph, GraphCON, NodeClassifier, Transform, as_graph
from neuralpde.models import Decoder, Encoder
from neuralpde.operators import Adjacency
from neuralpde.pdes.coupling import Convolution, GraphAttention, Layered
from neuralpde.training import seeded
from solvers import unknown

LAYERS = ("GCN", "residual GCN", "GAT")
FLOWS = ("GRAND-l", "GRAND-l with source", "GraphCON-GCN")


class Layer(nn.Module):
    """`X <- relu(A X W + b)` ("GCN"), `X <- X + relu(A X W + b)` ("residual GCN"), `X <- elu(GAT(X))` ("GAT").

    A is the normalised adjacency with self-loops; all of equal width, weights as in PyG's GCNConv and GATConv.

    Args:
        kind: one of these.
        channels: the width.
        heads: of "GAT".
    """

    def __init__(self, kind: str, channels: int, heads: int = 2):
        super().__init__()
        self.kind, self.heads = kind, heads
        self.weight, self.bias = nn.Parameter(torch.empty(channels, channels)), nn.Parameter(torch.zeros(channels))
        nn.init.xavier_uniform_(self.weight)
        bound = (6 / (heads + channels // heads)) ** 0.5
        ends = 2 if kind == "GAT" else 0
        self.ends = nn.ParameterList([torch.empty(channels).uniform_(-bound, bound) for _ in range(ends)])

    def forward(self, graph: Graph, adjacency: Adjacency, x: Tensor) -> Tensor:
        weight, bias = Layered(self.weight), Layered(self.bias)
        if self.kind == "GAT":
            ends = [Layered(end) for end in self.ends]
            return F.elu(GraphAttention(graph, weight, *ends, bias, self.heads)(torch.zeros(()), x))
        new = Convolution(adjacency, weight, bias)(torch.zeros(()), x).relu()
        return x + new if self.kind == "residual GCN" else new


class Layers(nn.Module):
    """Encoder, `depth` layers with weights of their own, decoder."""

    def __init__(self, in_channels: int, num_classes: int, kind: str, depth: int, hidden: int, dropout: float):
        super().__init__()
        self.encoder, self.decoder = Encoder(in_channels, hidden, dropout), Decoder(hidden, num_classes, dropout)
        self.layers = nn.ModuleList(Layer(kind, hidden) for _ in range(depth))

    def forward(self, data: Graph) -> Tensor:
        graph = as_graph(data)
        u = self.encoder(graph.node["x"])
        adjacency = Adjacency(graph, "sym", self_loops=True, dtype=u.dtype)
        for layer in self.layers:
            u = layer(graph, adjacency, u)
        return self.decoder(u)


def _grand(hidden: int, source: bool) -> GRAND:
    return GRAND(hidden, heads=4, attention_dim=16, source="detached" if source else False)


EQUATIONS: dict[str, tuple[Callable[[int], GRAND | GraphCON], str]] = {
    "GRAND-l": (lambda hidden: _grand(hidden, False), "rk4"),
    "GRAND-l with source": (lambda hidden: _grand(hidden, True), "rk4"),
    "GraphCON-GCN": (lambda hidden: GraphCON(hidden, "gcn", alpha=0.5, gamma=1.0), "symplectic_euler"),
}


@dataclass(frozen=True)
class Deep:
    """A network of some depth and its fit. Equations are solved to T = depth by steps of 1, with the same weights in each.

    Args:
        model: one of `LAYERS` or `FLOWS`.
        depth: layers, or steps.
        hidden: width.
        dropout: before encoder and decoder.
        config: the fit.
        transform: none.
    """

    model: str
    depth: int
    hidden: int = 32
    dropout: float = 0.5
    config: FitConfig = field(default_factory=lambda: FitConfig(epochs=100, lr=0.01, weight_decay=5e-4, patience=25))
    transform: Transform | None = None

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        if self.model not in (*LAYERS, *FLOWS):
            raise unknown("model", self.model, (*LAYERS, *FLOWS))
        with seeded(seed):
            if self.model in LAYERS:
                return Layers(in_channels, num_classes, self.model, self.depth, self.hidden, self.dropout)
            make, method = EQUATIONS[self.model]
            return NodeClassifier(
                in_channels,
                num_classes,
                make(self.hidden),
                float(self.depth),
                method,
                hidden=self.hidden,
                input_dropout=self.dropout,
                dropout=self.dropout,
                dt=1.0,
            )
