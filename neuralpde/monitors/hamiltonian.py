"""The energy of a second-order system: kinetic, potential, and their sum, which undamped dynamics keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from solvers import LinearOperator, Space, VectorField, is_opaque, rebind, tensors, unknown

from ..graph import Graph
from .base import Observable, Reading
from .conserved import node_mass
from .differences import edge_energy
from .features import as_real, node_features

T = TypeVar("T")
Parts = Callable[[float, Tensor], tuple[Tensor, Tensor]]  # kinetic and potential energy, each [graphs]


@runtime_checkable
class Energetic(Protocol):
    """A field that knows its energy, of a state stack((q, p)) with kinetic energy 1/2 <p, velocity(t, p)>."""

    def velocity(self, t: Tensor, p: Tensor) -> Tensor: ...
    def energy(self, t: Tensor, y: Tensor, space: Space) -> Tensor:
        """H of a state, `[graphs]`."""
        ...


@dataclass(frozen=True, eq=False)
class Hamiltonian(Observable):
    """The energy `H = T + V` of a state stack((q, p)); in float64, whatever the state's precision.

    Taken, in this order, from
    1. the field's `stiffness` K, for a linear force -K q: `T = 1/2 <p, M p>`, `V = 1/2 <q, M K q>`, with M K symmetric: M is
       the field's `mass` if it has one, else 1 if K is symmetric, else `graph.node["area"]`. dH/dt = -<p, M D p> for damping D;
    2. its own `energy(t, y, space)`, see `Energetic`: `T = 1/2 <p, velocity(p)>`, `V = H - T`;
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
    whole_state: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.part not in ("total", "kinetic", "potential"):
            raise unknown("part", self.part, ("total", "kinetic", "potential"))

    @property
    def name(self) -> str:
        return "Hamiltonian" if self.part == "total" else f"{self.part} energy"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        parts = _parts(graph, field)

        def hamiltonian(t: float, y: Tensor) -> Tensor:
            kinetic, potential = parts(t, y)
            return {"total": kinetic + potential, "kinetic": kinetic, "potential": potential}[self.part]

        return hamiltonian

    @classmethod
    def example(cls) -> tuple[Hamiltonian, Graph, Tensor]:
        """An instance, a graph and a state stack((q, p)): H = (1 + 4) / 2 + 2^2 / 2 = 4.5 on the path of three nodes."""
        q, p = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.0], [2.0], [0.0]])
        return cls(), Graph.path(3), torch.stack([q, p]).double()


def _parts(graph: Graph, field: VectorField | None) -> Parts:
    if field is None:
        return _wave(graph)
    stiffness = getattr(field, "stiffness", None)
    if isinstance(stiffness, LinearOperator):
        return _quadratic(graph, stiffness, energy_mass(graph, field))
    if isinstance(field, Energetic):
        return _asked(graph, field)
    raise TypeError(
        f"Hamiltonian needs a field with `stiffness` (a LinearOperator K, force -K q), or with velocity(t, p) and "
        f"energy(t, y, space); {type(field).__name__} has neither. Offer one, or watch Norm and DirichletEnergy."
    )


def energy_mass(graph: Graph, field: VectorField | None) -> Tensor | None:
    """M of a linear force -K q, `[nodes]` float64, None for ones: the field's, or the areas where K is not symmetric."""
    stiffness = getattr(field, "stiffness", None)
    if not isinstance(stiffness, LinearOperator):
        return None
    given = getattr(field, "mass", None) is not None
    return node_mass(graph, field) if given or not stiffness.symmetric else None


def velocity_of(field: VectorField | None) -> Callable[[float, Tensor], Tensor]:
    """q' of momenta in float64, where the field says what it is (linear in p); p itself for a field with `stiffness`."""
    if not hasattr(field, "velocity") or isinstance(getattr(field, "stiffness", None), LinearOperator):
        return lambda t, p: p
    velocity = in_float64(field).velocity  # type: ignore[union-attr]
    return lambda t, p: velocity(torch.full((), t, dtype=p.real.dtype, device=p.device), p)


def _wave(graph: Graph) -> Parts:
    potential = edge_energy(graph)

    def parts(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
        q, p = (as_real(node_features(graph, half, None)) for half in halves(y))
        return graph.space.total(p * p) / 2, potential(q) / 2

    return parts


def _quadratic(graph: Graph, stiffness: LinearOperator, mass: Tensor | None) -> Parts:
    stiffness = in_float64(stiffness)
    weight = 0.5 if mass is None else mass.unsqueeze(1) / 2

    def parts(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
        q, p = (node_features(graph, half, None) for half in halves(y))
        total = graph.space.total
        return total(weight * (p.conj() * p).real), total(weight * (q.conj() * stiffness.matvec(q)).real)

    return parts


def _asked(graph: Graph, field: Energetic) -> Parts:
    opaque = is_opaque(field)  # its tensors cannot be seen, so it stays in its own precision
    exact = field if opaque else in_float64(field)

    def parts(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
        y = y if opaque or y.is_complex() else y.double()
        time = torch.full((), t, dtype=y.real.dtype, device=y.device)
        p = halves(y)[1]
        kinetic = graph.space.dot([(p, exact.velocity(time, p))])[0].real / 2
        return kinetic, exact.energy(time, y, graph.space).real - kinetic

    return parts


def in_float64(held: T) -> T:
    """A copy that holds its real tensors in float64: q'Kq of a smooth float32 state cancels to noise."""
    single = [x for x in tensors(held) if x.is_floating_point() and x.dtype != torch.float64]
    return rebind(held, single, [x.double() for x in single])


def halves(y: Tensor) -> tuple[Tensor, Tensor]:
    """Positions and momenta of a state stack((q, p))."""
    if y.dim() < 2 or y.shape[0] != 2:
        raise ValueError(f"the state has shape {tuple(y.shape)}; expected stack((q, p)), (2, nodes, channels)")
    return y[0], y[1]
