"""Classes of nodes: encoder, equation, decoder."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from solvers import Integrator, SolveOptions

from ..graph import Graph
from ..pdes.base import GraphPDE
from .base import PDEModel
from .block import PDEBlock
from .encoder import Decoder, Encoder


class NodeClassifier(PDEModel):
    """`y = psi(u(t))`, `du/dt = F(u)`, `u(0) = phi(x)`: a class for every node.

    Class scores `[nodes, num_classes]`; `at(data, times)` gives them at every time.

    Args:
        in_channels: features per node.
        num_classes: classes.
        pde: the equation.
        t: how long it runs.
        method: name of an integrator, or an `Integrator`.
        hidden: width of u, for an equation that takes any; an equation of fixed width decides itself.
        input_dropout: share of the features dropped before the encoder, in training.
        dropout: share of the features dropped before the decoder, in training.
        encoder_activation: of the encoder, by name; None for none.
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
        encoder_activation: str | None = None,
        **options: Unpack[SolveOptions],
    ):
        super().__init__(in_channels, pde, t, method, hidden, options)
        self.num_classes, self.input_dropout, self.dropout = num_classes, input_dropout, dropout
        self.encoder_activation = encoder_activation
        self.encoder = Encoder(in_channels, self.channels, input_dropout, encoder_activation)
        self.block = PDEBlock(pde, t, method, **options)
        self.decoder = Decoder(self.channels, num_classes, dropout)

    def encode(self, graph: Graph, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, graph: Graph, u: Tensor) -> Tensor:
        return self.decoder(u)
