"""Node values in space: as a raster for grids, as coloured points with their edges for other graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph
from .canvas import figure_of, new_axes, numbers
from .lattice import Lattice, lattice_of, positions

_MOST_EDGES = 20_000
_NO_NODE = "#d8d3c8"  # behind cells without a node


@dataclass(frozen=True, eq=False)
class Drawn:
    """What `draw_nodes` put on the axes: the artist, and how node values become its array."""

    artist: Any
    array: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def snapshot(
    graph: Graph,
    u: Tensor,
    ax: Axes | None = None,
    *,
    channel: int = 0,
    pos: Tensor | None = None,
    limits: tuple[float, float] | None = None,
    cmap: str | None = None,
    label: str = "",
    title: str | None = None,
    invert_y: bool = False,
) -> Figure:
    """Draw one value per node in space.

    Nodes on a raster (`graph.node["cell"]`, or positions on a lattice) are cells, with land or gaps in grey; others are
    points, with edges if there are not too many.

    Args:
        graph: where the values live.
        u: `[N]` or `[N, channels]`.
        ax: where to draw; None makes a figure.
        channel: which column of `u`.
        pos: `[N, 2]`, instead of the graph's own positions.
        limits: values of the first and the last colour; None takes those of `u`, symmetric about 0 if signs differ.
        cmap: a colour map; None takes a diverging one if signs differ, else viridis.
        label: of the colour bar: what is shown, with its unit.
        title: above the axes.
        invert_y: let the second coordinate grow downwards (images, matrices).

    Returns:
        The figure.

    Raises:
        ValueError: `u` does not fit the graph, or a large graph without positions.
    """
    values = node_values(graph, u, channel)
    ax, _ = new_axes(ax, (5.6, 4.4))
    low, high = limits or value_limits(values)
    drawn = draw_nodes(ax, graph, values, pos, (low, high), cmap or ("RdBu_r" if low < 0 < high else "viridis"))
    colour_bar(ax, drawn, label)
    if invert_y:
        ax.invert_yaxis()
    if title:
        ax.set_title(title)
    return figure_of(ax)


def node_values(graph: Graph, u: Tensor, channel: int) -> NDArray[np.float64]:
    """One column of node features, `[N]`."""
    if u.dim() not in (1, 2) or u.shape[0] != graph.num_nodes:
        raise ValueError(f"u has shape {tuple(u.shape)}; expected ({graph.num_nodes},) or ({graph.num_nodes}, channels)")
    return numbers(u if u.dim() == 1 else u[:, channel])


def value_limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Least and largest finite value; if signs differ, the larger of both, both ways."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if low < 0 < high:
        high = max(-low, high)
        low = -high
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def colour_bar(ax: Axes, drawn: Drawn, label: str) -> None:
    """A colour bar as high as the axes."""
    bar = figure_of(ax).colorbar(drawn.artist, cax=ax.inset_axes((1.03, 0.0, 0.04, 1.0)))
    bar.set_label(label)


def draw_nodes(
    ax: Axes,
    graph: Graph,
    values: NDArray[np.float64],
    pos: Tensor | None,
    limits: tuple[float, float],
    cmap: str,
) -> Drawn:
    """Put the nodes on the axes; the array of the artist may be set anew for other values."""
    lattice = lattice_of(graph, pos)
    colours = {"cmap": cmap, "vmin": limits[0], "vmax": limits[1]}
    if lattice is not None:
        return _raster(ax, lattice, values, colours)
    where = positions(graph, pos)
    if 0 < graph.num_edges <= _MOST_EDGES:
        source, target = graph.edge_index.cpu().numpy()
        once = source < target if graph.undirected else source != target
        ends = np.stack([where[source[once]], where[target[once]]], axis=1)
        ax.add_collection(LineCollection(list(ends), colors="#9a9a9a", linewidths=0.6, alpha=0.6, zorder=1))
    size = float(np.clip(9000 / max(1, graph.num_nodes), 3, 90))
    edge = {"edgecolors": "#333333", "linewidths": 0.5} if size > 20 else {"linewidths": 0}
    artist = ax.scatter(where[:, 0], where[:, 1], c=values, s=size, zorder=2, **edge, **colours)
    ax.set_aspect("equal")
    ax.margins(0.06)
    if graph.pos is None and pos is None:  # a layout: its coordinates mean nothing
        ax.set_axis_off()
    return Drawn(artist, lambda new: new)


def _raster(ax: Axes, lattice: Lattice, values: NDArray[np.float64], colours: dict[str, Any]) -> Drawn:
    picture = lattice.paint(values)
    artist = ax.pcolormesh(lattice.x, lattice.y, picture, shading="nearest", rasterized=True, **colours)
    if not lattice.full:
        ax.set_facecolor(_NO_NODE)
    if lattice.geographic:
        ax.set_xlabel("longitude in degrees east")
        ax.set_ylabel("latitude in degrees north")
        ax.set_aspect(1 / np.cos(np.radians(lattice.y.mean())))
    else:
        ax.set_aspect("equal")
    ax.locator_params(nbins=5)
    return Drawn(artist, lattice.paint)
