"""What every equation on a graph is: parameters here, the graph arrives with `on`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from solvers import VectorField

from ..graph import Graph
from .arguments import remembering


class GraphPDE(nn.Module, ABC):
    """An equation du/dt = F(u) on the nodes of a graph.

    `pde.on(graph, u0)` reads as the maths does ("diffusion on this graph"). It is the only place where a graph meets
    parameters: what is frozen for one solve (attention at t = 0, a mask drawn by node) is computed there and held by the
    returned field, a frozen dataclass.

    An equation may declare what it keeps; `check` and the monitors then hold it to that: `conserved(graph)` returns masses
    m, `[nodes]`, with `sum_i m_i u_i` constant; `energy_law` is "constant" or "decreasing", for the `energy(t, y, space)`
    of its field, `[graphs]`.
    """

    channels: int | None = None  # width of u that the equation requires, None for any

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = remembering(cls.__init__)  # what a checkpoint rebuilds the equation with

    @abstractmethod
    def on(self, graph: Graph, u0: Tensor) -> VectorField:
        """The vector field of this equation on a graph.

        Args:
            graph: where the equation lives.
            u0: initial node features, `[nodes, channels]`.
        """

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        """The initial state of the solver from node features; a second-order equation returns `stack((q, p))`."""
        return u0

    def read(self, y: Tensor) -> Tensor:
        """Node features `[..., nodes, channels]` from a state (or a stack of states)."""
        return y
