"""Where nodes without positions are drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from solvers import unknown

from ..graph import Graph
from .lattice import positions

LAYOUTS = ("spring", "spectral")


def placed(graph: Graph, pos: Tensor | None = None, layout: str = "spring") -> NDArray[np.float64]:
    """`[N, 2]`: `pos`, else the graph's own positions, else a layout: "spring", or "spectral" by two eigenvectors.

    A spectral layout spreads a graph along its slowest modes, so that a bottleneck is a gap; nodes may coincide.

    Raises:
        UnknownName: another layout.
        ValueError: positions that are not `[N, 2]`, or none for a large graph.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    if layout == "spring" or pos is not None or graph.pos is not None:
        return positions(graph, pos)
    from networkx import spectral_layout

    where = spectral_layout(graph.to_networkx().to_undirected())
    return np.array([where[node] for node in range(graph.num_nodes)], dtype=np.float64).reshape(-1, 2)
