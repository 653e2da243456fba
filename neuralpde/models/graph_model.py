"""Classes of whole graphs: encoder, equation, mean over the nodes, decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor, nn

from solvers import Integrator, SolveOptions

from ..graph import Graph
from ..monitors.base import Monitor
from ..pdes.base import GraphPDE
from .block import PDEBlock
from .encoder import Decoder, Encoder
from .inputs import read_inputs
from .node_classifier import Trajectory

if TYPE_CHECKING:
    from torch_geometric.data import Data


class GraphClassifier(nn.Module):
    """`y = psi(mean over i of relu(M u_i(t)))`, `du/dt = F(u)`: a class for every graph.

    `u_i(0) = (W x_i + b) * cos(Omega r_i + phase)`: each channel of the features rides on a plane wave over the nodes'
    positions r_i (centred, and scaled to unit rms in each graph), with learnable wave vectors. Without positions an equation
    with equal weights at all nodes cannot tell a picture from its shuffled pixels.

    Args:
        in_channels: features per node.
        num_classes: classes.
        pde: the equation.
        t: how long it runs.
        method: name of an integrator, or an `Integrator`.
        hidden: width of u, for an equation that takes any; an equation of fixed width decides itself.
        pos_channels: axes of `graph.pos` that are given to the encoder beside the features; 0 for none.
        dropout: share of the pooled features dropped before the decoder, in training.
        **options: those of `solvers.solve`, as for `PDEBlock`.

    Reference: Rusch et al. (2022), Graph-coupled oscillator networks, section 5 (graphs of superpixels).
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        pde: GraphPDE,
        t: float = 1.0,
        method: str | Integrator = "dopri5",
        *,
        hidden: int = 64,
        pos_channels: int = 0,
        dropout: float = 0.0,
        **options: Unpack[SolveOptions],
    ):
        super().__init__()
        self.in_channels, self.num_classes, self.hidden = in_channels, num_classes, hidden
        self.t, self.method, self.options = t, method, options
        self.pos_channels, self.dropout = pos_channels, dropout
        channels = hidden if pde.channels is None else pde.channels
        self.encoder = Encoder(in_channels, channels)
        self.waves = PlaneWaves(pos_channels, channels) if pos_channels else None
        self.block = PDEBlock(pde, t, method, **options)
        self.mix = nn.Linear(channels, channels)
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
        """Class scores `[graphs, num_classes]`; call with a `Graph` or `Data`, or as PyG's layers are called."""
        graph, features = read_inputs(x, edge_index, edge_weight, batch)
        return self._read(graph, self.block(self._encode(graph, features), graph))

    def at(self, data: Graph | Data, times: Sequence[float] | Tensor | float, monitors: Sequence[Monitor] = ()) -> Trajectory:
        """Class scores `[times, graphs, classes]` and features at several times, from one solve.

        Args:
            data: a `Graph` or `Data` with features `x`.
            times: increasing, the first is the initial time (0); they may go beyond the model's own t.
            monitors: recorders, filled by the solve.
        """
        graph, features = read_inputs(data)
        run = self.block.simulate(graph, self._encode(graph, features), times, monitors=monitors)
        return Trajectory(run.t, self._read(graph, run.u), run.u, run.stats)

    def _encode(self, graph: Graph, features: Tensor) -> Tensor:
        u = self.encoder(features)
        return u if self.waves is None else u * self.waves(self._positions(graph).to(u.dtype))

    def _positions(self, graph: Graph) -> Tensor:
        if graph.pos is None or graph.pos.size(1) != self.pos_channels:
            got = "no pos" if graph.pos is None else f"pos of {graph.pos.size(1)} axes"
            raise ValueError(f"{graph} has {got}; this model was made for pos_channels={self.pos_channels}")
        centre = node_mean(graph, graph.pos)
        centred = graph.pos - (centre if graph.batch is None else centre[graph.batch])
        scale = graph.space.rms(centred)
        return centred / graph.space.spread(scale.clamp_min(torch.finfo(scale.dtype).tiny), centred)

    def _read(self, graph: Graph, u: Tensor) -> Tensor:
        return self.decoder(node_mean(graph, self.mix(u).relu()))


class PlaneWaves(nn.Module):
    """`cos(Omega r + phase)`, `[nodes, pos_channels] -> [nodes, channels]`, with learnable wave vectors.

    Args:
        pos_channels: axes of r.
        channels: number of waves.
        spread: standard deviation of the wave vectors at the start, radians per unit of r.

    Reference: Rahimi, Recht (2007), Random features for large-scale kernel machines.
    """

    def __init__(self, pos_channels: int, channels: int, spread: float = 1.5):
        super().__init__()
        self.linear = nn.Linear(pos_channels, channels)
        nn.init.normal_(self.linear.weight, std=spread)
        nn.init.uniform_(self.linear.bias, -torch.pi, torch.pi)

    def forward(self, r: Tensor) -> Tensor:
        return self.linear(r).cos()


def node_mean(graph: Graph, u: Tensor) -> Tensor:
    """The mean over each graph's nodes, `[..., nodes, channels] -> [..., graphs, channels]`."""
    count = graph.space.pool(u.new_ones(graph.num_nodes, 1))
    return graph.space.pool(u) / count.clamp_min(1)
