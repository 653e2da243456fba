"""The wave equation on a graph."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from solvers import unknown

from ..graph import Graph
from ..operators.laplacian import Laplacian
from ..operators.reverse import reverse_edges
from .base import GraphPDE
from .coefficient import Coefficient, place
from .oscillator import LinearOscillator

_NORMALIZATIONS = ("none", "sym")


class Wave(GraphPDE):
    """`u'' + s u' = (1 / m) div(c^2 grad u)`, that is `m_i (u_i'' + s_i u_i') = sum over j of c_ij^2 w_ij (u_j - u_i)`.

    A speed per node stands in front: `m_i u_i'' = c_i^2 sum_j w_ij (u_j - u_i)`, so it acts as a mass 1 / c_i^2. With
    weights g (h_i + h_j)/2 x (face length / distance) and cell areas as the mass, this is the finite-volume equation of long
    water waves, `u'' = div(g h grad u)`.

    The state is `stack((q, p))` with q = sqrt(m) u / c_node, p = q': then `q'' = -K q - s q'` with the symmetric
    `K = M^-1/2 L M^-1/2` (`field.stiffness`), which the stability check of leapfrog and conjugate gradients can use.
    `read` gives u back. The energy `1/2 |p|^2 + 1/2 <q, K q> = 1/2 sum m u'^2 + 1/2 sum over edges c^2 w (u_i - u_j)^2`
    is constant for s = 0 and falls otherwise.

    Args:
        speed: c: a number, `[N]` per node, or `[E]` per edge.
        damping: s, a rate per time: a number or `[N]` (a sponge layer).
        mass: m, `[N]` positive (cell areas); None for 1.
        normalization: "none", or "sym" for `u'' = -c^2 L_sym u` (then no mass and no speed per node).
        velocity: u'(0), `[N]` or `[N, channels]`; None for rest.
        learnable: learn the speed (c = softplus(raw) > 0), starting from the one given; per edge, both directions of an
            edge get the mean of their c^2.

    Raises:
        ValueError: coefficients that are negative or do not fit the graph.
        GraphError: a directed graph.

    Reference: J. Friedman, J.-P. Tillich, Wave equations for graphs and the edge-based Laplacian (2004), for the setting;
        R. LeVeque, Finite Volume Methods for Hyperbolic Problems (2002), chapter 9, for variable coefficients.
    """

    def __init__(
        self,
        speed: float | Tensor = 1.0,
        damping: float | Tensor = 0.0,
        *,
        mass: Tensor | None = None,
        normalization: Literal["none", "sym"] = "none",
        velocity: Tensor | None = None,
        learnable: bool = False,
    ):
        super().__init__()
        if normalization not in _NORMALIZATIONS:
            raise unknown("normalization", normalization, _NORMALIZATIONS)
        if mass is not None and normalization != "none":
            raise ValueError(
                f'mass given with normalization="{normalization}", whose mass is the degree: leave one of them out'
            )
        self.speed = Coefficient(speed, learnable=learnable, name="speed")
        self.damping = Coefficient(damping, name="damping")
        self.mass = None if mass is None else Coefficient(mass, name="mass")
        self.register_buffer("initial_velocity", velocity)
        self.normalization = normalization

    initial_velocity: Tensor | None

    def on(self, graph: Graph, u0: Tensor) -> LinearOscillator:
        speed = self.speed()
        where = place(speed, graph, "speed")
        mass = self._mass(u0)
        if mass is not None:
            _check_mass(mass, graph, self.normalization)
        laplacian = Laplacian(
            graph,
            "none" if mass is None and self.normalization == "none" else "sym",
            conductivity=None if where == "node" or _is_one(speed) else self._squared(speed, where, graph, u0),
            mass=mass,
            dtype=u0.dtype,
        )
        return LinearOscillator(laplacian, self._damping(graph, u0))

    def _squared(self, speed: float | Tensor, where: str, graph: Graph, u0: Tensor) -> Tensor:
        c2 = torch.as_tensor(speed, dtype=u0.dtype, device=u0.device) ** 2
        if where == "scalar":
            return c2.expand(graph.num_edges)
        return (c2 + c2[reverse_edges(graph)]) / 2 if self.speed.learnable else c2

    def _damping(self, graph: Graph, u0: Tensor) -> float | Tensor:
        damping = self.damping()
        if not isinstance(damping, Tensor):
            return damping
        if damping.dim() and place(damping, graph, "damping") != "node":
            raise ValueError(f"damping has {len(damping)} entries; expected a number or one per node ({graph.num_nodes})")
        return damping.to(u0).reshape(-1, 1) if damping.dim() else damping.to(u0)

    def _mass(self, like: Tensor) -> Tensor | None:
        """m / c_node^2, `[N]`, or None where that is 1; `like` has the nodes on axis -2."""
        speed = self.speed()
        per_node = isinstance(speed, Tensor) and speed.dim() == 1 and len(speed) == like.shape[-2]
        if self.mass is None and not per_node:
            return None
        mass = (
            torch.ones((), dtype=like.dtype, device=like.device)
            if self.mass is None
            else torch.as_tensor(self.mass(), dtype=like.dtype, device=like.device)
        )
        return mass / speed.to(like) ** 2 if isinstance(speed, Tensor) and per_node else mass.expand(like.shape[-2])

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        velocity = torch.zeros_like(u0)
        if self.initial_velocity is not None:
            given = self.initial_velocity.to(u0)
            velocity = (given.unsqueeze(1) if given.dim() == 1 else given).expand_as(u0)
        mass = self._mass(u0)
        y = torch.stack((u0, velocity))
        return y if mass is None else y * mass.sqrt().unsqueeze(1)

    def read(self, y: Tensor) -> Tensor:
        u, mass = y[..., 0, :, :], self._mass(y)
        return u if mass is None else u / mass.sqrt().unsqueeze(1)

    @property
    def energy_law(self) -> str:
        """What the energy of the field does: "constant" or "decreasing"."""
        damping = self.damping()
        return "constant" if not isinstance(damping, Tensor) and damping == 0 else "decreasing"

    @classmethod
    def example(cls) -> tuple[Wave, Graph, Tensor]:
        """A damped wave on a path of five nodes, with masses and a learnable speed per edge."""
        rows = torch.tensor([[1.0, 2.0, 3.0, 2.0, 1.0], [0.0, 0.0, 0.1, 0.2, 0.3]], dtype=torch.float64)
        speed = torch.tensor([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
        u0 = torch.tensor([[0.0], [0.0], [1.0], [0.0], [0.0]], dtype=torch.float64)
        return cls(speed, rows[1], mass=rows[0], learnable=True), Graph.path(5), u0


def _is_one(speed: float | Tensor) -> bool:
    return not isinstance(speed, Tensor) and speed == 1


def _check_mass(mass: Tensor, graph: Graph, normalization: str) -> None:
    if normalization == "sym":
        raise ValueError('a speed per node with normalization="sym" has no symmetric form; give the speed per edge')
    if mass.shape != (graph.num_nodes,):
        raise ValueError(f"mass has {mass.numel()} entries; expected one per node, {graph.num_nodes}")
    if not bool(torch.isfinite(mass.detach()).all()):
        raise ValueError("a speed per node is zero somewhere: that node never moves; leave it out, or use a speed per edge")
