"""What the models of an equation share: features become a state, the state flows, something is read from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from solvers import Integrator, SolveOptions, Stats

from ..graph import Graph
from ..monitors.base import Monitor
from ..monitors.energy import DirichletEnergy
from ..pdes.base import GraphPDE
from .block import PDEBlock
from .inputs import check_features, read_inputs

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A model seen at several times of its equation, from one solve.

    Args:
        t: the times, `[times]`.
        logits: what the decoder gives there, `[times, nodes or graphs, classes]` (class scores, or targets).
        features: what the equation had made of the nodes, `[times, nodes, channels]`.
        state: the whole state, momenta too: `[times, *state]`; for an equation of first order the features.
        energies: the Dirichlet energy of the features, `[times, graphs]` float64, each undirected edge counted once.
        stats: what the solve cost.
    """

    t: Tensor
    logits: Tensor
    features: Tensor
    state: Tensor
    energies: Tensor
    stats: Stats


class PDEModel(nn.Module, ABC):
    """`y = psi(u(t))`, `du/dt = F(u)`, `u(0) = phi(x)`: a subclass makes `block`, and says what phi and psi are.

    Args:
        in_channels: features per node.
        pde: the equation.
        t: how long it runs.
        method: name of an integrator, or an `Integrator`.
        hidden: width of u, for an equation that takes any; an equation of fixed width decides itself.
        options: those of `solvers.solve`, as for `PDEBlock`.
    """

    block: PDEBlock

    def __init__(self, in_channels: int, pde: GraphPDE, t: float, method: str | Integrator, hidden: int, options: SolveOptions):
        super().__init__()
        self.in_channels, self.hidden = in_channels, hidden
        self.t, self.method, self.options = t, method, options
        self.channels = hidden if pde.channels is None else pde.channels

    @abstractmethod
    def encode(self, graph: Graph, x: Tensor) -> Tensor:
        """`phi`: the initial state of the features x, `[nodes, in_channels] -> [nodes, channels]`."""

    @abstractmethod
    def decode(self, graph: Graph, u: Tensor) -> Tensor:
        """`psi`: what is read from the features u, `[..., nodes, channels] -> [..., nodes or graphs, outputs]`."""

    @property
    def pde(self) -> GraphPDE:
        return self.block.pde

    def forward(
        self,
        x: Tensor | Graph | Data,
        edge_index: Tensor | Graph | Data | None = None,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """What is read at time t, `[nodes or graphs, outputs]`; called with a `Graph` or `Data`, or as PyG's layers are."""
        graph, features = read_inputs(x, edge_index, edge_weight, batch)
        check_features(self, features)
        return self.decode(graph, self.block(self.encode(graph, features), graph))

    def at(self, data: Graph | Data, times: Sequence[float] | Tensor | float, monitors: Sequence[Monitor] = ()) -> Trajectory:
        """What is read, the state and its energy at several times, from one solve.

        Args:
            data: a `Graph` or `Data` with features `x`.
            times: increasing, the first is the initial time (0); they may go beyond the model's own t.
            monitors: recorders, filled by the solve.
        """
        graph, features = read_inputs(data)
        check_features(self, features)
        run = self.block.simulate(graph, self.encode(graph, features), times, monitors=monitors)
        energy = DirichletEnergy().on(graph)
        energies = torch.stack([energy(float(t), u) for t, u in zip(run.t, run.u, strict=True)])
        return Trajectory(run.t, self.decode(graph, run.u), run.u, run.solution.y, energies, run.stats)
