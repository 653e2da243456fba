"""The Beltrami flow: features and positions as a surface above the graph that shrinks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..functionals import Polyakov
from ..graph import Graph
from .base import GraphPDE
from .coefficient import Coefficient
from .gradient_flow import GradientFlow
from .positions import node_positions


class BeltramiFlow(GraphPDE):
    """`z_i' = sum over edges j -> i of w_ij (phi_i + phi_j) / 2 (z_j - z_i)`, `Z = (X, beta pos)`, `phi = psi'(r) / r`:

    half the steepest descent, -1/2 dS/dZ, of the Polyakov energy `S = sum_i psi(r_i)`,
    `r_i^2 = sum over edges j -> i of w_ij |z_i - z_j|^2`, with

        "dirichlet": psi = r^2 / 2              phi = 1                          the heat equation, linear
        "area":      psi = sqrt(1 + r^2) - 1    phi = 1 / sqrt(1 + r^2)          the Beltrami flow: edges of X are kept
        "tv":        psi = sqrt(r^2 + eps^2) - eps    phi = 1 / sqrt(r^2 + eps^2)      total variation

    Diffusion slows down across nodes where features and positions change fast. The sum of z is conserved, S falls, and each
    channel keeps between its least and its largest value. beta weighs positions against features: r counts both.

    The field is semilinear, its linear part the Laplacian of the current weights, so implicit and linearly implicit methods
    apply; explicit Euler lowers S for dt < `field.step_limit(t, z)`, and for any dt < 2 / (phi(0) lambda_max(L)), where phi(0)
    is 1 for "area" and 1 / eps for "tv".

    Args:
        kind: psi.
        pos_channels: width of the positions; 0 for a flow of the features alone.
        beta: unit of features / unit of positions; "learnable" starts at 1.
        positions: where positions come from: "pos" for `graph.pos`, or the name of the graph's node data (an encoding).
        eps: of "tv": differences below it are smoothed as by the heat equation.

    Raises:
        UnknownName: for another kind.
        ValueError: eps is not positive, beta is negative.
        GraphError: from `on`, for a directed graph, negative weights, or positions that are not there.

    Reference: N. Sochen, R. Kimmel, R. Malladi, A general framework for low level vision (1998); B. Chamberlain et al.,
        Beltrami flow and neural diffusion on graphs (2021).
    """

    energy_law = "decreasing"

    def __init__(
        self,
        kind: Literal["dirichlet", "area", "tv"] = "area",
        *,
        pos_channels: int = 0,
        beta: float | Literal["learnable"] = 1.0,
        positions: str = "pos",
        eps: float = 1e-2,
    ):
        super().__init__()
        if isinstance(beta, str) and beta != "learnable":
            raise ValueError(f'beta={beta!r}; expected a number or "learnable"')
        if pos_channels < 0 or (pos_channels == 0 and beta == "learnable"):
            raise ValueError(f"pos_channels = {pos_channels} with beta = {beta}; expected the width of the positions")
        self.functional = Polyakov(kind, eps)
        self.pos_channels, self.positions = pos_channels, positions
        self.beta = Coefficient(1.0 if isinstance(beta, str) else beta, learnable=isinstance(beta, str), name="beta")

    def on(self, graph: Graph, u0: Tensor) -> GradientFlow:
        return GradientFlow.on(graph, self.functional, u0, "BeltramiFlow")

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        """`(u0, beta pos)`, `[nodes, channels + pos_channels]`."""
        if not self.pos_channels:
            return u0
        position = node_positions(graph, self.positions, self.pos_channels, u0, "BeltramiFlow")
        return torch.cat([u0, self.beta() * position], dim=1)

    def read(self, y: Tensor) -> Tensor:
        return y[..., : y.shape[-1] - self.pos_channels]

    def conserved(self, graph: Graph) -> Tensor:
        """Ones, `[N]`: the sum of the state is constant."""
        return torch.ones(graph.num_nodes, dtype=torch.float64, device=graph.device)

    @classmethod
    def example(cls) -> tuple[BeltramiFlow, Graph, Tensor]:
        """Two features and two positions above a grid of six nodes, beta learnable."""
        u0 = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return cls(pos_channels=2, beta="learnable").double(), Graph.grid(2, 3), u0
