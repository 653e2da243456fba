"""What the study of depth looks at: networks of PyG's convolutions, and equations that take a step of one per layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCN2Conv, GCNConv, GINConv, SAGEConv

from neuralpde import GRAND, Diffusion, GraphCON, GraphPDE
from neuralpde.models import PDEBlock

HEADS = 4


class Stack(nn.Module):
    """`X_l = sigma(conv_l(X_{l-1}))`; of GCNII, `conv_l(X_{l-1}, X_0)`. An encoder and a decoder may stand around it.

    Args:
        convs: the layers, of one width.
        activation: sigma, after every layer.
        encoder, decoder: linear maps before and after.
        dropout: share dropped before the encoder and the decoder, in training.
    """

    def __init__(
        self,
        convs: list[nn.Module],
        activation: nn.Module,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.convs, self.activation = nn.ModuleList(convs), activation
        self.encoder, self.decoder = encoder or nn.Identity(), decoder or nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = first = self.encoder(self.dropout(x))
        for conv in self.convs:
            near = (x, first, edge_index) if isinstance(conv, GCN2Conv) else (x, edge_index)
            x = self.activation(conv(*near))
        return self.decoder(self.dropout(x))


def convolution(name: str, width: int, layer: int) -> nn.Module:
    """One layer, as its paper has it; `layer` counts from 1."""
    if name in ("GCN", "linear GCN", "linear GCN, W = 1"):
        conv = GCNConv(width, width, bias=not name.startswith("linear"))
        if name.endswith("W = 1"):
            nn.init.eye_(conv.lin.weight)
        return conv
    if name == "GAT":
        return GATConv(width, width // HEADS, HEADS)
    if name == "SAGE":
        return SAGEConv(width, width)
    if name == "GIN":
        return GINConv(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)))
    if name == "GCNII":
        return GCN2Conv(width, alpha=0.1, theta=0.5, layer=layer)
    raise ValueError(f"no layer is called {name!r}; expected GCN, GAT, SAGE, GIN, GCNII or a linear GCN")


def activation(name: str) -> nn.Module:
    """ELU for GAT, none for linear networks, else ReLU."""
    return nn.ELU() if name == "GAT" else nn.Identity() if name.startswith("linear") else nn.ReLU()


def network(name: str, width: int, seed: int) -> Callable[[int], nn.Module]:
    """A function of the depth; the shallower network is the first layers of the deeper one, with the same weights."""

    def make(depth: int) -> nn.Module:
        torch.manual_seed(seed)
        return Stack([convolution(name, width, layer) for layer in range(1, depth + 1)], activation(name)).double()

    return make


class Flow(nn.Module):
    """An equation between an encoder and a decoder: a step of one is a layer."""

    def __init__(self, pde: GraphPDE, depth: int, encoder: nn.Module, decoder: nn.Module, method: str, dropout: float = 0.0):
        super().__init__()
        self.encoder, self.decoder, self.dropout = encoder, decoder, nn.Dropout(dropout)
        self.block = PDEBlock(pde, float(depth), method, dt=1.0)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.decoder(self.dropout(self.block(self.encoder(self.dropout(x)), edge_index)))


def classifier(name: str, inputs: int, width: int, classes: int, seed: int) -> Callable[[int], nn.Module]:
    """A function of the depth that makes a classifier of nodes, untrained: encoder, layers, decoder."""

    def make(depth: int) -> nn.Module:
        torch.manual_seed(seed)
        encoder, decoder = nn.Linear(inputs, width), nn.Linear(width, classes)
        if name in EQUATIONS:
            method = "euler" if name.startswith("GRAND") else EQUATIONS[name].method
            return Flow(EQUATIONS[name].make(width, depth), depth, encoder, decoder, method, 0.5)
        layers = [convolution(name, width, layer) for layer in range(1, depth + 1)]
        return Stack(layers, activation(name), encoder, decoder, 0.5)

    return make


@dataclass(frozen=True)
class Equation:
    """An equation and how it steps: one step is one layer.

    Args:
        make: from the width and the number of layers.
        method: of `simulate`.
        damping: of a linear oscillator, for the modes of its scheme; None for others.
    """

    make: Callable[[int, int], GraphPDE]
    method: str
    damping: float | None = None


def _graphcon(coupling: str, alpha: float) -> Callable[[int, int], GraphPDE]:
    def make(width: int, layers: int) -> GraphPDE:
        sigma = "relu" if coupling == "gcn" else "elu"
        return GraphCON(width, coupling, alpha, 1.0, layers=layers, dt=1.0, activation=sigma)  # type: ignore[arg-type]

    return make


def _oscillators(alpha: float) -> Callable[[int, int], GraphPDE]:
    def make(width: int, layers: int) -> GraphPDE:
        pde = GraphCON(width, "gcn", alpha, 1.0, activation=None, bias=False, initial_velocity="zero")
        nn.init.eye_(pde.weight)  # type: ignore[arg-type]
        return pde

    return make


EQUATIONS = {
    "heat": Equation(lambda width, layers: Diffusion(normalization="rw"), "rk4"),
    "GRAND-l": Equation(lambda width, layers: GRAND(width, attention="frozen"), "rk4"),
    "GRAND-nl": Equation(lambda width, layers: GRAND(width, attention="recomputed"), "rk4"),
    "GraphCON-GCN, alpha = 0": Equation(_graphcon("gcn", 0.0), "symplectic_euler"),
    "GraphCON-GCN, alpha = 1/2": Equation(_graphcon("gcn", 0.5), "symplectic_euler"),
    "GraphCON-GAT, alpha = 0": Equation(_graphcon("gat", 0.0), "symplectic_euler"),
    "GraphCON-GAT, alpha = 1/2": Equation(_graphcon("gat", 0.5), "symplectic_euler"),
    "oscillators, alpha = 0": Equation(_oscillators(0.0), "symplectic_euler", 0.0),
    "oscillators, alpha = 1/2": Equation(_oscillators(0.5), "symplectic_euler", 0.5),
}
NETWORKS = ("linear GCN, W = 1", "linear GCN", "GCN", "GAT", "SAGE", "GIN", "GCNII")
TRAINED = ("GCN", "GAT", "SAGE", "GIN", "GCNII", "GRAND-l", "GRAND-nl")
TRAINED += ("GraphCON-GCN, alpha = 1/2", "GraphCON-GAT, alpha = 1/2")
