"""Both directions of every edge."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Graph
from ..transform import Transform


@dataclass(frozen=True)
class Undirected(Transform):
    """The graph with the missing reverse edges; where both directions exist, both get the mean of their weights.

    WebKB's and Wikipedia's links are directed, and what is symmetric by definition (`D^-1/2 A D^-1/2`) needs this first.
    """

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes", "undirected"})

    def apply(self, graph: Graph) -> Graph:
        return graph.to_undirected()

    @classmethod
    def example(cls) -> tuple[Undirected, Graph]:
        """A directed path, with one edge in both directions."""
        return cls(), Graph.from_edges([[0, 1, 1], [1, 0, 2]])
