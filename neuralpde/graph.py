"""The graph, and `as_graph`: whatever describes a graph, as a `Graph`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from .graph_cache import recall, remember
from .graph_check import as_edge_index, check_parts
from .graph_class import Graph as Graph
from .graph_convert import SparseMatrix, data_edges

if TYPE_CHECKING:
    import networkx as nx
    from torch_geometric.data import Data


def as_graph(graph: Graph | Data | nx.Graph[Any] | SparseMatrix) -> Graph:
    """Whatever describes a graph, as a `Graph`.

    A `Data` is read once: the answer is kept for as long as its `edge_index` lives and is the same tensor, unchanged.
    Other tensors of the `Data` may be replaced; the sorted patterns are then shared.

    Args:
        graph: a `Graph`, a PyG `Data` or `Batch`, a networkx graph or a scipy sparse adjacency.

    Raises:
        GraphError: the graph is not valid.
        TypeError: it is none of these.
    """
    if isinstance(graph, Graph):
        return graph
    if hasattr(graph, "tocoo"):
        return Graph.from_scipy(graph)  # type: ignore[arg-type]
    if hasattr(graph, "adj") and hasattr(graph, "nodes"):
        return Graph.from_networkx(graph)  # type: ignore[arg-type]
    if not hasattr(graph, "edge_index") and not hasattr(graph, "edge_types"):
        raise TypeError(
            f"got a {type(graph).__name__}; expected a Graph, a PyG Data, a networkx graph or a scipy sparse matrix. "
            "Graph.from_edges(edge_index) makes one of an edge_index."
        )
    return _from_data_once(graph)  # type: ignore[arg-type]


def _from_data_once(data: Data) -> Graph:
    parts, source = data_edges(data)
    index = parts.edge_index
    rest = {key: value for key, value in data.to_dict().items() if key != "edge_index" and torch.is_tensor(value)}
    seen = recall(index)
    if seen is not None and seen.graph.num_nodes == parts.num_nodes:
        if seen.same(rest):
            return seen.graph
        patterns = seen.graph.patterns
    else:
        patterns = {}
    parts = parts._replace(edge_index=as_edge_index(index).detach())  # an alias: the cache must not keep `index` alive
    check_parts(parts, source, signed=False)
    graph = replace(Graph(**parts._asdict()), patterns=patterns)
    remember(index, rest, graph)
    return graph
