"""GraphCON on many graphs: MNIST superpixels (classes), ZINC-12k (a number), PPI (labels of nodes), as its scripts train them.

What is the released code's is taken from it (T. K. Rusch et al. 2022, Superpixels and ZINC); it has no PPI, and no GAT on ZINC:
these settings are ours. Dropout acts on X(0) and Y(0), once for a solve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor, nn

from neuralpde import FitConfig, Graph, GraphCON, NodeClassifier
from neuralpde.models import Encoder, PDEBlock, PDEModel
from neuralpde.training import Plateau, seeded


class NodeSum(PDEModel):
    """`y = sum over the nodes i of (W u_i(t) + b)`, `u(0) = V x + c`: the readout of GraphCON's scripts for graphs.

    Args:
        in_channels: features per node.
        outputs: classes, or numbers.
        pde: the equation.
        t: how long it runs, in symplectic Euler steps of 1.
    """

    def __init__(self, in_channels: int, outputs: int, pde: GraphCON, t: float):
        super().__init__(in_channels, pde, t, "symplectic_euler", pde.channels or 1, {"dt": 1.0})
        self.outputs = outputs
        self.encoder = Encoder(in_channels, self.channels)
        self.block = PDEBlock(pde, t, "symplectic_euler", dt=1.0)
        self.decoder = nn.Linear(self.channels, outputs)

    def encode(self, graph: Graph, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, graph: Graph, u: Tensor) -> Tensor:
        return graph.space.pool(self.decoder(u))


@dataclass(frozen=True)
class GraphRecipe:
    """GraphCON with shared weights, `layers` steps of 1.

    Args:
        coupling: "gcn" or "gat".
        alpha, gamma: damping and restoring force.
        layers: steps.
        hidden: width.
        residual: as `GraphCON` takes it.
        dropout: of X(0) and Y(0).
        nodes: whether every node has labels; else every graph has a class or a number.
        config: of the fit.
        ours: whether the numbers are ours, and not the released code's.
    """

    coupling: Literal["gcn", "gat"]
    alpha: float
    gamma: float
    layers: int
    hidden: int
    residual: Literal["v2", "skip"] | None
    dropout: float = 0.0
    nodes: bool = False
    config: FitConfig = field(default_factory=FitConfig)
    ours: bool = False

    @property
    def transform(self) -> None:
        return None

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        """A fresh model, its weights drawn with `seed`."""
        with seeded(seed):
            kind, alpha, gamma = self.coupling, self.alpha, self.gamma
            pde = GraphCON(self.hidden, kind, alpha, gamma, residual=self.residual, dropout=self.dropout)
            if not self.nodes:
                return NodeSum(in_channels, num_classes, pde, float(self.layers))
            t, method = float(self.layers), "symplectic_euler"
            return NodeClassifier(in_channels, num_classes, pde, t, method, input_dropout=0.0, dt=1.0)


_MNIST = FitConfig(epochs=500, weight_decay=0.0, batch_size=32, plateau=Plateau(0.5, 10, stop_below=1e-5))
_ZINC = FitConfig(
    epochs=3000, lr=0.00159, weight_decay=0.0, batch_size=128, objective="mae", plateau=Plateau(0.5, 20, after=1000)
)
_PPI = FitConfig(epochs=500, lr=0.005, weight_decay=0.0, batch_size=2, objective="labels", plateau=Plateau(0.5, 20))

GRAPH_RECIPES: Mapping[tuple[str, str], GraphRecipe] = {
    ("GraphCON-GCN", "mnist-superpixels"): GraphRecipe(
        "gcn", 1.396, 0.841, 10, 256, "skip", 0.014, config=replace(_MNIST, lr=0.00116)
    ),
    ("GraphCON-GAT", "mnist-superpixels"): GraphRecipe(
        "gat", 0.972, 0.348, 14, 256, "skip", 0.04, config=replace(_MNIST, lr=0.00028)
    ),
    ("GraphCON-GCN", "zinc"): GraphRecipe("gcn", 0.215, 1.115, 22, 220, "v2", config=_ZINC),
    ("GraphCON-GAT", "zinc"): GraphRecipe("gat", 0.215, 1.115, 22, 220, "v2", config=_ZINC, ours=True),
    ("GraphCON-GCN", "ppi"): GraphRecipe("gcn", 0.5, 1.0, 5, 512, "skip", nodes=True, config=_PPI, ours=True),
    ("GraphCON-GAT", "ppi"): GraphRecipe("gat", 0.5, 1.0, 5, 512, "skip", nodes=True, config=_PPI, ours=True),
}
"""By the paper's name of the model, and the data set."""


def quick(recipe: GraphRecipe) -> GraphRecipe:
    """The same, small, for two epochs."""
    return replace(recipe, hidden=8, layers=3, config=replace(recipe.config, epochs=2, batch_size=4))
