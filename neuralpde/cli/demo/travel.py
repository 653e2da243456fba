"""Travel times of long waves: the eikonal equation |grad T| = 1 / sqrt(g h), by shortest paths over the raster."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from ...datasets.raster import EARTH_RADIUS
from ...datasets.sea import GRAVITY
from ...graph import Graph

# Half of the 16 moves to neighbours, with the cells that each crosses; the other half are their reverses.
_MOVES: tuple[tuple[tuple[int, int], tuple[tuple[int, int], ...]], ...] = (
    ((0, 1), ()),
    ((1, 0), ()),
    ((1, 1), ((0, 1), (1, 0))),
    ((1, -1), ((0, -1), (1, 0))),
    ((1, 2), ((0, 1), (1, 1))),
    ((1, -2), ((0, -1), (1, -1))),
    ((2, 1), ((1, 0), (1, 1))),
    ((2, -1), ((1, 0), (1, -1))),
)


def travel_times(sea: Graph, sources: Tensor, gravity: float = GRAVITY) -> Tensor:
    """Seconds that a long wave of speed sqrt(g h) needs from the nearest source.

    The shortest path over 16 moves per cell (kings and knights), none of which crosses land; a straight line in open
    water of constant depth is at most 2.7 % too long.

    Args:
        sea: with `cell`, `lonlat` and `depth` per node, as `salish_sea()`.
        sources: `[N]` bool.
        gravity: g, m/s^2.

    Returns:
        `[N]` float64; infinite where no path leads.

    Reference: E. W. Dijkstra (1959), A note on two problems in connexion with graphs.
    """
    cell = sea.node["cell"].numpy()
    lonlat = np.radians(sea.node["lonlat"].double().numpy())
    slowness = 1.0 / np.sqrt(gravity * sea.node["depth"].double().numpy())
    number = np.full(cell.max(axis=0) + 5, -1)  # a rim of two cells of land
    number[cell[:, 0] + 2, cell[:, 1] + 2] = np.arange(len(cell))
    starts, ends, costs = [], [], []
    for move, crossed in _MOVES:
        path = [number[tuple((cell + 2 + step).T)] for step in (move, *crossed)]
        free = np.all([node >= 0 for node in path], axis=0)
        here, nodes = np.flatnonzero(free), [node[free] for node in path]
        mean = np.mean([slowness[here], *(slowness[node] for node in nodes)], axis=0)
        starts.append(here)
        ends.append(nodes[0])
        costs.append(mean * _metres(lonlat[here], lonlat[nodes[0]]))
    edges = (np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends)))
    graph = sp.csr_matrix(edges, shape=(len(cell), len(cell)))
    times = dijkstra(graph, directed=False, indices=np.flatnonzero(sources.numpy()), min_only=True)
    return torch.from_numpy(times)


def _metres(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    east = np.cos((a[:, 1] + b[:, 1]) / 2) * (b[:, 0] - a[:, 0])
    return EARTH_RADIUS * np.hypot(east, b[:, 1] - a[:, 1])
