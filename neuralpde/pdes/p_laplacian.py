"""The p-Laplacian flow."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functionals import PDirichlet
from ..graph import Graph
from .base import GraphPDE
from .gradient_flow import GradientFlow


class PLaplacianFlow(GraphPDE):
    """`x_i' = sum over edges j -> i of w_ij d_ij^(p - 2) (x_j - x_i)`, `d_ij^2 = |x_i - x_j|^2 + eps^2`: -dS/dX of the
    p-Dirichlet energy `S = 1/(2p) sum over edges j -> i of w_ij (d_ij^p - eps^p)`.

    p = 2 is the heat equation, p towards 1 keeps jumps (total variation along edges), p > 2 flattens the largest first. The
    sum of x is conserved and S falls. Semilinear, as `BeltramiFlow`; for p <= 2 explicit Euler lowers S for
    dt < `field.step_limit(t, x)`, and for any dt < 2 eps^(2 - p) / lambda_max(L).

    Args:
        p: at least 1.
        eps: regularises small differences, in the unit of x; needed below p = 2.

    Raises:
        ValueError: p below 1, eps negative, or 0 with p < 2.
        GraphError: from `on`, for a directed graph or negative weights.

    Reference: A. Elmoataz, O. Lezoray, S. Bougleux, Nonlocal discrete regularization on weighted graphs (2008).
    """

    energy_law = "decreasing"

    def __init__(self, p: float = 1.5, *, eps: float = 1e-2):
        super().__init__()
        self.functional = PDirichlet(p, eps)
        if p < 2 and eps == 0:
            raise ValueError(
                f"eps = 0 with p = {p:g}: the weights |x_i - x_j|^(p - 2) are infinite where x is flat; eps=1e-2, say"
            )

    def on(self, graph: Graph, u0: Tensor) -> GradientFlow:
        return GradientFlow.on(graph, self.functional, u0, "PLaplacianFlow")

    def conserved(self, graph: Graph) -> Tensor:
        """Ones, `[N]`: the sum of x is constant."""
        return torch.ones(graph.num_nodes, dtype=torch.float64, device=graph.device)

    @classmethod
    def example(cls) -> tuple[PLaplacianFlow, Graph, Tensor]:
        """p = 1.5 on a weighted path of five nodes."""
        weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
        u0 = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return cls(1.5, eps=0.1), Graph.path(5).with_weight(weight), u0
