"""A fitted model as a point of a study: fitted without the test set, tested once in its best epoch by validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import nn

from neuralpde import Graph, Transform, as_graph, evaluate
from neuralpde.datasets import load
from neuralpde.training import Blind, blind, fit_blind
from neuralpde.training.ledger import Row
from neuralpde.training.recipe import Recipe
from solvers import IntegrationError


@dataclass(frozen=True)
class Data:
    """A labelled graph with one split.

    Args:
        name, split: as `datasets.load` calls them.
    """

    name: str = "cora"
    split: Any = "public"

    def graph(self) -> Graph:
        return _graph(self.name, self.split)

    def label(self) -> Row:
        return {"data": self.name, "split": self.split}


CORA, KARATE = Data(), Data("karate", ("random", 0))


@lru_cache(2)
def _graph(name: str, split: Any) -> Graph:
    return as_graph(load(name, split=split))


@lru_cache(16)
def without_test(data: Data, transform: Transform | None) -> Blind:
    """What a fit sees of it; a transform is done once."""
    return blind(data.graph()).transformed(transform)


def test_accuracy(model: nn.Module, data: Data, transform: Transform | None) -> float:
    """In [0, 1]."""
    seen, node = without_test(data, transform), data.graph().node
    graph = seen.graph.with_node(y=node["y"].reshape(-1)[seen.rows])
    return evaluate(model, graph, node["test_mask"][seen.rows])


def trained(recipe: Recipe, data: Data, seed: int, look: Callable[[nn.Module], Row] = lambda model: {}) -> Row:
    """Fit, then test; a fit that breaks down is a result too.

    Args:
        recipe: the model and its fit.
        data: where.
        seed: of weights and fit.
        look: further results, of the fitted model.

    Returns:
        Accuracies in [0, 1], None with the reason in "status" for a fit that failed.
    """
    try:
        fitted = fit_blind(recipe, without_test(data, recipe.transform), seed)
        accuracy = test_accuracy(fitted.model, data, recipe.transform)
    except IntegrationError as error:
        return {"test_accuracy": None, "status": error.status}
    return {**fitted.row(), "test_accuracy": accuracy, "status": "ok", **look(fitted.model)}
