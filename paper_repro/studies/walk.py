"""The linear equation of GRAND's study of solvers: the constant operator, with self-loops of a weight of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from neuralpde import FitConfig, Graph, GraphPDE, NodeClassifier, Transform
from neuralpde.operators import Laplacian
from neuralpde.training import seeded
from solvers import LinearFlow

TIME, LOOP = 12.1, 0.555


@dataclass(frozen=True)
class Looped(Transform):
    """The graph with a self-loop of weight w at every node, and edges of weight 1.

    Args:
        weight: w.
    """

    weight: float = LOOP

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes", "undirected"})

    def apply(self, graph: Graph) -> Graph:
        nodes = torch.arange(graph.num_nodes)
        edges = torch.cat([graph.edge_index, torch.stack([nodes, nodes])], 1)
        weight = torch.cat([torch.ones(graph.num_edges), torch.full((graph.num_nodes,), self.weight)])
        return Graph.from_edges(edges, weight, graph.num_nodes).with_node(**graph.node)


class Walk(GraphPDE):
    """`u' = sigmoid(a) (A - I) u`, A the random walk `D^-1 W` of the graph (rows sum to one); a is learned, 0 at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha_raw = nn.Parameter(torch.zeros(()))

    def on(self, graph: Graph, u0: Tensor) -> LinearFlow:
        return LinearFlow(Laplacian(graph, "rw", dtype=u0.dtype).generator(torch.sigmoid(self.alpha_raw)))


@dataclass(frozen=True)
class Solved:
    """A classifier around this equation, as it was set in that study, with its solver.

    The augmentation of that study is left out: without mixing of channels, channels that start at zero stay there.

    Args:
        method: an `Integrator`, or the name of one.
        dt: its step; None for one that chooses its own.
        rtol, atol: of the solve.
        hidden: width.
        config: the fit.
        transform: the self-loops.
    """

    method: Any
    dt: float | None
    rtol: float = 1e-5
    atol: float = 1e-4
    hidden: int = 16
    config: FitConfig = field(default_factory=lambda: FitConfig(epochs=30, lr=0.0047, weight_decay=5e-4, optimizer="rmsprop"))
    transform: Transform | None = field(default_factory=Looped)

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        with seeded(seed):
            return NodeClassifier(
                in_channels,
                num_classes,
                Walk(),
                TIME,
                self.method,
                hidden=self.hidden,
                input_dropout=0.5,
                dropout=0.5,
                dt=self.dt,
                rtol=self.rtol,
                atol=self.atol,
                stability_check=False,  # methods beyond their limit are what is looked at
            )
