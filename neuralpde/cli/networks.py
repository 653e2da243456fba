"""Networks of PyG's by name and depth, all layers of one width: what `neuralpde diagnose --model` looks at."""

from __future__ import annotations

from torch import Tensor, nn

from solvers import unknown

NETWORKS = ("gcn", "gat", "sage", "gin", "gcnii")


def network_named(name: str, width: int, layers: int) -> nn.Module:
    """An untrained network, `model(x, edge_index)`, of so many convolutions.

    Raises:
        UnknownName: for another name.
        ValueError: fewer than one layer.
    """
    from torch_geometric import nn as pyg

    if layers < 1:
        raise ValueError(f"layers = {layers}; expected at least 1")
    if name.lower() == "gcnii":
        return GCNII(width, layers)
    known = {"gcn": pyg.GCN, "gat": pyg.GAT, "sage": pyg.GraphSAGE, "gin": pyg.GIN}
    if name.lower() not in known:
        raise unknown("model", name, NETWORKS)
    return known[name.lower()](width, width, layers)


class GCNII(nn.Module):
    """GCNII: `x <- relu(((1 - a) A x + a x_0)((1 - b_l) + b_l W_l))`, a = 0.1, `b_l = log(0.5 / l + 1)`.

    Reference: Chen et al. (2020), Simple and deep graph convolutional networks.
    """

    def __init__(self, width: int, layers: int):
        super().__init__()
        from torch_geometric.nn import GCN2Conv

        self.convs = nn.ModuleList(GCN2Conv(width, alpha=0.1, theta=0.5, layer=i + 1) for i in range(layers))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        start = x
        for conv in self.convs:
            x = conv(x, start, edge_index).relu()
        return x
