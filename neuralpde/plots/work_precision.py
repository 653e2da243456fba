"""What accuracy costs: error against work, one line per method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .canvas import add_legend, figure_of, look, new_axes, tidy

_COSTS = {
    "evaluations": "evaluations of the right-hand side",
    "products": "products with the operator",
    "linear_iterations": "iterations of the linear solver",
    "seconds": "wall time in s",
    "steps": "steps",
}


def work_precision(
    rows: Iterable[Mapping[str, Any] | object],
    ax: Axes | None = None,
    *,
    cost: str = "seconds",
    error: str = "error",
    by: str = "method",
    title: str | None = None,
    ylabel: str = "relative error at the end",
) -> Figure:
    """Draw a work-precision diagram: further left is cheaper, lower is more accurate.

    Rows without a finite positive error (refused, diverged) or cost are not drawn but counted in the legend.

    Args:
        rows: mappings, or objects with attributes, that have `by`, `cost`, `error` (those of `solvers.compare(...)`).
        ax: where to draw; None makes a figure.
        cost: what to count: "seconds", "evaluations", "products", "linear_iterations", "steps" or another column.
        error: the column of the error.
        by: the column that makes a line.
        title: above the axes.
        ylabel: which error it is, with its unit.

    Returns:
        The figure.

    Raises:
        ValueError: a row lacks one of the columns.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    missing: dict[str, dict[str, int]] = {}
    for row in rows:
        column = (
            row
            if isinstance(row, Mapping)
            else {name: getattr(row, name) for name in (by, cost, error, "status") if hasattr(row, name)}
        )
        if lacking := [name for name in (by, cost, error) if name not in column]:
            raise ValueError(f"a row has no {', '.join(lacking)}; it has {', '.join(column)}")
        label, point = str(column[by]), (_number(column[cost]), _number(column[error]))
        points = lines.setdefault(label, [])
        if all(np.isfinite(value) and value > 0 for value in point):
            points.append(point)
        else:
            status = str(column.get("status", "no error"))
            why = f"without {cost.replace('_', ' ')}" if status == "ok" and not point[0] > 0 else status
            counts = missing.setdefault(label, {})
            counts[why] = counts.get(why, 0) + 1
    ax, new = new_axes(ax, (6.0, 5.0))
    for index, (label, points) in enumerate(lines.items()):
        without = ", ".join(f"{count} {status}" for status, count in missing.get(label, {}).items())
        text = f"{label} ({without})" if without else label
        style = look(index) | {"markersize": 5.5, "linewidth": 1.5, "label": text}
        if points:
            ax.plot(*zip(*sorted(points), strict=True), **style)
        else:
            ax.add_line(Line2D([], [], **style))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(_COSTS.get(cost, cost))
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title)
    tidy(ax)
    add_legend(ax, new)
    return figure_of(ax)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
