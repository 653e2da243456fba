"""The energy that a symplectic method keeps: not H itself, but one close by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers import LinearOperator, VectorField, unknown

from ..graph import Graph
from ..operators.laplacian import Laplacian
from .base import Observable, Reading
from .features import node_features
from .hamiltonian import Hamiltonian, energy_mass, halves, in_float64, velocity_of

METHODS = ("symplectic_euler", "leapfrog")
Slope = Callable[[float, Tensor], Tensor]  # q -> grad V(q)


@dataclass(frozen=True)
class ModifiedEnergy(Observable):
    """The shadow energy of a symplectic method with fixed steps, for q'' = -grad V(q) without damping, M as in `Hamiltonian`.

        "symplectic_euler"   H - dt/2 <p, M grad V>               momenta first, as `SymplecticEuler` and GraphCON step
        "leapfrog"           H - dt^2/8 |grad V|_M^2              linear forces (kick-drift-kick)
                             H + dt^2/12 <p, M V'' p> - dt^2/24 |grad V|_M^2     other forces

    For a linear force -K q both are kept exactly, to rounding, while H itself oscillates by O(dt) and O(dt^2). Otherwise the
    first is kept up to O(dt^2) and the last up to O(dt^4), over times that are long but not infinite. If it drifts, the steps
    are not those of the method, or there is damping. Without a field: the wave equation q'' = -(D - A) q.

    Args:
        dt: the fixed step of the solve.
        method: "symplectic_euler" or "leapfrog".

    Raises:
        UnknownName: for another method.
        TypeError: from `on`, if the field offers no energy (see `Hamiltonian`) or no force.

    Reference: Hairer, Lubich & Wanner (2006), Geometric numerical integration, chapter IX.
    """

    dt: float
    method: str = "symplectic_euler"
    whole_state: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)

    @property
    def name(self) -> str:
        return f"modified energy ({self.method.replace('_', ' ')})"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        energy = Hamiltonian().on(graph, field)
        slope, linear = _slope(graph, field)
        velocity, mass = velocity_of(field), energy_mass(graph, field)
        weight = 1.0 if mass is None else mass.unsqueeze(1)
        total, dt = graph.space.total, self.dt

        def modified(t: float, y: Tensor) -> Tensor:
            q, p = (node_features(graph, half, None) for half in halves(y))
            g, v = slope(t, q), velocity(t, p)
            if self.method == "symplectic_euler":
                return energy(t, y) - dt / 2 * total((v.conj() * weight * g).real)
            size = total((g.conj() * weight * velocity(t, g)).real)
            if linear:
                return energy(t, y) - dt**2 / 8 * size
            bend = total(v * weight * _hessian_product(slope, t, q, v))
            return energy(t, y) + dt**2 * (bend / 12 - size / 24)

        return modified

    @classmethod
    def example(cls) -> tuple[ModifiedEnergy, Graph, Tensor]:
        """An instance, a graph and a state stack((q, p)): H = 4.5, grad V = (-1, -1, 2), p = (0, 2, 0): 4.5 + 0.1."""
        q, p = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.0], [2.0], [0.0]])
        return cls(0.1), Graph.path(3), torch.stack([q, p]).double()


def _slope(graph: Graph, field: VectorField | None) -> tuple[Slope, bool]:
    """The gradient of the potential in float64, and whether it is linear."""
    if field is None:
        laplacian = Laplacian(graph, dtype=torch.float64)
        return lambda t, q: laplacian.matvec(q), True
    stiffness = getattr(field, "stiffness", None)
    if isinstance(stiffness, LinearOperator):
        exact = in_float64(stiffness)
        return lambda t, q: exact.matvec(q), True
    if not hasattr(field, "force"):
        raise TypeError(f"ModifiedEnergy needs a field with force(t, q); {type(field).__name__} has none. Watch Hamiltonian.")
    force = in_float64(field).force  # type: ignore[attr-defined]
    return lambda t, q: -force(torch.full((), t, dtype=q.dtype, device=q.device), q), False


def _hessian_product(slope: Slope, t: float, q: Tensor, p: Tensor) -> Tensor:
    """`V''(q) p`, which is `p V''(q)`: one gradient, as V'' is symmetric."""
    track = torch.is_grad_enabled()
    with torch.enable_grad():
        at = q if q.requires_grad else q.detach().requires_grad_()
        (product,) = torch.autograd.grad(slope(t, at), at, p, create_graph=track)
    return product
