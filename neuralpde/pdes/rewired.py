"""The graph that a transform makes of a graph, made once."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from ..graph import Graph
from ..transform import Transform

_MADE: WeakKeyDictionary[Graph, dict[Transform, Graph]] = WeakKeyDictionary()


def rewired(graph: Graph, transform: Transform | None) -> Graph:
    """`transform(graph)`, kept for as long as the graph lives; the graph itself without a transform.

    Args:
        graph: what is transformed.
        transform: looks at the graph alone (not at a state), and is the same for equal settings.
    """
    if transform is None:
        return graph
    made = _MADE.setdefault(graph, {})
    if transform not in made:
        found = transform(graph)
        if found is graph:  # kept, it would keep itself alive
            return graph
        made[transform] = found
    return made[transform]
