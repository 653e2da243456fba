"""What a layer is called with: a graph that carries its features, or PyG's `(x, edge_index, edge_weight, batch)`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..graph import Graph, as_graph
from ..graph_cache import recall, remember

if TYPE_CHECKING:
    from torch_geometric.data import Data


def read_inputs(
    x: Tensor | Graph | Data,
    edge_index: Tensor | Graph | Data | None = None,
    edge_weight: Tensor | None = None,
    batch: Tensor | None = None,
) -> tuple[Graph, Tensor]:
    """The graph and the features `[nodes, channels]` of a call `layer(...)`.

    Args:
        x: a `Graph` or `Data` that carries features `x`, or the features.
        edge_index: `[2, E]`, or the graph, if `x` is the features.
        edge_weight: `[E]`.
        batch: `[nodes]`, the graph of each node.

    Raises:
        ValueError: there are no features.
        TypeError: there is no graph.
        GraphError: the graph is not valid.
    """
    if not isinstance(x, Tensor):
        if edge_index is not None or edge_weight is not None or batch is not None:
            raise TypeError(f"got a {type(x).__name__} and more; call layer(graph), layer(x, graph) or layer(x, edge_index)")
        graph = as_graph(x)
        if "x" not in graph.node:
            raise ValueError(f"{graph} carries no features `x`, one row per node: graph.with_node(x=...), or layer(x, graph)")
        return graph, graph.node["x"]
    if edge_index is None:
        raise TypeError("got features and no graph; call layer(x, edge_index) or layer(x, graph)")
    x = x.unsqueeze(1) if x.dim() == 1 else x
    if isinstance(edge_index, Tensor):
        return _graph_once(x.size(0), edge_index, edge_weight, batch), x
    return as_graph(edge_index), x


def check_features(model: nn.Module, x: Tensor) -> None:
    """Raise ValueError unless the features are of the type of the model's parameters."""
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != x.dtype:
            got, expected = (str(kind).removeprefix("torch.") for kind in (x.dtype, parameter.dtype))
            other = f" or model.to({x.dtype})" if x.is_floating_point() else ""
            raise ValueError(f"x is {got} and parameter {name!r} is {expected}; use x.to({parameter.dtype}){other}")
        return


def _graph_once(num_nodes: int, edge_index: Tensor, edge_weight: Tensor | None, batch: Tensor | None) -> Graph:
    """The graph of PyG's tensors; validated and sorted once for as long as `edge_index` lives and is unchanged."""
    rest = {name: value for name, value in (("edge_weight", edge_weight), ("batch", batch)) if value is not None}
    seen = recall(edge_index)
    seen = seen if seen is not None and seen.graph.num_nodes == num_nodes else None
    if seen is not None and seen.same(rest):
        return seen.graph
    graph = Graph.from_edges(edge_index.detach(), edge_weight, num_nodes, batch=batch)
    if seen is not None:
        graph = replace(graph, patterns=seen.graph.patterns)
    if edge_weight is None or edge_weight.grad_fn is None:  # a computed weight is new at every call
        remember(edge_index, rest, graph)
    return graph
