"""What one epoch of training goes over, and what it is validated on: the nodes of a graph, or batches of graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from solvers import unknown

from ..graph import Graph, as_graph
from ..models.label_input import LabelInput
from .evaluate import Batches, check_mask, graph_batch, graph_scores, labels, node_scores, rows_space, validate
from .objective import CLASSES, Objective
from .over_time import evaluate_over_time

if TYPE_CHECKING:
    from torch_geometric.data import Data


class Task(ABC):
    """A training set and a validation set."""

    @abstractmethod
    def losses(self, model: nn.Module) -> Iterator[tuple[Tensor, int]]:
        """Mean loss of each batch of one epoch, with the number of nodes or graphs in it."""

    @abstractmethod
    def validate(self, model: nn.Module) -> tuple[float, float, float | None]:
        """Mean loss and score on the validation set, without dropout, and the output time if one was chosen."""


@dataclass(frozen=True, eq=False)
class NodeTask(Task):
    """Some nodes of a graph train, others validate; one batch an epoch.

    Args:
        data: with `x` and `y`.
        train: `[nodes]` bool.
        val_data, val: the graph and mask for validation.
        horizon: choose the output time by validation up to so many times the model's own; None for its own.
        objective: what is minimised.
    """

    data: Graph | Data
    train: Tensor
    val_data: Graph | Data
    val: Tensor
    horizon: float | None = None
    objective: Objective = CLASSES

    def losses(self, model: nn.Module) -> Iterator[tuple[Tensor, int]]:
        out = model(self.data)
        asked = model.asked if isinstance(model, LabelInput) and model.asked is not None else self.train
        loss, _ = node_scores(as_graph(self.data).space, out, labels(self.data), asked & self.train, self.objective)
        yield loss, 1

    def validate(self, model: nn.Module) -> tuple[float, float, float | None]:
        if self.horizon is None:
            return *validate(model, self.val_data, self.val, objective=self.objective), None
        found = evaluate_over_time(model, self.val_data, self.val, self.horizon)
        k = found.best
        return float(found.losses[k]), float(found.accuracies[k]), float(found.t[k])


@dataclass(frozen=True, eq=False)
class GraphTask(Task):
    """Batches of graphs train, others validate.

    Args:
        train, val: iterables of PyG batches with `y`, or of `(Graph, y)`; iterated once an epoch.
        objective: what is minimised.
    """

    train: Batches
    val: Batches
    objective: Objective = CLASSES

    def losses(self, model: nn.Module) -> Iterator[tuple[Tensor, int]]:
        for item in self.train:
            graph, y = graph_batch(item)
            out = model(graph)
            yield graph_scores(out, y, self.objective, rows_space(graph, out))[0], out.size(0)

    def validate(self, model: nn.Module) -> tuple[float, float, float | None]:
        return *validate(model, self.val, objective=self.objective), None


def make_task(
    task: str,
    data: Graph | Data | Batches,
    val: Graph | Data | Batches | Tensor | None,
    horizon: float | None = None,
    objective: Objective = CLASSES,
) -> Task:
    """The task that `fit` was asked for; `horizon` and `objective` as in `FitConfig`.

    Raises:
        ValueError: there is no training or validation set.
        TypeError: a loader for a node task, or a single graph for a graph task.
    """
    if task not in ("node", "graph"):
        raise unknown("task", task, ("node", "graph"))
    single = isinstance(data, Graph) or hasattr(data, "edge_index")
    if task == "graph":
        if single:
            raise TypeError(f"task='graph' needs batches of graphs, got one {type(data).__name__}; for nodes task='node'")
        if val is None or isinstance(val, Tensor):
            raise ValueError("task='graph' needs batches to validate on: fit(model, train_loader, val_loader, ...)")
        if horizon is not None:
            raise ValueError(f"horizon = {horizon}: the output time can be chosen by validation for task='node' only")
        return GraphTask(data, val, objective)  # type: ignore[arg-type]
    if not single:
        raise TypeError(f"task='node' needs one Graph or Data, got a {type(data).__name__}; for batches task='graph'")
    if val is None or isinstance(val, Tensor):
        other, mask = data, val if val is not None else _mask(data, "val_mask")
    else:
        other, mask = val, _mask(val, "val_mask")
    mask = check_mask(mask, as_graph(other))  # type: ignore[arg-type]
    return NodeTask(data, _mask(data, "train_mask"), other, mask, horizon, objective)  # type: ignore[arg-type]


def _mask(data: object, name: str) -> Tensor:
    graph = as_graph(data)  # type: ignore[arg-type]
    mask = graph.node.get(name)
    if mask is None:
        raise ValueError(f"the data has no {name}, bool of shape ({graph.num_nodes},); datasets.class_split draws masks")
    mask = check_mask(mask, graph)
    if not bool(torch.count_nonzero(mask)):
        raise ValueError(f"{name} holds no node; expected at least one True")
    return mask
