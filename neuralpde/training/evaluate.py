"""Losses and scores over nodes or graphs; reductions over nodes go through the graph's `Space`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from solvers import Plain, Space

from ..graph import Graph, as_graph
from ..models.base import PDEModel
from .objective import CLASSES, Objective, objective_named

if TYPE_CHECKING:
    from torch_geometric.data import Data

Batches = Iterable["Data | tuple[Graph, Tensor]"]


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over a set of nodes or graphs; those of its parts add up.

    Args:
        rows: how many, a scalar.
        loss: the sum of their losses.
        totals: the sums of the objective's counts.
    """

    rows: Tensor
    loss: Tensor
    totals: Sequence[Tensor]

    @staticmethod
    def of(space: Space, out: Tensor, y: Tensor, known: Tensor, objective: Objective) -> Tally:
        """Of the rows that are known."""
        losses = objective.losses(out, y, known)
        totals = [space.total(c).sum() for c in objective.counts(out, y, known)]
        return Tally(space.total(known.to(out.dtype)).sum(), space.total(losses).sum(), totals)

    def plus(self, other: Tally | None) -> Tally:
        """Both sets together, in double precision."""
        mine = Tally(self.rows.double(), self.loss.double(), [x.double() for x in self.totals])
        if other is None:
            return mine
        totals = [a + b for a, b in zip(mine.totals, other.totals, strict=True)]
        return Tally(mine.rows + other.rows, mine.loss + other.loss, totals)

    def scores(self, objective: Objective) -> tuple[Tensor, Tensor]:
        """Mean loss and score."""
        return self.loss / self.rows, objective.score(self.rows, self.totals)


def node_scores(space: Space, out: Tensor, y: Tensor, mask: Tensor, objective: Objective = CLASSES) -> tuple[Tensor, Tensor]:
    """Mean loss (differentiable) and score over the nodes of a mask, two scalars.

    Args:
        space: how sums over the nodes are done.
        out: `[nodes, outputs]`.
        y: labels, `[nodes]` or `[nodes, outputs]`; looked at within the mask only.
        mask: `[nodes]` bool.
        objective: the loss and the score.

    Raises:
        ValueError: no node is in the mask.
    """
    tally = Tally.of(space, out, y, mask, objective)
    if not bool(tally.rows):
        raise ValueError("the mask holds no node; expected at least one True")
    return tally.scores(objective)


def graph_scores(out: Tensor, y: Tensor, objective: Objective = CLASSES, space: Space | None = None) -> tuple[Tensor, Tensor]:
    """Mean loss (differentiable) and score over the rows of a batch, two scalars.

    Args:
        out: `[graphs, outputs]`, or of the nodes of all graphs `[nodes, outputs]`.
        y: as many labels.
        objective: the loss and the score.
        space: how sums over the rows are done; None: all at once.
    """
    known = torch.ones(out.size(0), dtype=torch.bool, device=out.device)
    return Tally.of(space or Plain(), out, y, known, objective).scores(objective)


def rows_space(graph: Graph, out: Tensor) -> Space:
    """How sums over a model's outputs are done: over nodes as the graph says, over graphs all at once."""
    return graph.space if out.size(0) == graph.num_nodes and out.size(0) != graph.num_graphs else Plain()


def graph_batch(item: Data | tuple[Graph, Tensor]) -> tuple[Graph, Tensor]:
    """A block-diagonal graph and one label per graph, from a `(Graph, y)` or a PyG `Batch` with `y`."""
    if isinstance(item, tuple | list):
        graph, y = item
        return as_graph(graph), y
    if not isinstance(getattr(item, "y", None), Tensor):
        raise TypeError(f"got a {type(item).__name__} without labels y; expected a PyG Batch with y, or (Graph, y)")
    return as_graph(item), item.y  # type: ignore[return-value]


def labels(data: Graph | Data, y: Tensor | None = None) -> Tensor:
    """Labels of the nodes: `[nodes]`, or `[nodes, k]` with k > 1."""
    y = y if y is not None else as_graph(data).node.get("y")
    if y is None:
        raise ValueError("the data carries no labels y, one per node")
    return y if y.dim() == 2 and y.size(1) > 1 else y.reshape(-1)


def evaluate(
    model: nn.Module,
    data: Graph | Data | Batches,
    mask: Tensor | None = None,
    *,
    time: float | None = None,
    objective: str = "classes",
) -> float:
    """The score of a model, without dropout (of classes the accuracy, in [0, 1]); it is left in the mode in which it was.

    Args:
        model: gives class scores, scores of labels, or numbers.
        data: a `Graph` or `Data` with `x` and `y` (a row per node), or batches of graphs with a row per graph or node.
        mask: the nodes that count, `[nodes]` bool; None for all. Only for nodes.
        time: the output time of a model of an equation; None for its own. Only for nodes.
        objective: "classes" (accuracy), "labels" (micro F1), "mae" or "mse", as in `FitConfig`.

    Raises:
        ValueError: the mask is empty, or does not fit.
    """
    return validate(model, data, mask, time, objective_named(objective))[1]


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
    model: nn.Module,
    data: Graph | Data | Batches,
    mask: Tensor | None = None,
    time: float | None = None,
    objective: Objective = CLASSES,
) -> tuple[float, float]:
    """Mean loss and score, as `evaluate`."""
    with evaluating(model):
        if isinstance(data, Graph) or hasattr(data, "edge_index"):
            return _validate_nodes(model, data, mask, time, objective)  # type: ignore[arg-type]
        if mask is not None or time is not None:
            raise TypeError("mask and time are for the nodes of one graph; graphs are selected by what the loader yields")
        return _validate_graphs(model, data, objective)  # type: ignore[arg-type]


def at_times(model: nn.Module, data: Graph | Data, times: Sequence[float]) -> Tensor:
    """Class scores at several output times, the first of them the initial one, `[times, nodes, classes]`."""
    if not isinstance(model, PDEModel):
        raise TypeError(f"a {type(model).__name__} has no time to choose; expected a model of an equation, as NodeClassifier")
    return model.at(data, times).logits


def _validate_nodes(
    model: nn.Module, data: Graph | Data, mask: Tensor | None, time: float | None, objective: Objective
) -> tuple[float, float]:
    graph, y = as_graph(data), labels(data)
    mask = torch.ones(graph.num_nodes, dtype=torch.bool, device=graph.device) if mask is None else check_mask(mask, graph)
    out = model(data) if time is None else at_times(model, data, [0.0, time])[-1]
    loss, score = node_scores(graph.space, out, y, mask, objective)
    return float(loss), float(score)


def _validate_graphs(model: nn.Module, batches: Batches, objective: Objective) -> tuple[float, float]:
    whole: Tally | None = None
    for item in batches:
        graph, y = graph_batch(item)
        out = model(graph)
        known = torch.ones(out.size(0), dtype=torch.bool, device=out.device)
        whole = Tally.of(rows_space(graph, out), out, y, known, objective).plus(whole)
    if whole is None:
        raise ValueError("there are no graphs to evaluate on: the loader yielded nothing")
    loss, score = whole.scores(objective)
    return float(loss), float(score)


def check_mask(mask: Tensor, graph: Graph) -> Tensor:
    """The mask, if it is one boolean per node."""
    if mask.dtype != torch.bool or mask.shape != (graph.num_nodes,):
        raise ValueError(
            f"mask is {str(mask.dtype).removeprefix('torch.')} of shape {tuple(mask.shape)}; expected bool of shape "
            f"({graph.num_nodes},), one per node; of several splits take one, data.train_mask[:, 0]"
        )
    return mask
