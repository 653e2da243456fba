"""What all pictures share: axes, a palette that colour-blind readers can tell apart, and legends beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray
from torch import Tensor

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31", "#7F7F7F", "#882255")
"""Okabe & Ito (2008), with the yellow left out, which is too pale for lines, and three more."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "*")
DASHES = ("-", "--", "-.", ":")


def figure_of(ax: Axes) -> Figure:
    """The figure that axes stand in."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes stand in no figure; give axes made by plt.subplots(), or ax=None for new ones")
    return figure


def new_axes(ax: Axes | None, size: tuple[float, float] = (6.0, 3.9)) -> tuple[Axes, bool]:
    """The axes given, or those of a new figure of `size` inches; and whether they are new."""
    if ax is not None:
        return ax, False
    return plt.subplots(figsize=size, layout="constrained")[1], True


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the index-th line: they repeat together only after every 20 lines."""
    lap = index // len(PALETTE)
    return {
        "color": PALETTE[index % len(PALETTE)],
        "marker": MARKERS[(index + 3 * lap) % len(MARKERS)],
        "linestyle": DASHES[lap % len(DASHES)],
    }


def tidy(ax: Axes) -> None:
    """A light grid, and no frame above and at the right."""
    ax.grid(True, which="major", color="#d9d9d9", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def add_legend(axes: Axes | Sequence[Axes], new: bool) -> None:
    """A legend below the axes of a new figure, where it covers nothing; inside the axes that were given."""
    rows = [axes] if isinstance(axes, Axes) else list(axes)
    found = {label: handle for ax in rows for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if not found:
        return
    if not new:
        rows[0].legend(found.values(), found.keys(), fontsize="small", framealpha=0.85)
        return
    widest = max(len(label) for label in found)
    columns = max(1, min(len(found), 84 // (widest + 7)))
    figure_of(rows[0]).legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False)


def numbers(values: Tensor | Sequence[float] | NDArray[Any] | float) -> NDArray[np.float64]:
    """Anything numeric as a float64 array, off the graph and on the host."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def log_values(ax: Axes) -> None:
    """A logarithmic y axis with plain numbers where it spans less than three decades, powers of ten elsewhere."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 1e3 * low:
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
        ax.yaxis.set_minor_formatter("{x:g}")


def wide_range(values: NDArray[np.float64], ratio: float = 50.0) -> bool:
    """Whether positive values span so much that a log axis is right."""
    finite = values[np.isfinite(values)]
    return finite.size > 1 and bool((finite > 0).all()) and float(finite.max()) > ratio * float(finite.min())
