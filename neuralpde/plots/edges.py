"""Values of edges, and of nodes, on the graph: curvature, conductance, sensitivity."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph
from .canvas import figure_of, new_axes, numbers
from .layout import placed
from .snapshot import node_values, value_limits

_MOST = 20_000  # edges of which a picture still shows some
_SIGNED = LinearSegmentedColormap.from_list("signed", ["#99101f", "#e0694f", "#b9b9b9", "#5b9bc8", "#1f5a9d"])
"""Red for negative, blue for positive, and grey for 0: white would not be seen."""


def edges(
    graph: Graph,
    values: Tensor,
    ax: Axes | None = None,
    *,
    node: Tensor | None = None,
    channel: int = 0,
    pos: Tensor | None = None,
    layout: str = "spring",
    limits: tuple[float, float] | None = None,
    cmap: str | None = None,
    label: str = "",
    node_label: str = "",
    title: str | None = None,
) -> Figure:
    """Draw one value per edge as the colour of a line, negative ones wider and on top, and one per node as a dot if given.

    Both directions of an edge are one line, with the mean of their values. Edges without a number (loops of a curvature) are
    left out.

    Args:
        graph: where the values live.
        values: `[E]`, in the order of `graph.edge_index` (`diagnosis.balanced_forman_curvature(graph)`).
        ax: where to draw; None makes a figure.
        node: `[N]` or `[N, channels]`, the colours of the dots; None draws them small and grey.
        channel: which column of `node`.
        pos: `[N, 2]`, instead of the graph's own positions.
        layout: for graphs without positions, "spring" or "spectral" (up to 2,000 nodes).
        limits: values of the first and the last colour; None takes those of the values, symmetric about 0 if signs differ.
        cmap: a colour map; None takes a diverging one (red for negative) if signs differ, else viridis.
        label, node_label: of the colour bars.
        title: above the axes.

    Returns:
        The figure.

    Raises:
        ValueError: values that do not fit the graph, too many edges, a large graph without positions.
    """
    if not isinstance(values, Tensor) or tuple(values.shape) != (graph.num_edges,):
        got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"values: got {got}; expected a tensor of shape ({graph.num_edges},), one per edge of edge_index")
    if graph.num_edges > _MOST:
        raise ValueError(f"{graph.num_edges:,} edges are too many to see; draw a part of up to {_MOST:,}, or nodes by snapshot")
    where = placed(graph, pos, layout)
    ends, one = _once(graph, numbers(values))
    ax, _ = new_axes(ax, (6.0, 4.8))
    low, high = limits or value_limits(one)
    order = np.argsort(-one, kind="stable")  # the least is drawn last
    below = np.clip(-one[order], 0, None) / max(float(np.abs(one).max(initial=0.0)), 1e-300)
    width = (0.9 + 2.2 * below) * float(np.clip(400 / max(len(one), 1), 0.45, 1.3))
    lines = LineCollection(list(where[ends[order]]), linewidths=width, zorder=1)
    lines.set_array(one[order])
    lines.set_cmap(cmap or (_SIGNED if low < 0 < high else "viridis"))
    lines.set_clim(low, high)
    ax.add_collection(lines)
    dots = _dots(ax, graph, where, None if node is None else node_values(graph, node, channel))
    ax.set_aspect("equal")
    ax.margins(0.06)
    ax.autoscale_view()
    ax.set_axis_off()
    figure = figure_of(ax)
    if len(one):
        figure.colorbar(lines, ax=ax, shrink=0.8, pad=0.02).set_label(label)
    if node is not None:
        figure.colorbar(dots, ax=ax, shrink=0.8, pad=0.02, location="left").set_label(node_label)
    if title:
        ax.set_title(title)
    return figure


def _once(graph: Graph, values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs `[k, 2]` of different nodes that edges join, and the mean of the values of their edges."""
    source, target = graph.edge_index.cpu().numpy()
    take = (source != target) & np.isfinite(values)
    pairs = np.sort(np.stack([source[take], target[take]], axis=1), axis=1)
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    place = place.ravel()
    count = np.bincount(place, minlength=len(unique))
    return unique, np.bincount(place, values[take], minlength=len(unique)) / np.maximum(count, 1)


def _dots(ax: Axes, graph: Graph, where: NDArray[np.float64], values: NDArray[np.float64] | None) -> PathCollection:
    size = float(np.clip(6000 / max(1, graph.num_nodes), 3, 70))
    if values is None:
        return ax.scatter(where[:, 0], where[:, 1], s=0.35 * size, color="#555555", linewidths=0, zorder=2)
    low, high = value_limits(values)
    edge: dict[str, Any] = {"edgecolors": "#333333", "linewidths": 0.5} if size > 15 else {"linewidths": 0}
    colours: dict[str, Any] = {"c": values, "vmin": low, "vmax": high, "cmap": "PuOr_r" if low < 0 < high else "viridis"}
    return ax.scatter(where[:, 0], where[:, 1], s=size, zorder=2, plotnonfinite=True, **colours, **edge)
