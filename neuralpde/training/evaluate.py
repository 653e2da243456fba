"""Losses and accuracies over nodes or graphs; reductions over nodes go through the graph's `Space`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvers import Plain, Space

from ..graph import Graph, as_graph
from ..models.base import PDEModel

if TYPE_CHECKING:
    from torch_geometric.data import Data

Batches = Iterable["Data | tuple[Graph, Tensor]"]


def node_scores(space: Space, logits: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (differentiable) and accuracy over the nodes of a mask, two scalars.

    Args:
        space: how sums over the nodes are done.
        logits: `[nodes, classes]`.
        y: classes, `[nodes]`; looked at within the mask only.
        mask: `[nodes]` bool.

    Raises:
        ValueError: no node is in the mask.
    """
    count = space.total(mask.to(logits.dtype)).sum()
    if not bool(count):
        raise ValueError("the mask holds no node; expected at least one True")
    losses = F.cross_entropy(logits, torch.where(mask, y, -100), reduction="none", ignore_index=-100)
    right = (logits.argmax(-1) == y) & mask
    return space.total(losses).sum() / count, space.total(right.to(logits.dtype)).sum() / count


def graph_scores(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (differentiable) and accuracy over the graphs of a batch, two scalars.

    Args:
        logits: `[graphs, classes]`.
        y: classes, `[graphs]`.
    """
    if logits.size(0) != y.numel():
        raise ValueError(f"{logits.size(0)} graphs were classified and {y.numel()} have a label: does each batch carry y?")
    space, size = Plain(), max(1, y.numel())
    right = logits.argmax(-1) == y.reshape(-1)
    return F.cross_entropy(logits, y.reshape(-1)), (space.total(right.to(logits.dtype)) / size).squeeze(0)


def graph_batch(item: Data | tuple[Graph, Tensor]) -> tuple[Graph, Tensor]:
    """A block-diagonal graph and one label per graph, from a `(Graph, y)` or a PyG `Batch` with `y`."""
    if isinstance(item, tuple | list):
        graph, y = item
        return as_graph(graph), y
    if not isinstance(getattr(item, "y", None), Tensor):
        raise TypeError(f"got a {type(item).__name__} without labels y; expected a PyG Batch with y, or (Graph, y)")
    return as_graph(item), item.y  # type: ignore[return-value]


def labels(data: Graph | Data, y: Tensor | None = None) -> Tensor:
    """Classes of the nodes, `[nodes]`."""
    y = y if y is not None else as_graph(data).node.get("y")
    if y is None:
        raise ValueError("the data carries no labels y, one per node")
    return y.reshape(-1)


def evaluate(model: nn.Module, data: Graph | Data | Batches, mask: Tensor | None = None, *, time: float | None = None) -> float:
    """Accuracy of a model, in [0, 1], without dropout; the model is left in the mode in which it was.

    Args:
        model: gives class scores.
        data: a `Graph` or `Data` with `x` and `y` (a class per node), or batches of graphs with a class per graph.
        mask: the nodes that count, `[nodes]` bool; None for all. Only for nodes.
        time: the output time of a model of an equation; None for its own. Only for nodes.

    Raises:
        ValueError: the mask is empty, or does not fit.
    """
    return validate(model, data, mask, time)[1]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout and gradients; after the scope the model is in the mode in which it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def validate(
    model: nn.Module, data: Graph | Data | Batches, mask: Tensor | None = None, time: float | None = None
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy, as `evaluate`."""
    with evaluating(model):
        if isinstance(data, Graph) or hasattr(data, "edge_index"):
            return _validate_nodes(model, data, mask, time)  # type: ignore[arg-type]
        if mask is not None or time is not None:
            raise TypeError("mask and time are for the nodes of one graph; graphs are selected by what the loader yields")
        return _validate_graphs(model, data)  # type: ignore[arg-type]


def at_times(model: nn.Module, data: Graph | Data, times: Sequence[float]) -> Tensor:
    """Class scores at several output times, the first of them the initial one, `[times, nodes, classes]`."""
    if not isinstance(model, PDEModel):
        raise TypeError(f"a {type(model).__name__} has no time to choose; expected a model of an equation, as NodeClassifier")
    return model.at(data, times).logits


def _validate_nodes(model: nn.Module, data: Graph | Data, mask: Tensor | None, time: float | None) -> tuple[float, float]:
    graph, y = as_graph(data), labels(data)
    mask = torch.ones(graph.num_nodes, dtype=torch.bool, device=graph.device) if mask is None else check_mask(mask, graph)
    logits = model(data) if time is None else at_times(model, data, [0.0, time])[-1]
    loss, accuracy = node_scores(graph.space, logits, y, mask)
    return float(loss), float(accuracy)


def _validate_graphs(model: nn.Module, batches: Batches) -> tuple[float, float]:
    loss, right, count = 0.0, 0.0, 0
    for item in batches:
        graph, y = graph_batch(item)
        batch_loss, accuracy = graph_scores(model(graph), y)
        size = y.numel()
        loss, right, count = loss + float(batch_loss) * size, right + float(accuracy) * size, count + size
    if not count:
        raise ValueError("there are no graphs to evaluate on: the loader yielded nothing")
    return loss / count, right / count


def check_mask(mask: Tensor, graph: Graph) -> Tensor:
    """The mask, if it is one boolean per node."""
    if mask.dtype != torch.bool or mask.shape != (graph.num_nodes,):
        raise ValueError(
            f"mask is {str(mask.dtype).removeprefix('torch.')} of shape {tuple(mask.shape)}; expected bool of shape "
            f"({graph.num_nodes},), one per node; of several splits take one, data.train_mask[:, 0]"
        )
    return mask
