"""Fitting without the test set: what fits and what chooses is handed a graph from which it has been taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..datasets.loading import Split
from ..graph import Graph, as_graph
from ..transform import Transform
from .evaluate import check_mask
from .fit import fit
from .history import Epoch, History
from .recipe import Recipe

if TYPE_CHECKING:
    from torch_geometric.data import Data

_ROW = "row"  # node data: the number of the node in the graph that was loaded


@dataclass(frozen=True, eq=False)
class Blind:
    """A labelled graph without its test set: no `test_mask`, and -1 for every label outside of training and validation.

    Make one with `blind(data)`.

    Args:
        graph: with `x`, `y`, `train_mask`, `val_mask`.
        classes: how many there are.
    """

    graph: Graph
    classes: int

    def __post_init__(self) -> None:
        node = self.graph.node
        unseen = ~(node["train_mask"] | node["val_mask"])
        if "test_mask" in node or bool((node["y"][unseen] != -1).any()):
            raise ValueError("the graph still has its test set; make one with blind(data)")

    def transformed(self, transform: Transform | None) -> Blind:
        """With another graph; `transform` sees no test label either."""
        return self if transform is None else replace(self, graph=transform(self.graph))

    @property
    def rows(self) -> Tensor:
        """For each node its number in the data that was made blind, `[nodes]`."""
        return self.graph.node[_ROW]


def blind(data: Graph | Data) -> Blind:
    """Take the test set out of a labelled graph.

    Args:
        data: with `x`, `y`, `train_mask`, `val_mask`.

    Raises:
        ValueError: one of them is missing.
    """
    graph = as_graph(data)
    lacking = [name for name in ("x", "y", "train_mask", "val_mask") if name not in graph.node]
    if lacking:
        raise ValueError(f"{graph} has no {', '.join(lacking)}; datasets.load gives what a run needs")
    node = {key: value for key, value in graph.node.items() if key != "test_mask"}
    y = node["y"].reshape(-1)
    seen = check_mask(node["train_mask"], graph) | check_mask(node["val_mask"], graph)
    node["y"] = torch.where(seen, y, -1)
    node[_ROW] = torch.arange(graph.num_nodes, device=graph.device)
    return Blind(replace(graph, node=node), int(y.max()) + 1)


BlindLoader = Callable[[Split, Transform | None], Blind]


def blind_loader(load: Callable[[Split], Graph | Data]) -> BlindLoader:
    """Graphs without their test set, by split and transform; the last few are kept.

    Args:
        load: the labelled graph of a split.
    """

    @lru_cache(1)
    def plain(split: Split) -> Blind:
        return blind(load(split))

    @lru_cache(4)
    def ready(split: Split, transform: Transform | None) -> Blind:
        return plain(split).transformed(transform)

    return ready


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model in its best epoch by validation.

    Args:
        model: it.
        history: of the fit.
        seconds: of the fit, and of building the model.
    """

    model: nn.Module
    history: History
    seconds: float

    @property
    def best(self) -> Epoch:
        return self.history.best

    def row(self) -> dict[str, Any]:
        """What a file of results keeps of it: validation only."""
        return {
            "val_accuracy": self.best.val_accuracy,
            "best_epoch": self.best.epoch,
            "epochs": len(self.history.epochs),
            "time": self.best.time,
            "evaluations": sum(e.evaluations for e in self.history.epochs),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "seconds": round(self.seconds, 3),
        }


def fit_blind(recipe: Recipe, data: Blind, seed: int) -> Fitted:
    """Build and fit a recipe; the graph has been transformed already.

    Args:
        recipe: what to fit.
        data: where.
        seed: of the weights and of the fit.
    """
    began = time.perf_counter()
    model = recipe.build(data.graph.node["x"].size(1), data.classes, seed)
    model = model.to(data.graph.device)
    history = fit(model, data.graph, config=replace(recipe.config, seed=seed))
    return Fitted(model, history, time.perf_counter() - began)
