"""From given features to those that an equation acts on, and from these to class scores."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from solvers import spmm

from .sparse_features import nonzeros


class Encoder(nn.Module):
    """`u0 = W drop(x) + b`, no nonlinearity, as in GRAND.

    Features that are mostly zero (bags of words) are multiplied as a sparse matrix and dropout is drawn for their nonzero
    entries only: the same distribution, since a zero stays zero (Cora: 0.8 ms instead of 50 forward and back).

    Args:
        in_channels: width of x.
        channels: width of u0.
        dropout: probability that an entry of x is dropped in training; the others grow by 1 / (1 - dropout).

    Reference: Chamberlain et al. (2021), GRAND: graph neural diffusion, section 4.
    """

    def __init__(self, in_channels: int, channels: int, dropout: float = 0.0):
        super().__init__()
        self.in_channels, self.channels, self.dropout = in_channels, channels, probability(dropout)
        self.linear = nn.Linear(in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[nodes, in_channels] -> [nodes, channels]`."""
        if x.size(-1) != self.in_channels:
            raise ValueError(f"x has {x.size(-1)} features; this model was made for {self.in_channels}")
        found = nonzeros(x)
        if found is None:
            return self.linear(F.dropout(x, self.dropout, self.training))
        values = F.dropout(found.values, self.dropout, self.training)
        return spmm(found.pattern, values, self.linear.weight.t()) + self.linear.bias


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
