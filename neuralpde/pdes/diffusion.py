"""The heat equation on a graph."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from solvers import LinearFlow, unknown

from ..graph import Graph
from ..operators.laplacian import Laplacian
from ..operators.normalization import NORMALIZATIONS, Normalization
from ..operators.reverse import reverse_edges
from .base import GraphPDE
from .coefficient import Coefficient, place


class Diffusion(GraphPDE):
    """`u' = -L_c u = div(c grad u)`, with `(L_c u)_i = (1 / m_i) sum over j of c_ij w_ij (u_i - u_j)`.

    The normalisation is that of `Laplacian`, by the degrees of the graph's own weights, so that a scalar conductivity is a
    factor: "none" (m = 1; conserves the sum of u), "rw" (m = d; conserves the sum of d u), "sym" (in the coordinates
    sqrt(d) u; conserves the sum of sqrt(d) times them), "col" (in the amounts d u; conserves their sum).

    Args:
        conductivity: a number, or `[E]` in the order of the graph's edges (the same on both directions of an undirected
            edge); "learnable" is a learnable number that starts at 1. The unit is that of u^0 / time / weight.
        normalization: "none", "sym", "rw" or "col".
        learnable: learn the conductivity, starting from the one given; c = softplus(raw) stays positive. Per edge, both
            directions of an undirected edge get the mean of their two values.

    Raises:
        ValueError: a conductivity that is negative or does not fit the graph, an unknown normalisation.
        GraphError: a directed graph with "none" or "sym"; a conductivity that differs between the directions of an edge.

    Reference: F. Chung, Spectral Graph Theory (1997), chapter 10 (the heat kernel).
    """

    def __init__(
        self,
        conductivity: float | Tensor | Literal["learnable"] = 1.0,
        normalization: Normalization = "none",
        *,
        learnable: bool = False,
    ):
        super().__init__()
        if isinstance(conductivity, str):
            if conductivity != "learnable":
                raise ValueError(f'conductivity={conductivity!r}; expected a number, a tensor per edge, or "learnable"')
            conductivity, learnable = 1.0, True
        if normalization not in NORMALIZATIONS:
            raise unknown("normalization", normalization, NORMALIZATIONS)
        self.conductivity = Coefficient(conductivity, learnable=learnable, name="conductivity")
        self.normalization: Normalization = normalization

    def on(self, graph: Graph, u0: Tensor) -> LinearFlow:
        c = self.conductivity()
        where = place(c, graph, "conductivity")
        if where == "node":
            raise ValueError(
                f"conductivity has one entry per node ({graph.num_nodes}); expected one per edge, which flux crosses"
            )
        rate, edge = 1.0, None
        if isinstance(c, Tensor):
            c = c.to(u0.dtype)
            rate, edge = (1.0, self._both_ways(graph, c)) if where == "edge" else (c, None)
        else:
            rate = c
        laplacian = Laplacian(graph, self.normalization, conductivity=edge, dtype=u0.dtype)
        return LinearFlow(laplacian.generator(rate))

    def _both_ways(self, graph: Graph, c: Tensor) -> Tensor:
        """A learned conductivity made the same on both directions; a given one is checked instead."""
        if self.conductivity.learnable and self.normalization in ("none", "sym"):
            return (c + c[reverse_edges(graph)]) / 2
        return c

    def conserved(self, graph: Graph) -> Tensor | None:
        """Masses m, `[N]` float64, of the conserved quantity sum_i m_i u_i; None if there is none."""
        if self.normalization in ("none", "col"):
            return torch.ones(graph.num_nodes, dtype=torch.float64, device=graph.device)
        if not graph.undirected:
            return None
        degree = graph.degree.detach().double()
        return degree if self.normalization == "rw" else degree.sqrt()

    @classmethod
    def example(cls) -> tuple[Diffusion, Graph, Tensor]:
        """Heat on a path of five nodes, with a learnable conductivity per edge."""
        c = torch.tensor([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
        u0 = torch.tensor([[0.0], [0.0], [1.0], [0.0], [0.0]], dtype=torch.float64)
        return cls(c, learnable=True), Graph.path(5), u0
