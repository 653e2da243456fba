"""Part 4: equations that learn, against networks without them, on the same splits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, stdev

import torch
from torch import nn

from ...datasets import digits_knn
from ...models import GCN, MLP, NodeClassifier
from ...pdes import GRAND, GraphCON
from ...training import FitConfig, evaluate, fit, seeded
from .part import Tick


@dataclass(frozen=True)
class LearnSetup:
    """What is computed.

    Args:
        seeds: number of seeds; each has its own split and its own weights.
        labels_per_class: training nodes of each digit (30 more validate, the rest test).
        hidden: width of all models.
        epochs: of every fit.
        lr: learning rate (Adam).
    """

    seeds: int = 5
    labels_per_class: int = 20
    hidden: int = 32
    epochs: int = 80
    lr: float = 0.02


@dataclass(frozen=True)
class Fitted:
    """One fit: accuracies are shares between 0 and 1."""

    model: str
    seed: int
    val_accuracy: float
    test_accuracy: float
    seconds: float
    parameters: int


def models(hidden: int) -> dict[str, Callable[[], nn.Module]]:
    """The four models, made anew at each call."""
    return {
        "MLP": lambda: MLP(64, 10, hidden, dropout=0.3),
        "GCN": lambda: GCN(64, 10, hidden, dropout=0.3),
        "GRAND": lambda: NodeClassifier(64, 10, GRAND(hidden), 4.0, "rk4", input_dropout=0.3, dropout=0.1, dt=2.0),
        "GraphCON": lambda: NodeClassifier(
            64, 10, GraphCON(hidden, "gcn", alpha=0.5), 4.0, "symplectic_euler", input_dropout=0.3, dropout=0.1, dt=0.5
        ),
    }


def learn(setup: LearnSetup, tick: Tick) -> list[Fitted]:
    """Fit every model on every split; the weights of the epoch that validated best are tested, once."""
    makers, out = models(setup.hidden), []
    total = setup.seeds * len(makers)
    for seed in range(setup.seeds):
        data = digits_knn(labels_per_class=setup.labels_per_class, seed=seed)
        for name, make in makers.items():
            tick(len(out) / total, f"{name}, seed {seed}")
            start = time.perf_counter()
            with seeded(seed):
                model = make()
            config = FitConfig(epochs=setup.epochs, lr=setup.lr, seed=seed)
            val = fit(model, data, config=config).best.val_accuracy
            with torch.no_grad():
                test = evaluate(model, data, data.test_mask)
            size = sum(p.numel() for p in model.parameters())
            out.append(Fitted(name, seed, val, test, time.perf_counter() - start, size))
    return out


def summary(fitted: list[Fitted]) -> list[dict[str, object]]:
    """Per model: mean, standard deviation, least and largest test accuracy in %, seconds per fit."""
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(f.model for f in fitted):
        own = [f for f in fitted if f.model == name]
        test = [100 * f.test_accuracy for f in own]
        rows.append(
            {
                "model": name,
                "parameters": own[0].parameters,
                "mean": mean(test),
                "spread": stdev(test) if len(test) > 1 else float("nan"),
                "least": min(test),
                "largest": max(test),
                "seconds": mean(f.seconds for f in own),
            }
        )
    return rows


def paired(fitted: list[Fitted], first: str, second: str) -> tuple[float, float]:
    """Mean and standard deviation over the splits of the difference in test accuracy, in percentage points."""
    by = {(f.model, f.seed): 100 * f.test_accuracy for f in fitted}
    gaps = [by[first, s] - by[second, s] for m, s in by if m == first]
    return mean(gaps), stdev(gaps) if len(gaps) > 1 else float("nan")
