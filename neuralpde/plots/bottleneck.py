"""Where a graph squeezes what passes: curvature on its edges, and how far a node is heard, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph
from .canvas import numbers
from .edges import edges
from .layout import placed
from .snapshot import draw_nodes

if TYPE_CHECKING:
    from ..diagnosis.bottleneck import BottleneckMap

_FAINTEST = 1e-12  # of the largest sensitivity: below, a node is drawn as not reached


def bottleneck(
    graph: Graph,
    found: BottleneckMap,
    sensitivity: Tensor | None = None,
    *,
    node: int | None = None,
    pos: Tensor | None = None,
    layout: str = "spring",
    label: str = "curvature (balanced Forman)",
    title: str | None = None,
) -> Figure:
    """Draw the curvature of the edges (left) and, on the nodes (right), a sensitivity or the least curvature around.

    Args:
        graph: where they live.
        found: of `diagnosis.bottleneck_map(graph)`.
        sensitivity: `[N]`, of one node to all others or of all others to it (`diagnosis.sensitivity(..., source=0)`), drawn
            as powers of ten; None draws `found.node`.
        node: which node that was; it is marked.
        pos: `[N, 2]`, instead of the graph's own positions.
        layout: for graphs without positions, "spring" or "spectral".
        label: which curvature it is.
        title: above both panels.

    Returns:
        The figure.

    Raises:
        ValueError: a sensitivity that does not fit the graph, a node that is not there, a large graph without positions.
    """
    if sensitivity is not None and tuple(sensitivity.shape) != (graph.num_nodes,):
        raise ValueError(
            f"sensitivity has shape {tuple(sensitivity.shape)}; expected ({graph.num_nodes},): give sensitivity(...) one "
            "source or one target"
        )
    if node is not None and not 0 <= node < graph.num_nodes:
        raise ValueError(f"node = {node}; the graph has nodes 0 to {graph.num_nodes - 1}")
    where = torch.from_numpy(placed(graph, pos, layout))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 4.2), layout="constrained")
    edges(graph, found.edge, left, pos=where, label=label)
    left.set_title("edges: curvature", fontsize="medium")
    if sensitivity is None:
        values, what, name = numbers(found.node), "nodes: least curvature of their edges", label
    else:
        values, what = _decades(numbers(sensitivity)), "nodes: sensitivity (empty: not reached)"
        name = "log10 of the sensitivity, relative to the largest"
    seen = values[np.isfinite(values)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    drawn = draw_nodes(right, graph, values, where, (low, max(high, low + 1e-9)), "viridis")
    right.set_axis_off()
    figure.colorbar(drawn.artist, ax=right, shrink=0.8, pad=0.02).set_label(name)
    right.set_title(what, fontsize="medium")
    if node is not None:
        x, y = where[node].tolist()
        right.plot([x], [y], "o", markersize=13, markerfacecolor="none", markeredgecolor="#d62728", markeredgewidth=1.8)
    if title:
        figure.suptitle(title)
    return figure


def _decades(sensitivity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Powers of ten below the largest; not a number where a node is not reached."""
    largest = np.nanmax(np.abs(sensitivity), initial=0.0)
    share = np.abs(sensitivity) / largest if largest > 0 else np.zeros_like(sensitivity)
    reached = share > _FAINTEST
    return np.log10(share, out=np.full_like(share, np.nan), where=reached)
