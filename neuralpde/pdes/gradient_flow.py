"""The descent of a functional of edge differences, as a field."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import LinearFlow, LinearOperator, Space, SparseOperator

from ..functionals import Roughness, require_variational
from ..graph import Graph


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """`z_i' = sum over edges j -> i of c_ij(z) (z_j - z_i)`, `c` of a `Roughness` S: S falls along it.

    Semilinear, with nothing beside the linear part: -L_c(z), the Laplacian of the weights at the current state, symmetric.

    Where S is concave in the squared differences ("area", "tv", p <= 2), the quadratic form of L_c(z) bounds it from above,
    so that S falls in every step of explicit Euler with dt < `step_limit(t, z)`, and in every step, however long, that takes
    L_c(z) implicitly.

    Args:
        graph: undirected, weights not negative.
        functional: S.
        flow: the same as a linear flow, if it is one.
    """

    graph: Graph
    functional: Roughness
    flow: LinearFlow | None = None

    @staticmethod
    def on(graph: Graph, functional: Roughness, like: Tensor, who: str) -> GradientFlow:
        """The field of a checked graph; linear where the weights do not depend on the state.

        Args:
            graph: where.
            functional: S.
            like: a state, for its type.
            who: needs it, for messages.
        """
        require_variational(graph, who)
        field = GradientFlow(graph, functional)
        if functional.linear:
            return GradientFlow(graph, functional, LinearFlow(field._operator(like)))
        return field

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y)

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return self._operator(y) if self.flow is None else self.flow.operator

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def energy(self, t: Tensor, y: Tensor, space: Space) -> Tensor:
        """S of a state, `[graphs]`."""
        return space.total(self.functional.density(self.graph, y))

    def step_limit(self, t: Tensor, y: Tensor) -> float:
        """`2 / lambda`, lambda a bound on the spectrum of L_c(y): a shorter step of explicit Euler from here lowers S."""
        largest = -self.linear_part(t, y).bounds()[0]
        return 2 / largest if largest > 0 else float("inf")

    def _operator(self, y: Tensor) -> SparseOperator:
        weight = self.functional.weights(self.graph, y)
        degree = weight.new_zeros(self.graph.num_nodes).index_add(0, self.graph.edge_index[1], weight)
        return SparseOperator(self.graph.loop_pattern, torch.cat([weight, -degree]), symmetric=True, metzler=True)
