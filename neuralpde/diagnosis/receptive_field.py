"""How far layers, hops and diffusion reach, and what an explicit scheme needs besides."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse.csgraph import dijkstra
from scipy.special import gammainc
from torch import Tensor

from ..graph import Graph, as_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True)
class ReceptiveField:
    """What it takes to follow the heat equation for a time on a grid.

    Attributes:
        radius: `sqrt(2 d kappa t)`, the root mean square distance that heat has spread, in the unit of the spacing.
        hops: K, the least with `K h >= radius`: layers that pass messages one hop each need at least so many.
        steps: the least number of explicit Euler steps that are stable, `2 d kappa t / h^2` rounded up: about K^2.
        share: part of the heat of a point source within the radius (0.683, 0.632, 0.608 in 1, 2, 3 dimensions).
    """

    radius: float
    hops: int
    steps: int
    share: float

    def __str__(self) -> str:
        return (
            f"heat spreads {self.radius:.3g} ({self.share:.1%} of it within): at least {self.hops} hops; "
            f"explicit Euler is stable from {self.steps} steps on"
        )


def receptive_field(time: float, diffusivity: float = 1.0, dimension: int = 1, spacing: float = 1.0) -> ReceptiveField:
    """The rule `K h >= sqrt(2 d kappa t)` for the hops K that a time t of diffusion needs, beside the stability condition.

    The rule is necessary only. K explicit Euler steps of `t / K`, one hop each, have `kappa dt / h^2 = K / (2 d)`, while
    stability on the grid Laplacian needs at most `1 / (2 d)`, hence K^2 steps (or implicit ones, which reach everywhere).

    Args:
        time: t.
        diffusivity: kappa, length^2 / time.
        dimension: d, of the grid.
        spacing: h, length.

    Raises:
        ValueError: an argument that is not positive (time may be 0).

    Reference: the mean square displacement of Brownian motion, `2 d kappa t` (A. Einstein, 1905); R. Courant,
    K. Friedrichs, H. Lewy (1928) for the stability condition.
    """
    if time < 0 or diffusivity <= 0 or dimension < 1 or spacing <= 0:
        raise ValueError(
            f"got time={time}, diffusivity={diffusivity}, dimension={dimension}, spacing={spacing}; "
            "expected time >= 0 and the others positive"
        )
    square = 2 * dimension * diffusivity * time
    cells = square / spacing**2
    near = 1 - 1e-12  # 25.000000000000004 cells are 25
    share = float(gammainc(dimension / 2, dimension / 2))
    return ReceptiveField(sqrt(square), ceil(sqrt(cells) * near), ceil(cells * near), share)


def hop_distance(graph: Graph | Data, source: int) -> Tensor:
    """The number of message-passing layers after which a node's features first matter at each node.

    Args:
        graph: edges carry messages from `edge_index[0]` to `edge_index[1]`.
        source: the node whose features travel.

    Returns:
        `[N]` float64, infinite where they never arrive. Cost: O(E + N log N).

    Raises:
        ValueError: no such node.
    """
    graph = as_graph(graph)
    if not 0 <= source < graph.num_nodes:
        raise ValueError(f"source={source}; expected a node 0..{graph.num_nodes - 1}")
    adjacency = graph.with_weight(None).to_scipy()
    return torch.as_tensor(np.asarray(dijkstra(adjacency, indices=source, unweighted=True)), device=graph.device)
