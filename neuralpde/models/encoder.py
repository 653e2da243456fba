"""From given features to those that an equation acts on, and from these to class scores."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from solvers import spmm

from ..pdes.activation import activation_named
from .sparse_features import nonzeros


class Encoder(nn.Module):
    """`u0 = sigma(W drop(x) + b)`; sigma is the identity, as in GRAND, unless asked for.

    Features that are mostly zero (bags of words) are multiplied as a sparse matrix and dropout is drawn for their nonzero
    entries only: the same distribution, since a zero stays zero (Cora: 0.8 ms instead of 50 forward and back).

    Args:
        in_channels: width of x.
        channels: width of u0.
        dropout: probability that an entry of x is dropped in training; the others grow by 1 / (1 - dropout).
        activation: sigma by name, "relu" in GraphCON's runs on heterophilic graphs; None for the identity.
        bias: add b.

    Reference: Chamberlain et al. (2021), GRAND: graph neural diffusion, section 4.
    """

    def __init__(self, in_channels: int, channels: int, dropout: float = 0.0, activation: str | None = None, bias: bool = True):
        super().__init__()
        self.activation, self._sigma = activation, activation_named(activation)
        self.in_channels, self.channels, self.dropout = in_channels, channels, probability(dropout)
        self.linear = nn.Linear(in_channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[nodes, in_channels] -> [nodes, channels]`."""
        if x.size(-1) != self.in_channels:
            raise ValueError(f"x has {x.size(-1)} features; this model was made for {self.in_channels}")
        u = self._affine(x)
        return u if self._sigma is None else self._sigma(u)

    def _affine(self, x: Tensor) -> Tensor:
        found = nonzeros(x)
        if found is None:
            return self.linear(F.dropout(x, self.dropout, self.training))
        values = F.dropout(found.values, self.dropout, self.training)
        u = spmm(found.pattern, values, self.linear.weight.t())
        return u if self.linear.bias is None else u + self.linear.bias


def drop_into(conv: nn.Module, dropout: float) -> None:
    """Let a PyG convolution of given features drop them itself, inside of its linear map `conv.lin`.

    The same distribution as dropout before it; on bags of words the zeros then cost nothing (GCN on CiteSeer: 240 ms an epoch
    before).

    Args:
        conv: `GCNConv`, or `GATConv` of one width in; its map has no bias.
        dropout: probability that an entry is dropped in training.
    """
    given = conv.lin
    inside = Encoder(given.in_channels, given.out_channels, dropout, bias=False)  # type: ignore[union-attr, arg-type]
    inside.linear.weight.data.copy_(given.weight.data)  # type: ignore[union-attr, arg-type]
    conv.lin = inside


class Decoder(nn.Module):
    """`scores = W drop(relu(u)) + b`, as in GRAND.

    Args:
        channels: width of u.
        num_classes: width of the scores.
        dropout: probability that an entry of relu(u) is dropped in training.
    """

    def __init__(self, channels: int, num_classes: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = probability(dropout)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, u: Tensor) -> Tensor:
        """`[..., channels] -> [..., num_classes]`."""
        return self.linear(F.dropout(u.relu(), self.dropout, self.training))


def probability(p: float) -> float:
    """`p` itself, if it is a probability of dropping below 1."""
    if not 0 <= p < 1:
        raise ValueError(f"dropout = {p}; expected 0 <= dropout < 1")
    return float(p)
