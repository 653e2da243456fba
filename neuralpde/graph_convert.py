"""Graphs from and to PyG `Data`, networkx and scipy.sparse, as plain tensors."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .errors import GraphError
from .graph_build import Edges

if TYPE_CHECKING:
    import networkx as nx
    import scipy.sparse as sp
    from torch_geometric.data import Data


class SparseMatrix(Protocol):
    """What is used of a scipy.sparse array or matrix, whichever its format."""

    def tocoo(self, copy: bool = ...) -> Any: ...


RESERVED = ("edge_index", "edge_weight", "edge_attr", "pos", "batch", "ptr", "num_nodes")


def data_edges(data: Data) -> tuple[Edges, str]:
    """Read a PyG `Data` or `Batch`: the parts of a graph, and where the number of nodes comes from."""
    if hasattr(data, "edge_types"):
        raise GraphError("got a HeteroData; expected a Data with one kind of node and edge. data.to_homogeneous()?")
    if data.edge_index is None:
        raise GraphError(f"this Data has no edge_index, only {list(data.keys())}. Build one, e.g. Graph.knn(data.pos, 8).")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyG warns when it infers num_nodes from edge_index, which is what we want
        num_nodes = int(data.num_nodes or 0)
    node = {
        key: value
        for key, value in data.to_dict().items()
        if key not in RESERVED and torch.is_tensor(value) and data.is_node_attr(key)
    }
    x = data.x
    source = f"x has {x.size(0)} rows" if torch.is_tensor(x) and x.size(0) == num_nodes else f"num_nodes={num_nodes}"
    parts = Edges(
        data.edge_index,
        num_nodes,
        weight=data.edge_weight if "edge_weight" in data else None,
        pos=data.pos,
        batch=data.batch if "batch" in data else None,
        edge_attr=data.edge_attr,
        node=node,
    )
    return parts, source


def edges_data(edges: Edges) -> Data:
    """The same graph as a PyG `Data`."""
    from torch_geometric.data import Data

    data = Data(edge_index=edges.edge_index, num_nodes=edges.num_nodes)
    optional = {
        "edge_weight": edges.weight,
        "edge_attr": edges.edge_attr,
        "pos": edges.pos,
        "batch": edges.batch,
    }
    for key, value in {**optional, **edges.node}.items():
        if value is not None:
            data[key] = value
    return data


def networkx_edges(graph: nx.Graph[Any], weight: str | None) -> Edges:
    """Read a networkx graph; nodes are numbered in its own order, numeric node attributes are kept."""
    number = {name: i for i, name in enumerate(graph.nodes)}
    pairs = [(number[u], number[v], values) for u, v, values in graph.edges(data=True)]
    index = torch.tensor([[u for u, _, _ in pairs], [v for _, v, _ in pairs]], dtype=torch.int64)
    value: Tensor | None = None
    if weight is not None and any(weight in values for _, _, values in pairs):
        value = torch.tensor([float(values.get(weight, 1.0)) for _, _, values in pairs])
    if not graph.is_directed():
        loop = index[0] == index[1]
        index = torch.cat([index, index[:, ~loop].flip(0)], dim=1)
        value = None if value is None else torch.cat([value, value[~loop]])
    node = _numeric_attributes(graph)
    return Edges(index, len(number), weight=value, pos=node.pop("pos", None), node=node)


def _numeric_attributes(graph: nx.Graph[Any]) -> dict[str, Tensor]:
    rows = [values for _, values in graph.nodes(data=True)]
    node: dict[str, Tensor] = {}
    for key in rows[0] if rows else ():
        if not isinstance(key, str) or not all(key in row for row in rows):
            continue
        try:
            array = np.asarray([row[key] for row in rows])
        except ValueError:  # rows of different lengths
            continue
        if array.dtype.kind in "biuf":
            tensor = torch.from_numpy(array)
            node[key] = tensor.to(torch.get_default_dtype()) if array.dtype.kind == "f" else tensor
    return node


def edges_networkx(edges: Edges, undirected: bool) -> nx.Graph[Any]:
    """The same graph in networkx, weights as "weight"; parallel edges make it a multigraph."""
    import networkx as nx

    index = edges.edge_index.cpu()
    keep = index[0] <= index[1] if undirected else torch.ones(index.size(1), dtype=torch.bool)
    pairs = list(map(tuple, index[:, keep].t().tolist()))
    several = len(set(pairs)) < len(pairs)
    kinds = {(True, False): nx.Graph, (True, True): nx.MultiGraph, (False, False): nx.DiGraph}
    graph = kinds.get((undirected, several), nx.MultiDiGraph)()
    graph.add_nodes_from(range(edges.num_nodes))
    if edges.weight is None:
        graph.add_edges_from(pairs)
    else:
        values = edges.weight.detach().cpu()[keep].tolist()
        graph.add_weighted_edges_from((u, v, w) for (u, v), w in zip(pairs, values, strict=True))
    attributes = dict(edges.node) if edges.pos is None else {"pos": edges.pos, **edges.node}
    for key, value in attributes.items():
        nx.set_node_attributes(graph, dict(enumerate(value.tolist())), key)
    return graph


def scipy_edges(matrix: SparseMatrix) -> Edges:
    """Read a sparse adjacency: entry (i, j) is the weight of the edge i -> j, as in scipy.sparse.csgraph."""
    coo = matrix.tocoo(copy=True)
    if len(coo.shape) != 2 or coo.shape[0] != coo.shape[1]:
        raise GraphError(f"the matrix has shape {coo.shape}; expected a square adjacency.")
    coo.sum_duplicates()
    index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
    value = torch.from_numpy(np.ascontiguousarray(coo.data))
    if not (value.is_floating_point() or value.is_complex()):
        value = value.to(torch.get_default_dtype())
    return Edges(index, int(coo.shape[0]), weight=value)


def edges_scipy(edges: Edges, weight: Tensor) -> sp.csr_array:
    """The adjacency as a CSR array: entry (i, j) is the summed weight of the edges i -> j."""
    import scipy.sparse as sp

    source, target = edges.edge_index.cpu().numpy()
    shape = (edges.num_nodes, edges.num_nodes)
    return sp.coo_array((weight.detach().cpu().numpy(), (source, target)), shape=shape).tocsr()
