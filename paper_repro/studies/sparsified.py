"""Time, edges and accuracy against the K of sparsified GDC: GRAND-l and GRAND-nl on the K largest entries of each row.

Times are of the processor, on one thread, taken side by side in one run, every K in turn: other work on the machine counts
little in them, and less in their ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn import functional as F

from neuralpde import FitConfig
from neuralpde.plots.canvas import add_legend, look, tidy
from neuralpde.training import Preset, settings
from neuralpde.training.ledger import Row
from neuralpde.transforms import GDC, PPR

from .study import Point, Study, grouped, markdown, summed_up
from .trained import CORA, KARATE, Data, trained, without_test

MODELS = {"GRAND-l": "grand-l", "GRAND-nl": "grand-nl"}
KEPT, SEEDS, REPEATS = (4, 8, 16, 32, 64), (0, 1, 2), 3
OWN, FULL = "own edges", "all"
"""Cora's edges without GDC; and all positive entries, millions, on which only an evaluation is timed."""


def recipe(model: str, kept: int | str, quick: bool = False) -> Preset:
    """GRAND on that graph, solved to T = 4 by RK4 with steps of 2: 8 evaluations."""
    transform = None if kept == OWN else GDC(PPR(0.05), top_k=None if kept == FULL else int(kept))
    config = FitConfig(epochs=30, lr=0.02, weight_decay=0.005, optimizer="adamax")
    arguments = {"heads": 2, "attention_dim": 8}
    made = Preset(MODELS[model], 16, 4.0, "rk4", 2.0, arguments=arguments, config=config, transform=transform)
    return replace(made, config=replace(config, epochs=2)) if quick else made


def points(quick: bool) -> list[Point]:
    """Times, once for each model; then accuracies."""
    kept, seeds, data, repeats = ((2, 4), (0,), KARATE, 2) if quick else (KEPT, SEEDS, CORA, REPEATS)
    found = []
    for model in MODELS:
        label = {**data.label(), "what": "time", "model": model, "kept": [OWN, *kept, FULL], "repeats": repeats}
        found.append(Point(label, lambda m=model: {"times": times(data, m, [OWN, *kept, FULL], repeats)}))
    for seed in seeds:
        for model in MODELS:
            for k in (OWN, *kept):
                made = recipe(model, k, quick)
                label = {
                    **data.label(),
                    "what": "accuracy",
                    "model": model,
                    "kept": k,
                    "seed": seed,
                    "settings": settings(made),
                }
                found.append(Point(label, lambda r=made, s=seed: trained(r, data, s)))
    return found


def times(data: Data, model: str, kept: Sequence[int | str], repeats: int) -> list[Row]:
    """For every K: edges, evaluations, and seconds (least and median) of an evaluation and of a step of training."""
    works = {k: _works(data, model, k) for k in kept}
    clocks: dict[Any, list[float]] = {}
    for turn in range(repeats + 1):  # the first fills the caches
        for k in kept if turn else reversed(kept):
            for what, work in works[k][1].items():
                if k == FULL and turn != 1:
                    continue
                began = time.process_time()
                work()
                if turn:
                    clocks.setdefault((k, what), []).append(time.process_time() - began)
    rows = []
    for k in kept:
        counts, parts = works[k]
        seconds = {what: [round(min(clocks[k, what]), 5), round(median(clocks[k, what]), 5)] for what in parts}
        rows.append({"kept": k, **counts(), **seconds})
    return rows


def _works(data: Data, model: str, kept: int | str) -> tuple[Callable[[], Row], dict[str, Callable[[], None]]]:
    made = recipe(model, kept)
    seen = without_test(data, made.transform)
    graph, mask = seen.graph, seen.graph.node["train_mask"]
    network: Any = made.build(graph.node["x"].shape[1], seen.classes, 0)

    def forward() -> None:
        with torch.no_grad():
            network.eval()(graph)

    def training() -> None:
        scores = network.train()(graph)
        F.cross_entropy(scores[mask], graph.node["y"][mask]).backward()

    def counts() -> Row:
        return {"edges": graph.num_edges, "evaluations": network.block.stats.evaluations}

    return counts, {"forward": forward} if kept == FULL else {"forward": forward, "training": training}


def table(rows: Sequence[Row]) -> str:
    """Ratios of times to those of the least K, and accuracies in percent."""
    lines = []
    for row in (r for r in rows if r["what"] == "time"):
        base = next(t for t in row["times"] if t["kept"] not in (OWN, FULL))
        for t in row["times"]:
            ratios = [f"{t[what][0] / base[what][0]:.1f}" if what in t else "-" for what in ("forward", "training")]
            ms = f"{1e3 * t['training'][0]:.0f}" if "training" in t else "-"
            text = summed_up(_accuracies(rows, row["model"], t["kept"]))
            lines.append([row["model"], t["kept"], f"{t['edges']:,}", t["evaluations"], *ratios, ms, text])
    head = ["model", "K", "edges", "evaluations", "forward ×", "training step ×", "training step in ms", "test accuracy"]
    return markdown(head, lines)


def _accuracies(rows: Sequence[Row], model: str, kept: int | str) -> list[float]:
    of = [row for row in rows if row["what"] == "accuracy" and (row["model"], row["kept"]) == (model, kept)]
    return [100 * row["test_accuracy"] for row in of if row["test_accuracy"] is not None]


def pictures(rows: Sequence[Row]) -> dict[str, Figure]:
    """Times over that of the least K, and accuracies, both against K."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2), layout="constrained")
    for index, ((model,), of) in enumerate(grouped([r for r in rows if r["what"] == "time"], "model").items()):
        marks = [t for t in of[0]["times"] if t["kept"] not in (OWN, FULL)]
        for what, dashes in (("training", "-"), ("forward", "--")):
            ratios = [t[what][0] / marks[0][what][0] for t in marks]
            name = f"{model}, {'a training step' if what == 'training' else 'an evaluation'}"
            left.plot([t["kept"] for t in marks], ratios, label=name, markersize=5, **{**look(index), "linestyle": dashes})
        _accuracy(right, rows, model, [t["kept"] for t in marks], index)
    ks = [t["kept"] for t in marks]
    left.plot(ks, [t["edges"] / marks[0]["edges"] for t in marks], color="#7f7f7f", linestyle=":", label="edges")
    left.set_yscale("log", base=2)
    left.set_ylabel(f"time, over that of K = {ks[0]}")
    left.yaxis.set_major_formatter("{x:g}")
    right.set_ylabel("test accuracy in %")
    right.set_title("mean and range; dotted: own edges, no GDC", fontsize="medium")
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.set_xlabel("K, entries kept of each row")
        tidy(ax)
    add_legend([left, right], new=True)
    return {"": figure}


def _accuracy(ax: Axes, rows: Sequence[Row], model: str, ks: Sequence[int], index: int) -> None:
    style, found = look(index), {k: _accuracies(rows, model, k) for k in ks}
    found = {k: values for k, values in found.items() if values}
    ax.plot(list(found), [sum(v) / len(v) for v in found.values()], markersize=5, **style)
    ax.vlines(list(found), list(map(min, found.values())), list(map(max, found.values())), color=style["color"], linewidth=1)
    if own := _accuracies(rows, model, OWN):
        ax.axhline(sum(own) / len(own), color=style["color"], linestyle=":", linewidth=1.2)


STUDY = Study("sparsified", "What does GRAND cost on a sparsified GDC, and what is lost?", points, table, pictures)
