"""What an equation is compared with: a network that sees no edges, and a graph convolutional network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from solvers import SparseOperator

from ..graph import Graph
from .encoder import Encoder, drop_into, probability
from .inputs import read_inputs

if TYPE_CHECKING:
    from torch_geometric.data import Data


def _widths(in_channels: int, hidden: int, num_classes: int, layers: int) -> list[int]:
    if layers < 1:
        raise ValueError(f"layers = {layers}; expected at least 1")
    return [in_channels, *[hidden] * (layers - 1), num_classes]


class MLP(nn.Module):
    """`x <- relu(W drop(x) + b)` on each node by itself; the last layer without relu.

    Args:
        in_channels: features per node.
        num_classes: classes.
        hidden: width of the hidden layers.
        layers: number of linear layers.
        dropout: share of each layer's input dropped in training.
    """

    def __init__(self, in_channels: int, num_classes: int, hidden: int = 64, layers: int = 2, dropout: float = 0.5):
        super().__init__()
        self.in_channels, self.num_classes, self.hidden = in_channels, num_classes, hidden
        self.layers, self.dropout = layers, probability(dropout)
        widths = _widths(in_channels, hidden, num_classes, layers)
        self.linears = nn.ModuleList(Encoder(a, b, dropout) for a, b in pairwise(widths))

    def forward(
        self,
        x: Tensor | Graph | Data,
        edge_index: Tensor | Graph | Data | None = None,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Class scores `[nodes, num_classes]`; the edges are not looked at, and may be left out."""
        if not isinstance(x, Tensor):
            _, x = read_inputs(x, edge_index, edge_weight, batch)
        for linear in self.linears[:-1]:
            x = linear(x).relu()
        return self.linears[-1](x)


class GCN(nn.Module):
    """`x <- relu(D^-1/2 (A + I) D^-1/2 drop(x) W + b)`, PyG's `GCNConv`; the last layer without relu.

    Args:
        in_channels: features per node.
        num_classes: classes.
        hidden: width of the hidden layers.
        layers: number of convolutions.
        dropout: share of each layer's input dropped in training.

    Reference: Kipf, Welling (2017), Semi-supervised classification with graph convolutional networks.
    """

    def __init__(self, in_channels: int, num_classes: int, hidden: int = 64, layers: int = 2, dropout: float = 0.5):
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.in_channels, self.num_classes, self.hidden = in_channels, num_classes, hidden
        self.layers, self.dropout = layers, probability(dropout)
        widths = _widths(in_channels, hidden, num_classes, layers)
        self.convs = nn.ModuleList(GCNConv(a, b) for a, b in pairwise(widths))
        drop_into(self.convs[0], self.dropout)

    def forward(
        self,
        x: Tensor | Graph | Data,
        edge_index: Tensor | Graph | Data | None = None,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Class scores `[nodes, num_classes]`; call with a `Graph` or `Data`, or as PyG's layers are called."""
        graph, u = read_inputs(x, edge_index, edge_weight, batch)
        for i, conv in enumerate(self.convs):
            u = F.dropout(u.relu(), self.dropout, self.training) if i else u
            with _product(conv, graph):
                u = conv(u, graph.edge_index, graph.weight)
        return u


@contextmanager
def _product(conv: nn.Module, graph: Graph) -> Iterator[None]:
    """Let a `GCNConv` sum over neighbours by this library's product, which makes no array of edges x channels."""
    if bool((graph.edge_index[0] == graph.edge_index[1]).any()):  # it appends loops to the edges, unless there are some
        yield
        return

    def propagate(edge_index: Tensor, x: Tensor, edge_weight: Tensor) -> Tensor:
        return SparseOperator(graph.loop_pattern, edge_weight).matvec(x)

    conv.propagate = propagate  # type: ignore[assignment]
    try:
        yield
    finally:
        del conv.propagate
