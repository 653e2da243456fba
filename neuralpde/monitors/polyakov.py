"""The Polyakov energy and the p-Dirichlet energy: roughness beyond squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from solvers import VectorField

from ..functionals import PDirichlet, Polyakov, Roughness, require_variational
from ..graph import Graph
from .base import Observable, Reading
from .features import as_real, node_features


@dataclass(frozen=True)
class PolyakovEnergy(Observable):
    """`S(Z) = sum_i psi(r_i)`, `r_i^2 = sum over edges j -> i of w_ij |z_i - z_j|^2`: what a Beltrami flow descends.

    psi(r) is `"dirichlet"`: r^2 / 2 (S is then the Dirichlet energy, each undirected edge once), `"area"`:
    sqrt(1 + r^2) - 1, the area of the surface above the graph less that of a flat one, or `"tv"`: sqrt(r^2 + eps^2) - eps,
    total variation. Z is the whole state of an equation of first order, so of a Beltrami flow or BLEND features *and*
    positions; of one of second order, the features. In float64, from edge differences.

    Args:
        kind: psi.
        eps: of "tv".

    Raises:
        UnknownName: for another kind.
        ValueError: eps is not positive.
        GraphError: from `on`, for a directed graph or negative weights.

    Reference: N. Sochen, R. Kimmel, R. Malladi, A general framework for low level vision (1998); B. Chamberlain et al.,
        Beltrami flow and neural diffusion on graphs (2021).
    """

    kind: Literal["dirichlet", "area", "tv"] = "area"
    eps: float = 1e-2

    def __post_init__(self) -> None:
        Polyakov(self.kind, self.eps)

    @property
    def name(self) -> str:
        return f"Polyakov energy ({self.kind})"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        return _reading(self.name, graph, Polyakov(self.kind, self.eps), read)

    @classmethod
    def example(cls) -> tuple[PolyakovEnergy, Graph, Tensor]:
        """On the path 0 - 1 - 2 of values 0, 1, 3 the r^2 are 1, 5, 4: sqrt 2 + sqrt 6 + sqrt 5 - 3."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)


@dataclass(frozen=True)
class PDirichletEnergy(Observable):
    """`S(X) = 1/(2p) sum over edges j -> i of w_ij |x_i - x_j|^p`: each undirected edge once, as (1/p) w |x_i - x_j|^p.

    p = 2 is half the Dirichlet energy, p = 1 anisotropic total variation; near 1 it counts the edges that are cut, large p
    looks at the worst one. Of the state, as `PolyakovEnergy`; in float64, from edge differences.

    Args:
        p: at least 1.
        eps: of the regularised flow, to watch exactly what that descends: w (d^p - eps^p), d^2 = |x_i - x_j|^2 + eps^2.

    Raises:
        ValueError: p below 1, a negative eps.
        GraphError: from `on`, for a directed graph or negative weights.

    Reference: A. Elmoataz, O. Lezoray, S. Bougleux, Nonlocal discrete regularization on weighted graphs (2008).
    """

    p: float = 1.0
    eps: float = 0.0

    def __post_init__(self) -> None:
        PDirichlet(self.p, self.eps)

    @property
    def name(self) -> str:
        return f"p-Dirichlet energy (p = {self.p:g})"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        return _reading(self.name, graph, PDirichlet(self.p, self.eps), read)

    @classmethod
    def example(cls) -> tuple[PDirichletEnergy, Graph, Tensor]:
        """On the path 0 - 1 - 2 of values 0, 1, 3 it is 1 + 2 for p = 1."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)


def _reading(name: str, graph: Graph, functional: Roughness, read: Callable[[Tensor], Tensor] | None) -> Reading:
    require_variational(graph, name)

    def energy(t: float, y: Tensor) -> Tensor:
        z = as_real(node_features(graph, y, read if y.dim() > 2 else None))
        return graph.space.total(functional.density(graph, z))

    return energy
