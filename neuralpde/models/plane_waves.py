"""Positions of nodes as phases of plane waves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..graph import Graph


class PlaneWaves(nn.Module):
    """`cos(Omega r_i + phase)`, `[nodes, channels]`, with learnable wave vectors; r_i is the position of node i, centred and
    scaled to unit rms in each graph.

    Args:
        pos_channels: axes of r.
        channels: number of waves.
        spread: standard deviation of the wave vectors at the start, radians per unit of r.

    Reference: Rahimi, Recht (2007), Random features for large-scale kernel machines.
    """

    def __init__(self, pos_channels: int, channels: int, spread: float = 1.5):
        super().__init__()
        self.pos_channels = pos_channels
        self.linear = nn.Linear(pos_channels, channels)
        nn.init.normal_(self.linear.weight, std=spread)
        nn.init.uniform_(self.linear.bias, -torch.pi, torch.pi)

    def forward(self, graph: Graph) -> Tensor:
        """The waves at the nodes.

        Raises:
            ValueError: the graph has no positions, or of another number of axes.
        """
        if graph.pos is None or graph.pos.size(1) != self.pos_channels:
            got = "no pos" if graph.pos is None else f"pos of {graph.pos.size(1)} axes"
            raise ValueError(f"{graph} has {got}; this model was made for pos_channels={self.pos_channels}")
        centre = node_mean(graph, graph.pos)
        centred = graph.pos - (centre if graph.batch is None else centre[graph.batch])
        scale = graph.space.rms(centred)
        r = centred / graph.space.spread(scale.clamp_min(torch.finfo(scale.dtype).tiny), centred)
        return self.linear(r.to(self.linear.weight.dtype)).cos()


def node_mean(graph: Graph, u: Tensor) -> Tensor:
    """The mean over each graph's nodes, `[..., nodes, channels] -> [..., graphs, channels]`."""
    count = graph.space.pool(u.new_ones(graph.num_nodes, 1))
    return graph.space.pool(u) / count.clamp_min(1)
