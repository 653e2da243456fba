"""Classes of nodes: encoder, equation, decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from torch import Tensor, nn

from solvers import Integrator, SolveOptions, Stats

from ..graph import Graph
from ..monitors.base import Monitor
from ..pdes.base import GraphPDE
from .block import PDEBlock
from .encoder import Decoder, Encoder
from .inputs import read_inputs

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A model seen at several times of its equation, from one solve.

    Args:
        t: the times, `[times]`.
        logits: class scores that the decoder gives there, `[times, nodes or graphs, classes]`.
        features: what the equation had made of the nodes, `[times, nodes, channels]`.
        stats: what the solve cost.
    """

    t: Tensor
    logits: Tensor
    features: Tensor
    stats: Stats


class NodeClassifier(nn.Module):
    """`y = psi(u(t))`, `du/dt = F(u)`, `u(0) = phi(x)`: a class for every node.

    Args:
        in_channels: features per node.
        num_classes: classes.
        pde: the equation.
        t: how long it runs.
        method: name of an integrator, or an `Integrator`.
        hidden: width of u, for an equation that takes any; an equation of fixed width decides itself.
        input_dropout: share of the features dropped before the encoder, in training.
        dropout: share of the features dropped before the decoder, in training.
        **options: those of `solvers.solve`, as for `PDEBlock`.

    Reference: Chamberlain et al. (2021), GRAND: graph neural diffusion, section 4.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        pde: GraphPDE,
        t: float = 3.0,
        method: str | Integrator = "dopri5",
        *,
        hidden: int = 64,
        input_dropout: float = 0.5,
        dropout: float = 0.0,
        **options: Unpack[SolveOptions],
    ):
        super().__init__()
        self.in_channels, self.num_classes, self.hidden = in_channels, num_classes, hidden
        self.t, self.method, self.options = t, method, options
        self.input_dropout, self.dropout = input_dropout, dropout
        channels = hidden if pde.channels is None else pde.channels
        self.encoder = Encoder(in_channels, channels, input_dropout)
        self.block = PDEBlock(pde, t, method, **options)
        self.decoder = Decoder(channels, num_classes, dropout)

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
        """Class scores `[nodes, num_classes]`; call with a `Graph` or `Data`, or as PyG's layers are called."""
        graph, features = read_inputs(x, edge_index, edge_weight, batch)
        return self.decoder(self.block(self.encoder(features), graph))

    def at(self, data: Graph | Data, times: Sequence[float] | Tensor | float, monitors: Sequence[Monitor] = ()) -> Trajectory:
        """Class scores and features at several times, from one solve.

        Args:
            data: a `Graph` or `Data` with features `x`.
            times: increasing, the first is the initial time (0); they may go beyond the model's own t.
            monitors: recorders, filled by the solve.
        """
        graph, features = read_inputs(data)
        run = self.block.simulate(graph, self.encoder(features), times, monitors=monitors)
        return Trajectory(run.t, self.decoder(run.u), run.u, run.stats)
