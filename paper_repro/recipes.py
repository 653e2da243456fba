"""Models that the library's presets do not build: graph attention, known labels, and BLEND with its node encodings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from neuralpde import BLEND, FitConfig, Graph, NodeClassifier, Transform, as_graph
from neuralpde.encodings import deepwalk, laplacian_eigenvectors, personalized_pagerank, random_walk_returns
from neuralpde.models import LabelInput
from neuralpde.models.encoder import drop_into
from neuralpde.training import Preset, seeded
from neuralpde.transforms import KNN


class GAT(nn.Module):
    """Graph attention layers (PyG's `GATConv`) with ELU between them; dropout on features and on attention.

    Reference: Velickovic et al. (2018), Graph attention networks.
    """

    def __init__(self, in_channels: int, num_classes: int, hidden: int, heads: int, layers: int, dropout: float):
        from torch_geometric.nn import GATConv

        super().__init__()
        widths = [in_channels, *[hidden * heads] * (layers - 1)]
        inner = [GATConv(width, hidden, heads, dropout=dropout) for width in widths[:-1]]
        self.convs = nn.ModuleList([*inner, GATConv(widths[-1], num_classes, 1, dropout=dropout)])
        self.dropout = dropout
        drop_into(self.convs[0], dropout)

    def forward(self, data: Graph) -> Tensor:
        graph = as_graph(data)
        u = graph.node["x"]
        for i, conv in enumerate(self.convs):
            u = conv(F.dropout(F.elu(u), self.dropout, self.training) if i else u, graph.edge_index)
        return u


@dataclass(frozen=True)
class GATRecipe:
    """A graph attention network and its fit.

    Args:
        hidden: width of a head.
        heads: of all layers but the last, which has one.
        layers: how many.
        dropout: of features and attention.
        config: the fit.
        transform: none.
    """

    hidden: int = 8
    heads: int = 8
    layers: int = 2
    dropout: float = 0.6
    config: FitConfig = field(default_factory=FitConfig)
    transform: Transform | None = None

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        with seeded(seed):
            return GAT(in_channels, num_classes, self.hidden, self.heads, self.layers, self.dropout)


@dataclass(frozen=True)
class Labelled(Preset):
    """An equation whose nodes know the labels of training nodes: all in evaluation, a random half in training."""

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        return LabelInput(super().build(in_channels + num_classes, num_classes, seed), num_classes)


def labelled(preset: Preset) -> Labelled:
    """The same that knows labels."""
    return Labelled(**{f.name: getattr(preset, f.name) for f in dataclasses.fields(preset)})


ENCODINGS = {
    "deepwalk": deepwalk,
    "laplacian": laplacian_eigenvectors,
    "pagerank": personalized_pagerank,
    "returns": random_walk_returns,
}


@dataclass(frozen=True)
class Encoded(Transform):
    """The graph with an encoding of its nodes as the node data "encoding".

    Args:
        kind: one of `ENCODINGS`.
        channels: its width.
    """

    kind: str = "laplacian"
    channels: int = 16

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes", "undirected", "edges"})

    def apply(self, graph: Graph) -> Graph:
        channels = min(self.channels, graph.num_nodes - 1)
        made = ENCODINGS[self.kind](graph, channels).float()
        return graph.with_node(encoding=F.pad(made, (0, self.channels - made.shape[1])))


@dataclass(frozen=True)
class BLENDRecipe:
    """BLEND, fed with an encoding of the nodes.

    Args:
        hidden: width of the features.
        t, method, dt: the solve.
        input_dropout, dropout: of encoder and decoder.
        pos_channels: width of the positions.
        neighbours: 0 keeps the edges; a number makes so many anew for each solve, between nearest states (BLEND-kNN).
        arguments: further ones of `BLEND`.
        config: the fit.
        transform: the encoding.
    """

    hidden: int = 80
    t: float = 18.0
    method: str = "rk4"
    dt: float | None = 2.0
    input_dropout: float = 0.5
    dropout: float = 0.4
    pos_channels: int = 16
    neighbours: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    config: FitConfig = field(default_factory=FitConfig)
    transform: Encoded = field(default_factory=Encoded)

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        rewire = KNN(self.neighbours, of="state") if self.neighbours else None
        with seeded(seed):
            pde = BLEND(
                self.hidden,
                self.transform.channels,
                pos_channels=self.pos_channels,
                positions="encoding",
                rewire=rewire,
                **self.arguments,
            )
            return NodeClassifier(
                in_channels,
                num_classes,
                pde,
                self.t,
                self.method,
                hidden=self.hidden,
                input_dropout=self.input_dropout,
                dropout=self.dropout,
                dt=self.dt,
            )


def changed(recipe: Any, values: Mapping[str, Any]) -> Any:
    """A recipe with some of its settings replaced; "config.lr" is that of its fit, "arguments.rewire.top_k" of the rewiring
    of its equation.

    Raises:
        ValueError: it has no such setting.
    """
    for name, value in values.items():
        first, _, rest = name.partition(".")
        named = isinstance(recipe, Mapping)
        known = (not rest or first in recipe) if named else first in {f.name for f in dataclasses.fields(recipe)}
        if not known:
            raise ValueError(f"{type(recipe).__name__} has no setting {name!r}")
        if rest:
            value = changed(recipe[first] if named else getattr(recipe, first), {rest: value})
        recipe = {**recipe, first: value} if named else replace(recipe, **{first: value})
    return recipe


def over_time(recipe: Any) -> Any:
    """The same with the output time chosen by validation after every epoch, up to 3 T, as the released codes do."""
    return changed(recipe, {"config.horizon": 3.0})
