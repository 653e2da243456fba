"""The adjacency and its normalisations as an operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from solvers import SparseOperator

from ..graph import Graph
from .base import GraphOperator
from .normalization import Normalization, normalize


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Adjacency(GraphOperator):
    """`(A u)_i = sum over edges j -> i of w_ji u_j`, normalised by degrees.

        "none":  A            "rw":  D^-1 A            "sym":  D^-1/2 A D^-1/2            "col":  A D^-1

    With `self_loops=True`, A + I and its degrees D + I take the place of A and D: "sym" is then the operator of GCN.
    D holds the sums of the rows ("rw": over incoming edges), for "col" those of the columns. Isolated nodes give 0.

    Args:
        graph: undirected for "none" and "sym".
        normalization: "none", "sym", "rw" or "col".
        weight: `[E]`, used instead of the graph's; may need a gradient.
        self_loops: add an edge of weight 1 from every node to itself.
        dtype: of the operator; None for that of the weights.

    Raises:
        GraphError: a directed graph for "none" or "sym", negative weights under a root.
        ValueError: an unknown normalisation, a weight of another length.

    Reference: T. Kipf, M. Welling, Semi-supervised classification with graph convolutional networks (2017), eq. 2.
    """

    def __init__(
        self,
        graph: Graph,
        normalization: Normalization = "none",
        *,
        weight: Tensor | None = None,
        self_loops: bool = False,
        dtype: torch.dtype | None = None,
    ):
        parts = normalize(graph, normalization, weight, None, self_loops, dtype, who="Adjacency")
        pattern, values = graph.pattern, parts.edge
        if self_loops:
            pattern, values = graph.loop_pattern, torch.cat([values, parts.inverse_mass])
        symmetric = normalization in ("none", "sym") and weight is None
        bounded = normalization != "none" and parts.nonnegative
        super().__init__(
            SparseOperator(pattern, values, symmetric, metzler=parts.nonnegative, interval=(-1.0, 1.0) if bounded else None)
        )

    @classmethod
    def example(cls) -> Self:
        return cls(Graph.grid(2, 3), "sym", self_loops=True, dtype=torch.float64)
