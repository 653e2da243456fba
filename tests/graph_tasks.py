"""Small made-up graphs with labels of every kind, and models for them."""

from dataclasses import dataclass, field

import torch
from torch import nn

from neuralpde import FitConfig, Graph, GraphClassifier, GraphRegressor, NodeClassifier
from neuralpde.datasets import GraphList, GraphSets
from neuralpde.pdes import GRAND, Diffusion, GraphCON
from neuralpde.training import GraphBatches, Plateau, seeded


def made_up(kind: str, count: int = 30, seed: int = 0) -> GraphList:
    """Rings and paths of 4 to 8 nodes: which of them ("classes"), a sum over the nodes ("numbers"), signs ("labels")."""
    generator = torch.Generator().manual_seed(seed)
    items = []
    for i in range(count):
        nodes = 4 + i % 5
        graph = Graph.ring(nodes) if i % 2 else Graph.path(nodes)
        x = torch.randn(nodes, 3, generator=generator)
        degree = torch.bincount(graph.edge_index[1], minlength=nodes)
        x[:, 2] = degree.float() - 1.5
        y = {
            "classes": torch.tensor([i % 2]),
            "numbers": x[:, :1].sum(0),
            "labels": torch.stack([x[:, 0] > 0, x[:, 1] > 0.3, x[:, 0] + x[:, 1] > 0], 1).float(),
        }[kind]
        items.append({"x": x, "edge_index": graph.edge_index, "y": y, "pos": torch.randn(nodes, 2, generator=generator)})
    return GraphList.of(items)


def sets(kind: str, seed: int = 0) -> GraphSets:
    train, val, test = torch.arange(30).split(10)
    return GraphSets(made_up(kind, seed=seed), train, val, test, {"classes": 2, "numbers": 1, "labels": 3}[kind])


def model(kind: str, seed: int = 0) -> nn.Module:
    with seeded(seed):
        if kind == "classes":
            return GraphClassifier(3, 2, GraphCON(6, alpha=0.5), 1.0, "symplectic_euler", dt=0.5, dropout=0.1)
        if kind == "numbers":
            return GraphRegressor(3, 1, Diffusion(0.2), 0.5, "rk4", hidden=8, dt=0.5, pool="sum")
        return NodeClassifier(3, 3, GRAND(8), 0.5, "rk4", dt=0.5, input_dropout=0.1)


OBJECTIVE = {"classes": "classes", "numbers": "mae", "labels": "labels"}


def batches(kind: str) -> tuple[GraphBatches, GraphBatches]:
    whole = sets(kind)
    return GraphBatches(whole.graphs, whole.train, 4, shuffle=True), GraphBatches(whole.graphs, whole.val, 4)


def labelled_nodes() -> Graph:
    """A ring of 40 nodes with masks, three classes."""
    generator = torch.Generator().manual_seed(1)
    part = torch.arange(40) % 3
    y = torch.randint(3, (40,), generator=generator)
    x = torch.randn(40, 3, generator=generator)
    return Graph.ring(40).with_node(x=x, y=y, train_mask=part == 0, val_mask=part == 1, test_mask=part == 2)


def plan(kind: str, **more: object) -> FitConfig:
    """A fit with everything that has a state: a plateau that cuts, and penalties or a horizon where there are such."""
    extra = {"regularisation": {"kinetic": 0.1, "jacobian": 0.01}} if kind in ("labels", "nodes") else {}
    extra = {"horizon": 2.0} if kind == "horizon" else extra
    base = {
        "epochs": 9,
        "lr": 0.4 if kind == "labels" else 0.05,
        "objective": OBJECTIVE.get(kind, "classes"),
        "plateau": Plateau(patience=0),
    }
    return FitConfig(**{**base, **extra, **more})


@dataclass(frozen=True)
class Made:
    """A recipe."""

    kind: str
    config: FitConfig = field(default_factory=FitConfig)
    transform: None = None

    def build(self, in_channels: int, outputs: int, seed: int = 0) -> nn.Module:
        assert (in_channels, outputs) == (3, {"classes": 2, "numbers": 1, "labels": 3}[self.kind])
        return model(self.kind, seed)


@dataclass(frozen=True)
class MadeUp:
    """A source."""

    kind: str
    label: str = "made up"

    def __call__(self, split: object) -> GraphSets:
        return sets(self.kind, split[1] if isinstance(split, tuple) else 0)
