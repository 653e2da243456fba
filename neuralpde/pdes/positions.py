"""Positions of nodes that an equation evolves beside their features."""

from __future__ import annotations

from torch import Tensor

from ..errors import GraphError
from ..graph import Graph


def node_positions(graph: Graph, name: str, channels: int, like: Tensor, who: str) -> Tensor:
    """`[nodes, channels]` in the type of `like`: `graph.pos` for the name "pos", else the graph's node data of that name.

    Raises:
        GraphError: the graph has none, or of another width; `who` needs them.
    """
    found = graph.pos if name == "pos" else graph.node.get(name)
    if found is None:
        known = ", ".join([*(["pos"] if graph.pos is not None else []), *graph.node]) or "no node data"
        raise GraphError(
            f"{who} takes positions from {name!r}, and {graph} has {known}; give it an encoding, such as "
            f"graph.with_node({name if name != 'pos' else 'encoding'}=encodings.random_walk_returns(graph, {channels}))"
        )
    found = found.unsqueeze(1) if found.dim() == 1 else found
    if found.dim() != 2 or found.shape[1] != channels:
        raise GraphError(f"{who} was made for {channels} position channels; {name!r} of the graph is {tuple(found.shape)}")
    return found.to(like)
