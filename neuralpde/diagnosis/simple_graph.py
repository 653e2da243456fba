"""The undirected graph without loops, parallel edges and weights that curvature and refinement speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from ..graph import Graph, as_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class SimpleGraph:
    """Nodes and undirected edges, each once.

    Attributes:
        adjacency: `[N, N]` CSR of float64 ones, symmetric, with an empty diagonal and sorted rows.
        edges: `[2, M]` int64, every undirected edge once, `edges[0] < edges[1]`.
        place: `[E]` int64, the column of `edges` that an edge of the given graph is; -1 for a loop.
        device: of the given graph.
    """

    adjacency: Any
    edges: NDArray[np.int64]
    place: NDArray[np.int64]
    device: torch.device

    @property
    def degree(self) -> NDArray[np.int64]:
        """Number of neighbours, `[N]`."""
        return np.diff(self.adjacency.indptr).astype(np.int64)

    def per_edge(self, values: NDArray[np.float64]) -> Tensor:
        """Values of undirected edges `[M]` in the order of the given graph, `[E]`; not a number at loops."""
        return torch.as_tensor(np.append(values, np.nan)[self.place], device=self.device)

    def common(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> Any:
        """`[pairs, N]` CSR of ones at the common neighbours of `first[p]` and `second[p]`."""
        return self.adjacency[first].multiply(self.adjacency[second]).tocsr()


def simple_graph(graph: Graph | Data, who: str) -> SimpleGraph:
    """Drop loops, weights and the multiplicity of edges; `who` needs this ("Forman curvature").

    Args:
        graph: a `Graph` or a PyG `Data`; every edge must have its reverse.
        who: named in the error.

    Raises:
        GraphError: an edge has no reverse.
    """
    graph = as_graph(graph)
    n = graph.num_nodes
    source, target = graph.edge_index.cpu().numpy()
    low, high = np.minimum(source, target), np.maximum(source, target)
    keys, inverse = np.unique(low * n + high, return_inverse=True)
    if len(np.unique(source * n + target)) != 2 * len(keys) - int(np.count_nonzero(keys // max(n, 1) == keys % max(n, 1))):
        graph.with_weight(None).require_undirected(who)
    loop = keys // max(n, 1) == keys % max(n, 1)
    number = np.where(loop, -1, np.cumsum(~loop) - 1)
    keys = keys[~loop]
    edges = np.stack([keys // max(n, 1), keys % max(n, 1)])
    rows, cols = np.concatenate([edges, edges[::-1]], axis=1)
    adjacency = csr_array((np.ones(len(rows)), (rows, cols)), shape=(n, n))
    adjacency.sort_indices()
    return SimpleGraph(adjacency, edges, number[inverse], graph.device)
