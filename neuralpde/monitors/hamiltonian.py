"""The energy of a second-order system: kinetic, potential, and their sum, which undamped dynamics keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from solvers import LinearOperator, VectorField, rebind, tensors, unknown

from ..graph import Graph
from .base import Observable, Reading
from .conserved import node_mass
from .differences import energy_density
from .features import as_real, node_features

Densities = Callable[[float, Tensor], tuple[Tensor, Tensor]]


@runtime_checkable
class Energetic(Protocol):
    """A field that knows its energy, as densities that add up to it over the nodes."""

    def energy(self, t: float, y: Tensor) -> tuple[Tensor, Tensor]:
        """Kinetic and potential energy of a state, each `[nodes]` or `[nodes, channels]`."""
        ...


@dataclass(frozen=True, eq=False)
class Hamiltonian(Observable):
    """The energy `H = T + V` of a state stack((q, p)); in float64, whatever the state's precision.

    Taken, in this order, from
    1. the field's own `energy(t, y) -> (kinetic, potential)`, densities per node (see `Energetic`);
    2. its `stiffness` K, for a linear force -K q: `T = 1/2 <p, M p>`, `V = 1/2 <q, M K q>`, with M the field's `mass`
       (else `graph.node["area"]`, else 1). M K must be symmetric; then dH/dt = -<p, M D p> for damping D;
    3. the graph alone, where there is no field: the wave equation q'' = -(D - A) q, `T = 1/2 |p|^2`, `V = 1/2 tr(q' L q)`.

    Leapfrog keeps it up to an oscillation of O(dt^2) and symplectic Euler up to O(dt), without drift; explicit Euler pumps
    it up, implicit Euler drains it. The equation's `read` is not used: H needs the whole state.

    Args:
        part: `"total"`, `"kinetic"` or `"potential"`.

    Raises:
        UnknownName: for another part.
        TypeError: from `on`, if the field offers neither an energy nor a stiffness.

    Reference: Hairer, Lubich & Wanner (2006), Geometric numerical integration, chapter IX; Rusch et al. (2022),
        Graph-coupled oscillator networks.
    """

    part: str = "total"

    def __post_init__(self) -> None:
        if self.part not in ("total", "kinetic", "potential"):
            raise unknown("part", self.part, ("total", "kinetic", "potential"))

    @property
    def name(self) -> str:
        return "Hamiltonian" if self.part == "total" else f"{self.part} energy"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        densities = _densities(graph, field)

        def hamiltonian(t: float, y: Tensor) -> Tensor:
            kinetic, potential = densities(t, y)
            total = graph.space.total
            if self.part == "total":
                return total(kinetic) + total(potential)
            return total(kinetic if self.part == "kinetic" else potential)

        return hamiltonian

    @classmethod
    def example(cls) -> tuple[Hamiltonian, Graph, Tensor]:
        """An instance, a graph and a state stack((q, p)): H = (1 + 4) / 2 + 2^2 / 2 = 4.5 on the path of three nodes."""
        q, p = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.0], [2.0], [0.0]])
        return cls(), Graph.path(3), torch.stack([q, p]).double()


def _densities(graph: Graph, field: VectorField | None) -> Densities:
    if isinstance(field, Energetic):
        return lambda t, y: _float64(*field.energy(t, y))
    stiffness = getattr(field, "stiffness", None)
    if field is None:
        return _wave(graph)
    if isinstance(stiffness, LinearOperator):
        return _quadratic(graph, stiffness, node_mass(graph, field))
    raise TypeError(
        f"Hamiltonian needs a field with energy(t, y) -> (kinetic, potential) per node, or with `stiffness` (a "
        f"LinearOperator K, force -K q); {type(field).__name__} has neither. Offer one, or watch Norm and DirichletEnergy."
    )


def _wave(graph: Graph) -> Densities:
    def densities(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
        q, p = (as_real(node_features(graph, part, None)) for part in _pair(y))
        return p * p / 2, energy_density(graph, q) / 2

    return densities


def _quadratic(graph: Graph, stiffness: LinearOperator, mass: Tensor | None) -> Densities:
    single = [x for x in tensors(stiffness) if x.is_floating_point() and x.dtype != torch.float64]
    stiffness = rebind(stiffness, single, [x.double() for x in single])
    weight = 0.5 if mass is None else mass.unsqueeze(1) / 2

    def densities(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
        q, p = (node_features(graph, part, None) for part in _pair(y))
        return weight * (p.conj() * p).real, weight * (q.conj() * stiffness.matvec(q)).real

    return densities


def _pair(y: Tensor) -> tuple[Tensor, Tensor]:
    if y.dim() < 2 or y.shape[0] != 2:
        raise ValueError(f"the state has shape {tuple(y.shape)}; expected stack((q, p)), (2, nodes, channels)")
    return y[0], y[1]


def _float64(kinetic: Tensor, potential: Tensor) -> tuple[Tensor, Tensor]:
    return kinetic.to(torch.float64), potential.to(torch.float64)
