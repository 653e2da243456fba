"""The power that damping takes out of a second-order system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading
from .features import node_features
from .hamiltonian import energy_mass, halves, velocity_of


@dataclass(frozen=True, eq=False)
class DissipatedPower(Observable):
    """The rate at which damping D takes energy: `P = <p, M D p>` of a state stack((q, p)), dH/dt = -P (M as in `Hamiltonian`).

    The work dissipated so far is its integral, `monitor.integral()`: H(0) - H(t) is equal to it for exact solutions, and
    what is missing is what the time stepping itself adds or takes.

    Args:
        damping: D, a rate per time, a number or `[nodes, 1]`; None takes the field's `damping`.

    Raises:
        TypeError: from `on`, if neither is given.

    Reference: Hairer, Lubich & Wanner (2006), Geometric numerical integration, chapter IX; Rusch et al. (2022),
        Graph-coupled oscillator networks.
    """

    damping: Tensor | float | None = None
    whole_state: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return "dissipated power"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        damping = getattr(field, "damping", None) if self.damping is None else self.damping
        if damping is None:
            raise TypeError(
                f"no damping: {type(field).__name__ if field is not None else 'no field'} has none. Give "
                "DissipatedPower(damping=...), or a field with `damping`."
            )
        velocity, mass = velocity_of(field), energy_mass(graph, field)
        weight = 1.0 if mass is None else mass.unsqueeze(1)

        def power(t: float, y: Tensor) -> Tensor:
            p = node_features(graph, halves(y)[1], None)
            rate = torch.as_tensor(damping, dtype=torch.float64, device=p.device)
            return graph.space.total(weight * (velocity(t, p).conj() * rate * p).real)

        return power

    @classmethod
    def example(cls) -> tuple[DissipatedPower, Graph, Tensor]:
        """An instance, a graph and a state stack((q, p)): 0.5 (1 + 4)."""
        q, p = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[1.0], [2.0], [0.0]])
        return cls(0.5), Graph.path(3), torch.stack([q, p]).double()
