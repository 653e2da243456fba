"""Accuracy against depth, 1 to 128 layers, on Cora (GRAND, section 6.2: rk4 with steps of 1, so that T is the depth)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from statistics import mean

from matplotlib.figure import Figure
from torch import nn

from neuralpde import GRAND, NodeClassifier
from neuralpde.plots.canvas import add_legend, figure_of, look, new_axes, tidy
from neuralpde.training import settings
from neuralpde.training.ledger import Row

from .deep import FLOWS, LAYERS, Deep
from .study import Point, Study, grouped, markdown, summed_up
from .trained import CORA, KARATE, trained

DEPTHS, SEEDS = (1, 2, 4, 8, 16, 32, 64, 128), (0, 1, 2)


def points(quick: bool) -> list[Point]:
    """Every model at every depth with every seed; what costs most comes last."""
    depths, seeds, data = ((1, 2), (0,), KARATE) if quick else (DEPTHS, SEEDS, CORA)
    order = sorted(product(seeds, depths, (*LAYERS, *FLOWS)), key=_turn)
    found = []
    for seed, depth, model in order:
        recipe = Deep(model, depth)
        if quick:
            recipe = replace(recipe, hidden=8, config=replace(recipe.config, epochs=2))
        label = {**data.label(), "model": model, "depth": depth, "seed": seed, "settings": settings(recipe)}
        found.append(Point(label, lambda r=recipe, s=seed: trained(r, data, s, _rate)))
    return found


def _turn(one: tuple[int, int, str]) -> tuple[bool, int, int]:
    """Shallow ones first; then one seed after the other, so that a stopped command leaves all depths of the first."""
    seed, depth, _ = one
    return depth > 32, seed, depth


def _rate(model: nn.Module) -> Row:
    """The rate that GRAND learned: alpha T is how long it diffuses."""
    if isinstance(model, NodeClassifier) and isinstance(model.block.pde, GRAND):
        return {"alpha": float(model.block.pde.alpha.detach())}
    return {}


def table(rows: Sequence[Row]) -> str:
    """Test accuracies in percent by model and depth: mean, least, largest, and how many seeds there are."""
    depths = sorted({row["depth"] for row in rows})
    lines = []
    for (model,), of in grouped(rows, "model").items():
        lines.append([model, *[summed_up(_accuracies(of, depth)) for depth in depths]])
    return markdown(["layers", *depths], lines)


def _accuracies(rows: Sequence[Row], depth: int) -> list[float]:
    return [100 * row["test_accuracy"] for row in rows if row["depth"] == depth and row["test_accuracy"] is not None]


def pictures(rows: Sequence[Row]) -> dict[str, Figure]:
    """Means over seeds, with a band from the worst to the best of them."""
    ax, new = new_axes(None, (7.0, 4.6))
    for index, ((model,), of) in enumerate(grouped(rows, "model").items()):
        depths = sorted({row["depth"] for row in of if row["test_accuracy"] is not None})
        runs = [_accuracies(of, depth) for depth in depths]
        style = look(index)
        ax.fill_between(depths, list(map(min, runs)), list(map(max, runs)), color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(depths, list(map(mean, runs)), label=model, markersize=5, linewidth=1.7, **style)
    ax.set_xscale("log", base=2)
    shown = sorted({row["depth"] for row in rows})
    ax.set_xticks(shown, [str(depth) for depth in shown])
    ax.set_xlabel("layers, or steps of 1 of the equation")
    ax.set_ylabel("test accuracy in %")
    counts = [len(of) for of in grouped(rows, "model", "depth").values()]
    seeds = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(max(counts))
    ax.set_title(f"{rows[0]['data']}, {rows[0]['split']} split: mean and range of {seeds} seeds", fontsize="medium")
    tidy(ax)
    add_legend(ax, new)
    return {"": figure_of(ax)}


STUDY = Study("depth", "Does accuracy hold as layers are added?", points, table, pictures)
