"""Classes of whole graphs, and numbers: encoder, equation, a mean or sum over the nodes, decoder."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn

from solvers import Integrator, SolveOptions, unknown

from ..graph import Graph
from ..pdes.base import GraphPDE
from .base import PDEModel
from .block import PDEBlock
from .encoder import Decoder, Encoder
from .plane_waves import PlaneWaves, node_mean


class GraphClassifier(PDEModel):
    """`y = psi(mean over i of relu(M u_i(t)))`, `du/dt = F(u)`: a class for every graph.

    `u_i(0) = (W x_i + b) * cos(Omega r_i + phase)`: each channel of the features rides on a plane wave over the nodes'
    positions r_i (centred, and scaled to unit rms in each graph), with learnable wave vectors. Without positions an equation
    with equal weights at all nodes cannot tell a picture from its shuffled pixels.

    Class scores `[graphs, num_classes]`; `at(data, times)` gives them at every time.

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
        super().__init__(in_channels, pde, t, method, hidden, options)
        self.num_classes, self.pos_channels, self.dropout = num_classes, pos_channels, dropout
        self.encoder = Encoder(in_channels, self.channels)
        self.waves = PlaneWaves(pos_channels, self.channels) if pos_channels else None
        self.block = PDEBlock(pde, t, method, **options)
        self.mix = nn.Linear(self.channels, self.channels)
        self.decoder = Decoder(self.channels, num_classes, dropout)

    def encode(self, graph: Graph, x: Tensor) -> Tensor:
        return _on_waves(self.encoder(x), self.waves, graph)

    def decode(self, graph: Graph, u: Tensor) -> Tensor:
        return self.decoder(node_mean(graph, self.mix(u).relu()))


class GraphRegressor(PDEModel):
    """`y = psi(pool over i of relu(M u_i(t)))`, `du/dt = F(u)`: numbers for every graph, `[graphs, num_targets]`.

    Encoder as in `GraphClassifier`. A sum over the nodes is for quantities that add up (an energy: of two graphs side by
    side it is the sum, but for the decoder's offset), a mean for those that do not (a temperature). `fit` with
    `FitConfig(objective="mae")` or "mse" learns them.

    Args:
        in_channels: features per node.
        num_targets: numbers per graph.
        pde: the equation.
        t: how long it runs.
        method: name of an integrator, or an `Integrator`.
        hidden: width of u, for an equation that takes any; an equation of fixed width decides itself.
        pos_channels: axes of `graph.pos` that are given to the encoder beside the features; 0 for none.
        pool: "mean" or "sum" over the nodes of each graph.
        dropout: share of the pooled features dropped before the decoder, in training.
        **options: those of `solvers.solve`, as for `PDEBlock`.

    Reference: Gilmer et al. (2017), Neural message passing for quantum chemistry, section 5 (readout).
    """

    def __init__(
        self,
        in_channels: int,
        num_targets: int,
        pde: GraphPDE,
        t: float = 1.0,
        method: str | Integrator = "dopri5",
        *,
        hidden: int = 64,
        pos_channels: int = 0,
        pool: str = "mean",
        dropout: float = 0.0,
        **options: Unpack[SolveOptions],
    ):
        if pool not in ("mean", "sum"):
            raise unknown("pool", pool, ("mean", "sum"))
        super().__init__(in_channels, pde, t, method, hidden, options)
        self.num_targets, self.pos_channels, self.pool, self.dropout = num_targets, pos_channels, pool, dropout
        self.encoder = Encoder(in_channels, self.channels)
        self.waves = PlaneWaves(pos_channels, self.channels) if pos_channels else None
        self.block = PDEBlock(pde, t, method, **options)
        self.mix = nn.Linear(self.channels, self.channels)
        self.decoder = Decoder(self.channels, num_targets, dropout)

    def encode(self, graph: Graph, x: Tensor) -> Tensor:
        return _on_waves(self.encoder(x), self.waves, graph)

    def decode(self, graph: Graph, u: Tensor) -> Tensor:
        v = self.mix(u).relu()
        return self.decoder(node_mean(graph, v) if self.pool == "mean" else graph.space.pool(v))


def _on_waves(u: Tensor, waves: PlaneWaves | None, graph: Graph) -> Tensor:
    return u if waves is None else u * waves(graph).to(u.dtype)
