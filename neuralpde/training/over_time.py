"""The time at which a model is read, chosen by validation: an option, to be named where results are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..graph import Graph, as_graph
from ..models.base import PDEModel
from ..models.quadrature import step_times
from .evaluate import at_times, check_mask, evaluate, evaluating, labels, node_scores

if TYPE_CHECKING:
    from torch_geometric.data import Data

_PER_T = 10  # times that are looked at in each of the model's own times t


@dataclass(frozen=True, eq=False)
class OverTime:
    """Scores on a set of nodes at several output times of one solve.

    Args:
        t: the times, `[times]` float64, without the initial one.
        losses: mean cross-entropies, `[times]`.
        accuracies: `[times]`.
    """

    t: Tensor
    losses: Tensor
    accuracies: Tensor

    @property
    def best(self) -> int:
        """The place of the best accuracy, among equals of the lowest loss, then of the first time."""
        scores = list(zip(self.accuracies.tolist(), (-self.losses).tolist(), strict=True))
        return scores.index(max(scores))


@dataclass(frozen=True)
class TimeOnValidation:
    """A fitted model, read at the time that validates best, and beside it at its own time.

    Args:
        time: the chosen output time.
        val_accuracy, test_accuracy: there.
        own_time: the model's own t.
        own_val_accuracy, own_test_accuracy: there.
    """

    time: float
    val_accuracy: float
    test_accuracy: float
    own_time: float
    own_val_accuracy: float
    own_test_accuracy: float


def evaluate_over_time(model: nn.Module, data: Graph | Data, mask: Tensor, horizon: float = 3.0) -> OverTime:
    """Scores at output times up to `horizon` times the model's own t, from one solve, without dropout.

    The times are multiples of t / 10; for a model with fixed steps, ends of steps, about ten in each t. So no step is other
    than in the model's own solve.

    Args:
        model: a `PDEModel`, as `NodeClassifier`.
        data: with `x` and `y`.
        mask: the nodes that count, `[nodes]` bool.
        horizon: how far to go on, in units of the model's t.
    """
    graph, y = as_graph(data), labels(data)
    times = _times(model, horizon)
    with evaluating(model):
        logits = at_times(model, data, times)[1:]
        scores = [node_scores(graph.space, at, y, check_mask(mask, graph)) for at in logits]
    losses, accuracies = (torch.stack(part).double().cpu() for part in zip(*scores, strict=True))
    return OverTime(torch.tensor(times[1:], dtype=torch.float64), losses, accuracies)


def time_on_validation(model: nn.Module, data: Graph | Data, horizon: float = 3.0) -> TimeOnValidation:
    """Choose the output time of a fitted model by validation accuracy, and test there and at the model's own time.

    The released code of GRAND and of its followers chooses so after every epoch, up to 3 t: `FitConfig(horizon=3)` does
    that. A result with it is not one at the model's time; name it.

    Args:
        model: fitted.
        data: with `x`, `y`, `val_mask` and `test_mask`.
        horizon: how far to go on, in units of the model's t.
    """
    node = as_graph(data).node
    found = evaluate_over_time(model, data, node["val_mask"], horizon)
    time = float(found.t[found.best])
    test = evaluate(model, data, node["test_mask"], time=time)
    own = [evaluate(model, data, node[name]) for name in ("val_mask", "test_mask")]
    return TimeOnValidation(time, float(found.accuracies[found.best]), test, _own_time(model), *own)


def _own_time(model: nn.Module) -> float:
    return model.t if isinstance(model, PDEModel) else float("nan")


def _times(model: nn.Module, horizon: float) -> list[float]:
    """Multiples of t / 10, or ends of fixed steps; for a model without time none but a start, which `at_times` refuses."""
    if not isinstance(model, PDEModel):
        return [0.0]
    dt, count = model.options.get("dt"), horizon * _PER_T * (1 + 1e-9)
    if dt is None:
        return [model.t * k / _PER_T for k in range(int(count) + 1)]
    return step_times(dt, horizon * model.t, max(1, int(count)))
