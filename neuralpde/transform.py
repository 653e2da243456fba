"""What turns one graph into another. It stands beside `Graph`, so that an equation can be handed one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .graph import Graph, as_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data


class Transform(ABC):
    """Graph -> Graph: a frozen dataclass of settings, called with a graph.

    A transform is pure (the graph that goes in stays as it is) and permutation-equivariant: numbering the nodes otherwise
    numbers the answer's nodes otherwise and changes nothing else (but where it has to break a tie).

    Attributes:
        keeps: what it promises of its answer: "nodes" (the nodes, with positions, batch and data), "undirected" (of an
            undirected graph an undirected one comes), "edges" (there are no new edges), "row sums" (the weights into each
            node sum to one). The contract tests hold it to that.
    """

    @property
    @abstractmethod
    def keeps(self) -> frozenset[str]: ...

    @abstractmethod
    def apply(self, graph: Graph) -> Graph:
        """The new graph."""

    def __call__(self, graph: Graph | Data) -> Graph:
        """The new graph, of a `Graph` or of whatever `as_graph` takes."""
        return self.apply(as_graph(graph))
