"""Graph Laplacians, positive semidefinite: L = D - A and its normalisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from solvers import LinearOperator, Scaled, SparseOperator, host_may_look

from ..graph import Graph
from .base import GraphOperator
from .normalization import Normalization, normalize, spectral_bound
from .reverse import require_symmetric


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Laplacian(GraphOperator):
    """The Laplacian of a graph, `(L u)_i = sum over j of w_ij (u_i - u_j)`; diffusion is -L u.

        "none":  L = D - A                         symmetric, kernel: constants
        "rw":    M^-1 L                            row sums 0, kernel: constants; I - D^-1 A for M = D
        "sym":   M^-1/2 L M^-1/2                   symmetric, kernel: sqrt(M); I - D^-1/2 A D^-1/2 for M = D
        "col":   L M^-1                            column sums 0, kernel: M; I - A D^-1 for M = D

    All are positive semidefinite for nonnegative weights ("rw" and "col" in the inner products of M and of M^-1: their
    eigenvalues are those of "sym"; `symmetric` and `semidefinite` speak of the plain inner product, so only "none" and
    "sym" carry them). M is the degree D unless `mass` is given: with cell areas, "rw" is the finite-volume operator
    `(1 / a_i) sum_j w_ij (u_i - u_j)`, and "sym" the same in the coordinates sqrt(a) u, in which conjugate gradients and
    the stability check of leapfrog can use it. Nodes without mass (isolated ones) have zero rows: they keep their value.

    On a directed graph, "rw" averages over incoming edges and "col" is the generator of the random walk along the edges;
    "none" and "sym" are refused.

    Args:
        graph: the nodes and edges.
        normalization: "none", "sym", "rw" or "col".
        weight: `[E]`, used instead of the graph's; may need a gradient.
        conductivity: `[E]`, a factor c on the weights in L, not in the degrees that normalise: -L u = (1 / m) div(c grad u).
            May need a gradient.
        mass: `[N]`, used instead of the degree; not with "none".
        self_loops: add 1 to the degrees that normalise (GCN's renormalisation; L itself does not see loops).
        dtype: of the operator; None for that of the weights.

    Raises:
        GraphError: a directed graph for "none" or "sym", unsymmetric weights, negative weights under a root.
        ValueError: an unknown normalisation, a bad mass or weight.

    Attributes:
        nonnegative: no weight is negative, so that L is positive semidefinite.

    Reference: F. Chung, Spectral Graph Theory (1997), chapter 1.
    """

    nonnegative: bool

    def __init__(
        self,
        graph: Graph,
        normalization: Normalization = "none",
        *,
        weight: Tensor | None = None,
        conductivity: Tensor | None = None,
        mass: Tensor | None = None,
        self_loops: bool = False,
        dtype: torch.dtype | None = None,
    ):
        parts = normalize(graph, normalization, weight, mass, self_loops, dtype, conductivity)
        symmetric = normalization in ("none", "sym")
        for name, value in (("weight", weight), ("conductivity", conductivity)):
            if symmetric and value is not None:
                require_symmetric(graph, value, name)
        values = torch.cat([-parts.edge, parts.degree * parts.inverse_mass])
        bounded = parts.nonnegative and host_may_look(values)
        interval = (0.0, spectral_bound(graph, parts, normalization)) if bounded else None
        matrix = SparseOperator(graph.loop_pattern, values, symmetric, symmetric and parts.nonnegative, interval=interval)
        super().__init__(matrix)
        object.__setattr__(self, "nonnegative", parts.nonnegative)

    def generator(self, rate: float | Tensor = 1.0) -> LinearOperator:
        """`-rate L`, the operator of `u' = -rate L u`; metzler for rates that are not negative, so that its flow keeps signs.

        One matrix, unless only the rate needs a gradient: then `rate * (-L)`, whose gradient is one product of states, where
        that of a matrix would be one number per edge.
        """
        learned = isinstance(rate, Tensor) and rate.requires_grad
        if learned and not self.matrix.values.requires_grad:
            return Scaled(self._negative(1.0), rate)
        return self._negative(rate)

    def _negative(self, rate: float | Tensor) -> SparseOperator:
        values, interval = self.matrix.values * -rate, self.matrix.interval
        if isinstance(rate, Tensor) and not host_may_look(rate):
            return SparseOperator(self.matrix.pattern, values, symmetric=self.symmetric)
        c = float(rate.detach()) if isinstance(rate, Tensor) else float(rate)
        if interval is not None:
            lo, hi = sorted(-c * bound for bound in interval)
            interval = (lo, hi)
        return SparseOperator(
            self.matrix.pattern, values, symmetric=self.symmetric, metzler=self.nonnegative and c >= 0, interval=interval
        )

    @classmethod
    def example(cls) -> Self:
        graph = Graph.path(5)
        return cls(graph, "sym", weight=torch.tensor([1.0, 2, 3, 4, 1, 2, 3, 4], dtype=torch.float64))
