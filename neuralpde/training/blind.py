"""Fitting without the test set: what fits and what chooses is handed a graph from which it has been taken."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor, nn

from ..datasets.graph_list import GraphCollection, GraphSets
from ..datasets.loading import Split
from ..graph import Graph, as_graph
from ..transform import Transform
from .batches import GraphBatches
from .config import FitConfig
from .evaluate import check_mask, evaluate, labels
from .fit import fit
from .history import Epoch, History
from .objective import CLASSES, objective_named
from .recipe import Recipe

if TYPE_CHECKING:
    from torch_geometric.data import Data

_ROW = "row"  # node data: the number of the node in the graph that was loaded


class BlindData(ABC):
    """What may be fitted and chosen on: labelled data without its test set."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers a model gives for a node or graph."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Features per node."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it is."""

    @abstractmethod
    def transformed(self, transform: Transform | None) -> BlindData:
        """With other graphs; `transform` sees no test label either."""

    @abstractmethod
    def fit(self, model: nn.Module, config: FitConfig) -> History:
        """Fit a model, and leave it in its best epoch."""

    @abstractmethod
    def test(self, model: nn.Module, full: Graph | GraphSets, config: FitConfig, time: float | None = None) -> float:
        """The score of a fitted model on the test set of the data that was made blind.

        Raises:
            ValueError: it has none.
        """


@dataclass(frozen=True, eq=False)
class Blind(BlindData):
    """A labelled graph without its test set: no `test_mask`, and -1 (nan for a number) as every label outside of training and
    validation.

    Make one with `blind(data)`.

    Args:
        graph: with `x`, `y`, `train_mask`, `val_mask`.
        classes: how many there are; of several labels at once or of numbers, how many a node has.
    """

    graph: Graph
    classes: int

    def __post_init__(self) -> None:
        node = self.graph.node
        unseen = ~(node["train_mask"] | node["val_mask"])
        y = node["y"][unseen]
        if "test_mask" in node or bool(((y != -1) & ~y.isnan()).any()):
            raise ValueError("the graph still has its test set; make one with blind(data)")

    @property
    def outputs(self) -> int:
        return self.classes

    @property
    def channels(self) -> int:
        return self.graph.node["x"].size(1)

    @property
    def device(self) -> torch.device:
        return self.graph.device

    def transformed(self, transform: Transform | None) -> Blind:
        return self if transform is None else replace(self, graph=transform(self.graph))

    def fit(self, model: nn.Module, config: FitConfig) -> History:
        return fit(model, self.graph, config=config)

    def test(self, model: nn.Module, full: Graph | GraphSets, config: FitConfig, time: float | None = None) -> float:
        node = as_graph(full).node  # type: ignore[arg-type]
        if "test_mask" not in node:
            raise ValueError("the data has no test_mask to test on")
        whole, mask = self.graph.with_node(y=labels(self.graph, node["y"])[self.rows]), node["test_mask"][self.rows]
        return evaluate(model, whole, mask, time=time, objective=config.objective)

    @property
    def rows(self) -> Tensor:
        """For each node its number in the data that was made blind, `[nodes]`."""
        return self.graph.node[_ROW]


