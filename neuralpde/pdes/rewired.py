"""The graph that a transform makes of a graph: made once, or of the state, now and again on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import Tensor

from solvers import Every, Knots, Piecewise, VectorField

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


def rewired_by_state(graph: Graph, transform: Transform, state: Tensor) -> Graph:
    """`transform(graph)` where the transform finds a state as the node data "state"; no gradient passes through it."""
    return transform(graph.with_node(state=state.detach()))


def check_rewiring(rewire: Transform | None, every: float | None) -> None:
    """Raise ValueError unless the time between two rewirings can be meant."""
    if every is None:
        return
    if rewire is None:
        raise ValueError(f'rewire_every = {every:g} without rewire=; give the transform too, as rewire=KNN(8, of="state")')
    if not 0 < every < float("inf"):
        raise ValueError(
            f"rewire_every = {every:g}; expected a positive time between two rewirings, or None for the start only"
        )


@dataclass(frozen=True, eq=False)
class RewiredFlow(Piecewise):
    """A field whose edges are chosen anew, from the state, at the start and every `period` of time.

    Args:
        period: the time between two choices.
        bind: the field that begins at a state.
    """

    period: float
    bind: Callable[[Tensor], VectorField]

    @property
    def knots(self) -> Knots:
        return Every(self.period)

    def enter(self, k: int, y: Tensor) -> tuple[VectorField, Tensor]:
        return self.bind(y), y
