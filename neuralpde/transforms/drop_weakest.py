"""The weakest edges left out, by a quantile of the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..graph import Graph
from ..operators.strongest import strongest
from ..transform import Transform


@dataclass(frozen=True)
class DropWeakest(Transform):
    """Keep the edges whose weight is at least the quantile of order `share` of the weights of their graph.

    With attention as the weights, `DropWeakest(0.1)(graph.with_weight(attention))`, this is the thresholding of GRAND-nl-rw.
    The threshold is the weight at place floor(share E) of the E sorted ones (from 0), so that at most a share of the edges
    goes, and of equal weights either none or all. Weights keep their gradient.

    Args:
        share: of the edges to drop, in [0, 1).
        renormalize: scale the weights that are left so that those into each node sum to one (to zero, where none is left).

    Raises:
        ValueError: a share that is none, a negative weight that is to be renormalised.

    Reference: Chamberlain et al. (2021), GRAND: graph neural diffusion, section 4.
    """

    share: float
    renormalize: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"share = {self.share}; expected 0 <= share < 1, the part of the edges to drop")

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes", "edges", *([] if self.renormalize else ["undirected"])})

    def apply(self, graph: Graph) -> Graph:
        if not graph.num_edges:
            return graph
        keep = self._kept(graph)
        weight, attr = graph.edge_weight()[keep], graph.edge_attr
        target = graph.edge_index[1, keep]
        if self.renormalize:
            if bool((weight < 0).any()):
                raise ValueError("the graph has negative weights; renormalize=True needs weights >= 0")
            total = weight.new_zeros(graph.num_nodes).index_add(0, target, weight)[target]
            weight = torch.where(total > 0, weight / total.masked_fill(total == 0, 1), 0)
        elif graph.weight is None:
            weight = None
        return replace(
            graph,
            edge_index=graph.edge_index[:, keep],
            weight=weight,
            edge_attr=None if attr is None else attr[keep],
            patterns={},
        )

    def _kept(self, graph: Graph) -> Tensor:
        """Which edges stay, `[E]` bool; the quantile is taken graph by graph."""
        of = torch.zeros_like(graph.edge_index[1]) if graph.batch is None else graph.batch[graph.edge_index[1]]
        return strongest(graph.edge_weight(), of, graph.num_graphs, self.share)

    @classmethod
    def example(cls) -> tuple[DropWeakest, Graph]:
        """A quarter of the edges of a ring of eight with random weights."""
        half = torch.rand(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return cls(0.25), Graph.ring(8).with_weight(half.repeat(2))