@dataclass(frozen=True, eq=False)
class BlindSets(BlindData):
    """Batches of graphs without those of the test set. Make one with `blind(sets)`.

    Args:
        graphs: all; those of the test set are in neither index.
        train, val: numbers of the graphs in each set.
        count: outputs of a model.
    """

    graphs: GraphCollection
    train: Tensor
    val: Tensor
    count: int

    @property
    def outputs(self) -> int:
        return self.count

    @property
    def channels(self) -> int:
        return self.graphs.x.size(-1)

    @property
    def device(self) -> torch.device:
        return self.graphs.x.device

    def transformed(self, transform: Transform | None) -> BlindSets:
        if transform is not None:
            raise ValueError(
                f"{transform} is for one graph, and these are {self.train.numel()} to train on; transform the graphs before "
                "they become a GraphList"
            )
        return self

    def fit(self, model: nn.Module, config: FitConfig) -> History:
        train = GraphBatches(self.graphs, self.train, config.batch_size, shuffle=True)
        return fit(model, train, GraphBatches(self.graphs, self.val, config.batch_size), task="graph", config=config)

    def test(self, model: nn.Module, full: Graph | GraphSets, config: FitConfig, time: float | None = None) -> float:
        if not isinstance(full, GraphSets):
            raise TypeError(f"got a {type(full).__name__}; expected the GraphSets that was made blind")
        return evaluate(model, GraphBatches(full.graphs, full.test, config.batch_size), objective=config.objective)


@overload
def blind(data: GraphSets) -> BlindSets: ...
@overload
def blind(data: Graph | Data) -> Blind: ...
def blind(data: Graph | Data | GraphSets) -> Blind | BlindSets:
    """Take the test set out of a labelled graph, or out of many graphs.

    Args:
        data: with `x`, `y`, `train_mask`, `val_mask`; or a `GraphSets`.

    Raises:
        ValueError: one of them is missing.
    """
    if isinstance(data, GraphSets):
        return BlindSets(data.graphs, data.train, data.val, data.outputs)
    graph = as_graph(data)
    lacking = [name for name in ("x", "y", "train_mask", "val_mask") if name not in graph.node]
    if lacking:
        raise ValueError(f"{graph} has no {', '.join(lacking)}; datasets.load gives what a run needs")
    node = {key: value for key, value in graph.node.items() if key != "test_mask"}
    y = labels(graph)
    seen = check_mask(node["train_mask"], graph) | check_mask(node["val_mask"], graph)
    hidden = torch.nan if y.is_floating_point() else -1
    node["y"] = torch.where(seen if y.dim() == 1 else seen.unsqueeze(1), y, hidden)
    node[_ROW] = torch.arange(graph.num_nodes, device=graph.device)
    one = y.dim() == 1 and y.is_floating_point()
    return Blind(replace(graph, node=node), 1 if one else int(y.max()) + 1 if y.dim() == 1 else y.size(1))


BlindLoader = Callable[[Split, Transform | None], BlindData]


def blind_loader(load: Callable[[Split], Graph | Data | GraphSets]) -> BlindLoader:
    """Graphs without their test set, by split and transform; the last few are kept.

    Args:
        load: the labelled graph of a split.
    """

    @lru_cache(1)
    def plain(split: Split) -> BlindData:
        return blind(load(split))

    @lru_cache(4)
    def ready(split: Split, transform: Transform | None) -> BlindData:
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
        """What a file of results keeps of it: validation only; accuracies by that name, other scores with their metric's."""
        return {
            **scored("val", self.best.val_score, self.history.objective),
            "best_epoch": self.best.epoch,
            "epochs": len(self.history.epochs),
            "time": self.best.time,
            "evaluations": sum(e.evaluations for e in self.history.epochs),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "seconds": round(self.seconds, 3),
        }


def scored(which: str, value: float | None, objective: str) -> dict[str, Any]:
    """A score as a file of results has it: `val_accuracy`, or `val_score` and the metric."""
    if objective == CLASSES.name:
        return {f"{which}_accuracy": value}
    return {f"{which}_score": value, "metric": objective_named(objective).metric}


def fit_blind(recipe: Recipe, data: BlindData, seed: int) -> Fitted:
    """Build and fit a recipe; the graph has been transformed already.

    Args:
        recipe: what to fit.
        data: where.
        seed: of the weights and of the fit.
    """
    began = time.perf_counter()
    model = recipe.build(data.channels, data.outputs, seed)
    model = model.to(data.device)
    history = data.fit(model, replace(recipe.config, seed=seed))
    return Fitted(model, history, time.perf_counter() - began)
