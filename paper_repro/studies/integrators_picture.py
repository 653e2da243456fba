"""What `integrators.py` found, as a table and as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuralpde.plots.canvas import add_legend, look, tidy
from neuralpde.training.ledger import Row

from .study import grouped, markdown, summed_up

Rows = Sequence[Row]
HIGHEST = 1e3  # relative errors above it are drawn on the edge


def table(rows: Rows) -> str:
    """Per method and step: error (products with A), and test accuracies in percent."""
    lines = []
    for (name, dt, rtol), of in grouped(rows, "method", "dt", "rtol").items():
        [found] = [row for row in of if row["what"] == "error"]
        step = f"rtol {rtol:g}" if dt is None else f"{dt:g}"
        cells = [found["evaluations"], found["linear_iterations"], found["products"], _accuracy(of, "evaluated")]
        lines.append([name, step, f"{found['error']:.1e}", *cells, _accuracy(of, "trained")])
    head = ["method", "step", "error", "evaluations", "linear iterations", "products with A", "accuracy, evaluated", "trained"]
    return markdown(head, lines)


def _accuracy(rows: Rows, what: str) -> str:
    found = [row for row in rows if row["what"] == what]
    values = [100 * row["test_accuracy"] for row in found if row["test_accuracy"] is not None]
    failed = len(found) - len(values)
    return summed_up(values) + (f", {failed} failed" if failed else "")


def pictures(rows: Rows, methods: Sequence[str]) -> dict[str, Figure]:
    """Error against step and against work; accuracy against step, of one model and of models trained with the solver.

    Args:
        rows: the results.
        methods: that are drawn.
    """
    figure, grid = plt.subplots(2, 2, figsize=(10.5, 8.0), layout="constrained")
    errors = [row for row in rows if row["what"] == "error"]
    for index, name in enumerate(methods):
        of = sorted((row for row in errors if row["method"] == name), key=_step)
        _line(grid[0, 0], [(_step(row), row["error"]) for row in of], index, name)
        _line(grid[0, 1], [(row["products"], row["error"]) for row in of], index, name)
        for ax, what in zip(grid[1], ("evaluated", "trained"), strict=True):
            _accuracies(ax, [row for row in rows if row["what"] == what and row["method"] == name], of, index, name)
    _errors(grid[0, 0], "step (dopri5: mean of its own)")
    _errors(grid[0, 1], "products with A, in linear solves too")
    steps = sorted({row["dt"] for row in rows if row["what"] == "evaluated" and row["dt"] is not None})
    for ax, title in zip(
        grid[1], ("trained with dopri5, tested with this solver", "trained and tested with this solver"), strict=True
    ):
        ax.set_xscale("log")
        ax.set_xticks(steps, [f"{dt:g}" for dt in steps])
        ax.minorticks_off()
        ax.set_xlabel("step (dopri5: mean of its own at alpha = 1/2)")
        ax.set_ylabel("test accuracy in %")
        ax.set_title(title, fontsize="medium")
        tidy(ax)
    data = rows[0]["data"]
    figure.suptitle(f"u' = alpha (A - I) u on {data}, T = 12.1: error (alpha = 1/2) and accuracy of the classifier")
    add_legend(list(grid.flat), new=True)
    return {"": figure}


def _step(row: Mapping[str, Any]) -> float:
    return row["dt"] if row["dt"] is not None else 12.1 / row["steps"]


def _line(ax: Axes, places: Sequence[tuple[float, float]], index: int, name: str) -> None:
    if not places:
        return
    places = [(x, min(y, HIGHEST)) for x, y in places]
    ax.plot(*zip(*places, strict=True), label=name, markersize=5, linewidth=1.5, **look(index))


def _accuracies(ax: Axes, rows: Rows, errors: Rows, index: int, name: str) -> None:
    mean_steps = {row["rtol"]: _step(row) for row in errors if row["dt"] is None}
    places = {}
    for (dt, rtol), of in grouped(rows, "dt", "rtol").items():
        values = [100 * row["test_accuracy"] for row in of if row["test_accuracy"] is not None]
        if values:
            places[mean_steps[rtol] if dt is None else dt] = (mean(values), min(values), max(values))
    at = sorted(places)
    style = look(index)
    ax.plot(at, [places[x][0] for x in at], label=name, markersize=5, linewidth=1.5, **style)
    ax.vlines(at, [places[x][1] for x in at], [places[x][2] for x in at], color=style["color"], linewidth=1.0, alpha=0.6)


def _errors(ax: Axes, xlabel: str) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.axhline(HIGHEST, color="#7f7f7f", linewidth=0.8, linestyle=":")
    ax.set_title(f"relative error at T (on the dotted line: {HIGHEST:g} or more)", fontsize="medium")
    ax.set_xlabel(xlabel)
    ax.set_ylabel("relative error at T")
    tidy(ax)
