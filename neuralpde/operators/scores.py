"""Scores of attention: how much node i looks at node j, before scores become weights.

Every score here is a function of one inner product, `s = shape(c <f(q_i), g(k_j)>)`: edges need a number per head, and no
vector.

    ScaledDot    <q, k> / sqrt(d)
    Cosine       <q, k> / (|q| |k|)
    Pearson      the cosine of q - mean(q) and k - mean(k): the correlation of their entries
    ExpKernel    sigma^2 exp(-|q - k|^2 / (2 l^2))
    Additive     LeakyReLU(q + k), numbers q and k: GAT's LeakyReLU(a . (W x_i, W x_j)), a and W taken together

References: B. Chamberlain et al., GRAND: Graph Neural Diffusion (2021), eq. 10 and https://github.com/twitter-research/
graph-neural-pde for the others; P. Velickovic et al., Graph attention networks (2018), eq. 3.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from solvers import unknown

SHORT = 1e-5  # a vector shorter than that is divided by this length, as in the released code


@dataclass(frozen=True, eq=False)
class Score(ABC):
    """A score `shape(c <f(q), g(k)>)` of each head.

    Attributes:
        widths: the least and the largest width d of a head, or None for no limit, that make sense.
        plain: whether `shape` is the identity.
    """

    widths: ClassVar[tuple[int, int | None]] = (1, None)
    plain: ClassVar[bool] = True

    @abstractmethod
    def factors(self, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, float]:
        """f, g and c: vectors of the rows i and the columns j, `[N, H, d]`, as `[N, H, d']`, and the scale."""

    def shape(self, products: Tensor) -> Tensor:
        """Scores from the inner products, entry by entry."""
        return products


@dataclass(frozen=True, eq=False)
class ScaledDot(Score):
    """`<q, k> / sqrt(d)`."""

    def factors(self, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, float]:
        return rows, cols, 1 / math.sqrt(rows.shape[-1])


@dataclass(frozen=True, eq=False)
class Cosine(Score):
    """`<q, k> / (|q| |k|)`, lengths at least 1e-5."""

    widths: ClassVar[tuple[int, int | None]] = (2, None)  # of numbers, only the sign would be left

    def factors(self, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, float]:
        return _unit(rows), _unit(cols), 1.0


@dataclass(frozen=True, eq=False)
class Pearson(Score):
    """The cosine of `q - mean(q)` and `k - mean(k)`, means over the entries of a head."""

    widths: ClassVar[tuple[int, int | None]] = (3, None)  # of two entries, only the sign of their difference would be left

    def factors(self, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, float]:
        return _unit(rows - rows.mean(-1, keepdim=True)), _unit(cols - cols.mean(-1, keepdim=True)), 1.0


@dataclass(frozen=True, eq=False)
class ExpKernel(Score):
    """`sigma^2 exp(-|q - k|^2 / (2 l^2))`, the exponent as `<(q/l, -|q|^2/2l^2, 1), (k/l, 1, -|k|^2/2l^2)>`.

    The squared distance is right to rounding of |q|^2 + |k|^2, not of itself.

    Args:
        sigma, length: sigma and l, numbers or scalar tensors.
    """

    sigma: float | Tensor = 1.0
    length: float | Tensor = 1.0
    plain: ClassVar[bool] = False

    def factors(self, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, float]:
        a, b = rows / self.length, cols / self.length
        one = torch.ones_like(a[..., :1])
        half = lambda x: x.square().sum(-1, keepdim=True) / -2  # noqa: E731
        return torch.cat([a, half(a), one], -1), torch.cat([b, one, half(b)], -1), 1.0

    def shape(self, products: Tensor) -> Tensor:
        return self.sigma**2 * products.exp()


@dataclass(frozen=True, eq=False)
class Additive(Score):
    """`LeakyReLU(q + k)` of heads of width one.

    Args:
        slope: of LeakyReLU for negative numbers.
    """

    slope: float = 0.2
    widths: ClassVar[tuple[int, int | None]] = (1, 1)
    plain: ClassVar[bool] = False

    def factors(self, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, float]:
        one = torch.ones_like(rows)
        return torch.cat([rows, one], -1), torch.cat([one, cols], -1), 1.0

    def shape(self, products: Tensor) -> Tensor:
        return F.leaky_relu(products, self.slope)


SCORES: dict[str, type[Score]] = {
    "scaled_dot": ScaledDot,
    "cosine": Cosine,
    "pearson": Pearson,
    "exp_kernel": ExpKernel,
    "additive": Additive,
}


def score_named(score: str | Score) -> Score:
    """A score by its name in `SCORES`, or itself.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(score, Score):
        return score
    if score not in SCORES:
        raise unknown("score", score, list(SCORES))
    return SCORES[score]()


def check_width(score: Score, width: int, heads: int) -> None:
    """Raise ValueError unless heads of this width make sense for a score."""
    least, most = score.widths
    if width < least or (most is not None and width > most):
        expected = f"exactly {least}" if least == most else f"at least {least}"
        raise ValueError(
            f"{type(score).__name__} with heads of width {width}; expected {expected}: queries and keys of width "
            f"{least * heads}{'' if least == most else ' or more'} for {heads} heads"
        )


def _unit(x: Tensor) -> Tensor:
    return x * x.square().sum(-1, keepdim=True).clamp_min(SHORT**2).rsqrt()
