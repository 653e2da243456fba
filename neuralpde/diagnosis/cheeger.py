"""The spectral gap, what it says of the narrowest cut, and a cut that is nearly as narrow."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import diags_array
from torch import Tensor

from solvers import unknown

from ..encodings.spectrum import leading_eigenvectors, symmetric_map
from ..graph import Graph, as_graph
from .conductances import conductances

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class SweepCut:
    """Two sides of a graph and how little joins them.

    Attributes:
        side: `[N]` bool, true on one side.
        conductance: weight of the edges between the sides over the degree of the side that has less of it.
        gap: lambda_2 of the symmetrically normalised Laplacian.
        lower, upper: `lambda_2 / 2 <= h <= sqrt(2 lambda_2)`, between which the least conductance h of all cuts lies; also
            `h <= conductance <= upper`.
    """

    side: Tensor
    conductance: float
    gap: float
    lower: float
    upper: float


def spectral_gap(graph: Graph | Data, normalization: Literal["sym", "none"] = "sym") -> float:
    """The second smallest eigenvalue lambda_2 of the Laplacian: the rate at which diffusion forgets all but its limit.

    "sym" `I - D^-1/2 A D^-1/2` (the same as "rw"): n/(n-1) on K_n, 1 - cos(2 pi/n) on cycles, 1 - cos(pi/(n-1)) on paths.
    "none" `D - A`, the algebraic connectivity: n on K_n, 2 - 2 cos(2 pi/n) on cycles, 2 - 2 cos(pi/n) on paths. It is 0 if
    the graph is not connected. Loops are not read.

    Args:
        graph: undirected, at least two nodes.
        normalization: "sym" or "none".

    Returns:
        lambda_2, to about 1e-12 of the largest eigenvalue. Cost: Lanczos iteration, `O(E / sqrt(lambda_2 / lambda_max))`.

    Raises:
        GraphError: a directed graph, unsymmetric or negative weights.
        ValueError: fewer than two nodes, an unknown normalisation.

    Reference: F. Chung, Spectral Graph Theory (1997), chapter 1; M. Fiedler, Algebraic connectivity of graphs (1973).
    """
    if normalization not in ("sym", "none"):
        raise unknown("normalization", normalization, ("sym", "none"))
    adjacency, part = conductances(as_graph(graph), "the spectral gap")
    if part.max(initial=0) > 0:
        return 0.0
    return _second(adjacency, adjacency.sum(axis=1), normalization)[0]


def sweep_cut(graph: Graph | Data) -> SweepCut:
    """A narrow cut: nodes in the order of the eigenvector of lambda_2 over sqrt(d), cut where the conductance is least.

    `phi(S) = sum of w between S and the rest / min(vol S, vol rest)`; the cut found is at most sqrt(2 lambda_2). Isolated
    nodes, which no walk visits, count for neither side (and are on the side `False`).

    Args:
        graph: undirected, with at least two nodes that have edges.

    Returns:
        A `SweepCut` with the bounds of Cheeger's inequality. Cost: as `spectral_gap`, and O(E + N log N).

    Raises:
        GraphError: a directed graph, unsymmetric or negative weights.
        ValueError: fewer than two nodes that have edges.

    Reference: J. Cheeger (1970); F. Chung, Spectral Graph Theory (1997), chapter 2.
    """
    graph = as_graph(graph)
    adjacency, part = conductances(graph, "the sweep cut")
    visited = np.flatnonzero(adjacency.sum(axis=1) > 0)
    inner = adjacency[visited][:, visited].tocoo()
    degree = inner.sum(axis=1)
    gap, height = 0.0, part[visited]  # a cut between components costs nothing
    if len(visited) == 0 or height.min() == height.max():
        gap, vector = _second(inner.tocsr(), degree, "sym")
        height = vector / np.sqrt(degree)
    order = np.argsort(height, kind="stable")
    place = np.argsort(order)
    first, last = np.minimum(place[inner.row], place[inner.col]), np.maximum(place[inner.row], place[inner.col])
    change = np.bincount(first, inner.data, len(order)) - np.bincount(last, inner.data, len(order))
    across = np.cumsum(change)[:-1] / 2  # every edge is stored twice
    volume = np.cumsum(degree[order])
    conductance = across / np.minimum(volume[:-1], volume[-1] - volume[:-1])
    best = int(np.argmin(conductance))
    side = torch.zeros(graph.num_nodes, dtype=torch.bool)
    side[torch.as_tensor(visited[order[: best + 1]])] = True
    least = max(float(conductance[best]), 0.0)
    return SweepCut(side.to(graph.device), least, gap, gap / 2, sqrt(2 * gap))


def _second(adjacency: Any, degree: NDArray[np.float64], normalization: str) -> tuple[float, NDArray[np.float64]]:
    """lambda_2 and its eigenvector: the largest of `bound - L` once the kernel of L is taken out."""
    n = len(degree)
    if n < 2:
        raise ValueError(f"the graph has {n} nodes with edges; expected at least two")
    if normalization == "sym":
        root = np.sqrt(degree)
        inverse = diags_array(1 / root)
        matrix, kernel, bound = inverse @ adjacency @ inverse, root / np.linalg.norm(root), 2.0
        diagonal = np.ones(n)
    else:
        matrix, kernel, bound = adjacency, np.full(n, n**-0.5), 2 * float(degree.max())
        diagonal = degree

    def shifted(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = x.reshape(n, -1)
        return (bound - diagonal)[:, None] * x + matrix @ x - bound * kernel[:, None] * (kernel @ x)

    values, vectors = leading_eigenvectors(symmetric_map(n, shifted), 1, seed=0)
    return max(bound - float(values[0]), 0.0), vectors[:, 0]
