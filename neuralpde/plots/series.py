"""What monitors recorded, against time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..monitors.base import Monitor
from .canvas import add_legend, figure_of, log_values, look, new_axes, numbers, tidy, wide_range

Numbers: TypeAlias = Tensor | Sequence[float] | NDArray[np.float64]
Recorded: TypeAlias = Monitor | tuple[Numbers, Numbers]
"""A monitor after its solve, or times `[records]` and values `[records]` or `[records, graphs]`."""

_MOST_LINES = 6  # graphs of a batch that get a line each; more are shown as a median and a band


def series(
    recorded: Recorded | Sequence[Monitor] | Mapping[str, Recorded],
    ax: Axes | None = None,
    *,
    log: bool | None = None,
    relative: bool = False,
    xlabel: str = "time",
    ylabel: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw recorded quantities against time.

    Args:
        recorded: a monitor, several, or a mapping from labels to monitors or to pairs (times, values).
        ax: where to draw; None makes a figure.
        log: logarithmic values; None takes them if all are positive and span more than a factor 50.
        relative: draw `value / first value - 1`, the drift of what should be constant.
        xlabel, ylabel: with units; `ylabel=None` names the quantity, if there is one only.
        title: above the axes.

    Returns:
        The figure.

    Raises:
        ValueError: a monitor that has recorded nothing.
    """
    lines = labelled(recorded)
    ax, new = new_axes(ax)
    shown = []
    for index, (label, (t, values)) in enumerate(lines.items()):
        if relative:
            values = values / values[:1] - 1
        shown.append(values.ravel())
        draw(ax, t, values, label, index)
    drawn = np.concatenate(shown) if shown else np.empty(0)
    if log or (log is None and not relative and wide_range(drawn)):
        log_values(ax)
    names = quantity_names(recorded)
    what = names[0] if len(names) == 1 else None
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel or (f"relative change of {what or 'value'}" if relative else what) or "")
    if title:
        ax.set_title(title)
    tidy(ax)
    if len(lines) > 1 or (ylabel is None and what is None):
        add_legend(ax, new)
    return figure_of(ax)


def labelled(
    recorded: Recorded | Sequence[Monitor] | Mapping[str, Recorded],
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Label -> times `[records]` and values `[records, graphs]`; equal names are numbered."""
    if isinstance(recorded, Mapping):
        return {label: _arrays(one) for label, one in recorded.items()}
    if isinstance(recorded, tuple) and not all(isinstance(one, Monitor) for one in recorded):
        return {"": _arrays(recorded)}  # type: ignore[arg-type]
    monitors = [recorded] if isinstance(recorded, Monitor) else list(recorded)  # type: ignore[arg-type]
    lines: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for monitor in monitors:
        name, count = monitor.name, 1  # type: ignore[union-attr]
        while name in lines:
            count += 1
            name = f"{monitor.name}, {count}"  # type: ignore[union-attr]
        lines[name] = _arrays(monitor)  # type: ignore[arg-type]
    return lines


def quantity_names(recorded: object) -> list[str]:
    """The different names of the monitors among the recorded."""
    many = recorded.values() if isinstance(recorded, Mapping) else recorded
    monitors = many if isinstance(many, Sequence) or isinstance(recorded, Mapping) else [many]
    return list(dict.fromkeys(one.name for one in monitors if isinstance(one, Monitor)))  # type: ignore[union-attr]


def draw(ax: Axes, t: NDArray[np.float64], values: NDArray[np.float64], label: str, index: int) -> None:
    """One line; for a batch of more than a few graphs, its median in a band from the 10th to the 90th percentile."""
    style: dict[str, Any] = {**look(index), "markersize": 4, "linewidth": 1.7}
    if len(t) > 24:
        style["marker"] = ""
    if values.shape[1] <= _MOST_LINES:
        for graph in range(values.shape[1]):
            ax.plot(t, values[:, graph], label=label if label and graph == 0 else "_", **style)
        return
    low, middle, high = np.nanpercentile(values, [10, 50, 90], axis=1)
    ax.fill_between(t, low, high, color=style["color"], alpha=0.2, linewidth=0)
    ax.plot(t, middle, label=f"{label} (median and 10-90 % of {values.shape[1]:,} graphs)".strip(), **style)


def _arrays(one: Recorded) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t, values = (one.t, one.values) if isinstance(one, Monitor) else one
    t, values = numbers(t), numbers(values)
    values = values.reshape(len(values), -1) if values.size else values.reshape(0, 1)
    if len(t) != len(values):
        raise ValueError(f"{len(t)} times for {len(values)} values; expected as many")
    return t, values
