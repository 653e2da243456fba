"""Where nodes are drawn: as cells of a raster where they lie on one, else as points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph
from .canvas import numbers

_MOST_TO_LAY_OUT = 2000  # nodes without positions that are given some
_SPARSEST = 8  # cells per node up to which positions on a lattice are drawn as a raster


@dataclass(frozen=True, eq=False)
class Lattice:
    """A raster of cells, some with a node: node i is cell (row[i], col[i]), around (x[col[i]], y[row[i]])."""

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    geographic: bool = False

    @property
    def full(self) -> bool:
        """Whether every cell has a node."""
        return len(self.row) == len(self.x) * len(self.y)

    def paint(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Node values `[N]` as a picture `[rows, columns]`, NaN where there is no node."""
        picture = np.full((len(self.y), len(self.x)), np.nan)
        picture[self.row, self.col] = values
        return picture


def lattice_of(graph: Graph, pos: Tensor | None = None) -> Lattice | None:
    """The raster that the nodes lie on, or None.

    Args:
        graph: with `node["cell"]` (rows and columns; then `node["lonlat"]` gives the axes), or with `pos` on a lattice.
        pos: `[N, 2]`, used instead of all these.
    """
    if pos is None and "cell" in graph.node:
        row, col = numbers(graph.node["cell"]).astype(np.int64).T
        row, col = row - row.min(), col - col.min()
        degrees = "lonlat" in graph.node
        where = numbers(graph.node["lonlat"]) if degrees else np.stack([col, row], axis=1).astype(np.float64)
        return Lattice(row, col, _axis(col, where[:, 0]), _axis(row, where[:, 1]), degrees)
    pos = graph.pos if pos is None else pos
    if pos is None or pos.shape[1] != 2 or graph.num_nodes < 2:
        return None
    where = numbers(pos)
    span = float(np.ptp(where, axis=0).max()) or 1.0
    (x, col), (y, row) = (np.unique(np.round(c / span, 7), return_inverse=True) for c in where.T)
    cells, nodes = len(x) * len(y), len(where)
    dense = cells == nodes or (cells <= _SPARSEST * nodes and nodes >= 2 * (len(x) + len(y)))
    if not dense or min(len(x), len(y)) < 2 or len(np.unique(row * len(x) + col)) < len(where):
        return None
    return Lattice(row, col, x * span, y * span)


def positions(graph: Graph, pos: Tensor | None = None) -> NDArray[np.float64]:
    """Where to draw each node, `[N, 2]`: `pos`, `graph.pos`, or a spring layout of a small graph (the same every time).

    Raises:
        ValueError: positions that are not `[N, 2]`, or none for a large graph.
    """
    pos = graph.pos if pos is None else pos
    if pos is not None:
        if pos.dim() != 2 or pos.shape[0] != graph.num_nodes or pos.shape[1] < 2:
            raise ValueError(f"pos has shape {tuple(pos.shape)}; expected ({graph.num_nodes}, 2)")
        return numbers(pos)[:, :2]
    if graph.num_nodes > _MOST_TO_LAY_OUT:
        raise ValueError(f"the graph has no positions, and {graph.num_nodes:,} nodes are too many to lay out; give pos=[N, 2]")
    from networkx import spring_layout

    placed = spring_layout(graph.to_networkx(), seed=0)
    return np.array([placed[node] for node in range(graph.num_nodes)], dtype=np.float64).reshape(-1, 2)


def _axis(index: NDArray[np.int64], coordinate: NDArray[np.float64]) -> NDArray[np.float64]:
    """The coordinate of every row or column; those without a node are interpolated."""
    known, first = np.unique(index, return_index=True)
    return np.interp(np.arange(int(index.max()) + 1), known, coordinate[first])
