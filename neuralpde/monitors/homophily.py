"""Homophily: whether edges join like to like, in labels and in features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField, unknown

from ..graph import Graph
from .base import Observable, Reading
from .features import node_features
from .similarity import cosine_distance

Counted = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Homophily(Observable):
    """The share of edges within a class, from 0 to 1, of labels or of what the features predict (their largest channel).

        "edge":   edges with both ends in one class / edges
        "node":   mean over the nodes with edges of the share of their (incoming) edges that come from their class
        "class":  1/(C-1) sum over classes k of max(0, h_k - n_k / n), h_k that share over all edges into class k: 0 where
                  edges do not look at classes, whatever the sizes of those

    Weights of edges are not used. Nodes with a label below 0 have no class; they and their edges are left out. NaN without
    edges ("class": or with one class), and for features that are not finite. It does not depend smoothly on the state: no
    gradient. Features of one channel predict one class only. `FeatureHomophily` compares features themselves.

    Args:
        kind: which, see above.
        labels: `[nodes]` int64; None takes the index of the largest channel of the features at each reading.

    Raises:
        UnknownName: for another kind.
        ValueError: from `on`, for labels without one entry per node.

    Reference: Zhu et al. (2020), Beyond homophily in graph neural networks; Pei et al. (2020), Geom-GCN; Lim et al. (2021),
        Large scale learning on non-homophilous graphs ("class").
    """

    kind: str = "edge"
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("edge", "node", "class"):
            raise unknown("kind", self.kind, ("edge", "node", "class"))

    @property
    def name(self) -> str:
        return f"{self.kind} homophily"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        labels = None if self.labels is None else self.labels.reshape(-1).to(graph.device)
        if labels is not None and len(labels) != graph.num_nodes:
            raise ValueError(f"{len(labels)} labels for {graph.num_nodes} nodes; expected one per node")
        measure = {"edge": _of_edges, "node": _of_nodes, "class": _of_classes}[self.kind]

        def homophily(t: float, y: Tensor) -> Tensor:
            if labels is not None:
                return measure(graph, labels)
            x = node_features(graph, y, read).real
            lost = graph.space.total((~torch.isfinite(x)).double()) > 0
            return torch.where(lost, torch.nan, measure(graph, x.argmax(1)))

        return homophily

    @classmethod
    def example(cls) -> tuple[Homophily, Graph, Tensor]:
        """An instance, a graph and features: the path 0 - 1 - 2 with classes 0, 0, 1, one edge of two."""
        return cls(), Graph.path(3), torch.tensor([[2.0, 0.0], [2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)


@dataclass(frozen=True)
class FeatureHomophily(Observable):
    """The mean cosine of features along edges, from -1 to 1: `"edge"`, the mean over edges; `"node"`, over nodes' means.

    Edges with an end whose features are 0 have no angle and are left out; NaN if there is no other.

    Args:
        kind: "edge" or "node".

    Raises:
        UnknownName: for another kind.

    Reference: Luan et al. (2024), The heterophilic graph learning handbook (generalised edge homophily).
    """

    kind: str = "edge"

    def __post_init__(self) -> None:
        if self.kind not in ("edge", "node"):
            raise unknown("kind", self.kind, ("edge", "node"))

    @property
    def name(self) -> str:
        return f"{self.kind} homophily of features"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        total = graph.space.total

        def homophily(t: float, y: Tensor) -> Tensor:
            distance, angle = cosine_distance(graph.edge_index, node_features(graph, y, read))
            count = _at_targets(graph, angle.double())
            cosine = _at_targets(graph, torch.where(angle, 1 - distance, 0.0))
            if self.kind == "node":
                cosine, count = cosine / count.clamp(min=1), (count > 0).double()
            return total(cosine) / total(count)

        return homophily

    @classmethod
    def example(cls) -> tuple[FeatureHomophily, Graph, Tensor]:
        """An instance, a graph and features: angles of 90 and 45 degrees on the path, (0 + sqrt 1/2) / 2."""
        return cls(), Graph.path(3), torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]], dtype=torch.float64)


def _at_targets(graph: Graph, values: Tensor) -> Tensor:
    """Sums over the edges into every node, `[nodes]`."""
    return values.new_zeros(graph.num_nodes).index_add(0, graph.edge_index[1], values)


def _counts(graph: Graph, label: Tensor) -> Counted:
    """Of every node: the edges into it from its own class, and from any class; 0 where it has none itself."""
    source, target = label[graph.edge_index]
    known = (source >= 0) & (target >= 0)
    return _at_targets(graph, (known & (source == target)).double()), _at_targets(graph, known.double())


def _of_edges(graph: Graph, label: Tensor) -> Tensor:
    same, known = _counts(graph, label)
    return graph.space.total(same) / graph.space.total(known)


def _of_nodes(graph: Graph, label: Tensor) -> Tensor:
    same, known = _counts(graph, label)
    return graph.space.total(same / known.clamp(min=1)) / graph.space.total((known > 0).double())


def _of_classes(graph: Graph, label: Tensor) -> Tensor:
    same, known = _counts(graph, label)
    space = graph.space
    count = int(label.max()) + 1 if label.numel() else 0
    member = torch.nn.functional.one_hot(label.clamp(min=0), max(count, 1)).double() * (label >= 0).double().unsqueeze(1)
    sizes, inner, all_ = (space.pool(member * v.unsqueeze(1)) for v in (torch.ones_like(same), same, known))
    classes = torch.where(sizes > 0, torch.arange(1, sizes.shape[1] + 1, device=sizes.device), 0).amax(1)  # the largest label
    excess = (inner / all_.clamp(min=1) - sizes / sizes.sum(1, keepdim=True).clamp(min=1)).clamp(min=0).sum(1)
    return torch.where(space.total(known) > 0, excess / (classes - 1), torch.nan)
