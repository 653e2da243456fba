"""Couplings F(X) of neighbouring nodes, bound to a graph: a graph convolution, and graph attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from solvers import LinearOperator, Pattern, spmm

from ..graph import Graph
from ..operators.attention import by_head, edge_softmax, heads_pattern
from ..operators.dense import project


@dataclass(frozen=True, eq=False)
class Layered:
    """Weights that are constant in time, or piecewise constant: layer k on [k dt, (k + 1) dt).

    The layer is floor(t / dt + 1e-4), at least the first and at most the last, so that t = k dt is layer k however it was
    rounded. A stage at the end of a step therefore sees the next layer; one-stage methods with steps of dt see each once.

    Args:
        values: `[...]`, or `[layers, ...]` with `dt`.
        dt: the time that a layer lasts, or None for one layer.
    """

    values: Tensor
    dt: float | None = None

    def at(self, t: Tensor | float) -> Tensor:
        """The weights at time t; no host synchronisation."""
        if self.dt is None:
            return self.values
        time = torch.as_tensor(t, device=self.values.device)
        k = torch.floor(time / self.dt + 1e-4).clamp(0, len(self.values) - 1).to(torch.int64)
        return self.values.index_select(0, k.reshape(1)).squeeze(0)


@dataclass(frozen=True, eq=False)
class Convolution:
    """`F(X) = A X W + b`, with A the normalised adjacency.

    Args:
        adjacency: A.
        weight: W, `[C, C]` (per layer).
        bias: b, `[C]` (per layer), or None.
    """

    adjacency: LinearOperator
    weight: Layered
    bias: Layered | None = None

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        return project(self.adjacency.matvec(x), *self.weights(t))

    def weights(self, t: Tensor | float) -> tuple[Tensor, Tensor | None]:
        """W and b at time t."""
        return self.weight.at(t), None if self.bias is None else self.bias.at(t)

    def projected(self, t: Tensor, x: Tensor) -> Tensor:
        """X W."""
        return project(x, self.weight.at(t))

    def gathered(self, t: Tensor, z: Tensor) -> Tensor:
        """F(X) from Z = X W."""
        out = self.adjacency.matvec(z)
        return out if self.bias is None else out + self.bias.at(t)


@dataclass(frozen=True, eq=False)
class GraphAttention:
    """`F(X)_i = concat_h sum_j a^h_ij W_h x_j + b`, `a^h_ij = softmax_j LeakyReLU(<l_h, W_h x_i> + <r_h, W_h x_j>)`.

    j runs over the edges j -> i and i itself; the slope of LeakyReLU is 0.2.

    Args:
        graph: the edges.
        weight: W, `[C, C]` (per layer), the columns of a head side by side.
        left, right: l and r, `[C]` (per layer), likewise.
        bias: b, `[C]` (per layer).
        heads: number of heads; divides C.

    Reference: P. Velickovic et al., Graph attention networks (2018), eqs. 1-5.
    """

    graph: Graph
    weight: Layered
    left: Layered
    right: Layered
    bias: Layered
    heads: int

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        return self.gathered(t, self.projected(t, x))

    def projected(self, t: Tensor, x: Tensor) -> Tensor:
        """X W."""
        if x.dim() != 2:
            raise ValueError(f"attention takes features (nodes, channels), got {tuple(x.shape)}")
        return project(x, self.weight.at(t))

    def gathered(self, t: Tensor, z: Tensor) -> Tensor:
        """F(X) from Z = X W."""
        n, z = len(z), by_head(z, self.heads)
        left, right = (by_head((v.at(t)).expand(n, -1), self.heads) for v in (self.left, self.right))
        out = attend(self._pattern, z, (z * left).sum(1), (z * right).sum(1))
        return out.view(self.heads, n, -1).transpose(0, 1).reshape(n, -1) + self.bias.at(t)

    @property
    def _pattern(self) -> Pattern:
        return heads_pattern(self.graph, self.heads)


def attend(pattern: Pattern, z: Tensor, at_target: Tensor, at_source: Tensor) -> Tensor:
    """`sum_j softmax_j(LeakyReLU(target_i + source_j)) z_j`, `[rows, c]`, with numbers per entry only."""
    scores = F.leaky_relu(at_target[pattern.rows] + at_source[pattern.cols], 0.2)
    return spmm(pattern, edge_softmax(scores, pattern.rows, pattern.num_rows), z)
