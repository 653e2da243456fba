"""How many directions the features still span: collapse to one is what oversmoothing does, whatever the norm does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading
from .features import magnitude, node_features


@dataclass(frozen=True, eq=False)
class EffectiveRank(Observable):
    """`erank(X) = exp(-sum_k p_k ln p_k)`, `p_k = s_k / sum s`, s the singular values of X; from 1 to min(nodes, channels).

    Free of scale. Singular values below max(nodes, channels) eps s_1 count as zero, in the state's own precision.
    NaN for X = 0 or where X is not finite. Costs one singular value decomposition per graph and reading.

    Reference: Roy & Vetterli (2007), The effective rank: a measure of effective dimensionality.
    """

    @property
    def name(self) -> str:
        return "effective rank"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        spectrum = _spectrum(graph, read)

        def rank(t: float, y: Tensor) -> Tensor:
            s, zero = spectrum(y)
            s = torch.where(zero, 1.0, s)
            total = torch.where(zero, 0.0, s).sum(1, keepdim=True)
            share = s / total
            return torch.where(zero, 0.0, -share * share.log()).sum(1).exp() + _nan_where_all(zero)

        return rank

    @classmethod
    def example(cls) -> tuple[EffectiveRank, Graph, Tensor]:
        """An instance, a graph and features: two equal singular values, effective rank 2."""
        return cls(), Graph.path(3), torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class NumericalRank(Observable):
    """`|X|_F^2 / |X|_2^2 = sum_k s_k^2 / s_1^2`, the stable rank; from 1 to min(nodes, channels), free of scale.

    NaN for X = 0 or where X is not finite. Costs one singular value decomposition per graph and reading.

    Reference: Rudelson & Vershynin (2007), Sampling from large matrices; Zhang et al. (2025), arXiv 2502.04591.
    """

    @property
    def name(self) -> str:
        return "numerical rank"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        spectrum = _spectrum(graph, read)

        def rank(t: float, y: Tensor) -> Tensor:
            s, zero = spectrum(y)
            top = torch.where(zero.all(1), 1.0, s[:, 0])
            return (s / top.unsqueeze(1)).square().sum(1) + _nan_where_all(zero)

        return rank

    @classmethod
    def example(cls) -> tuple[NumericalRank, Graph, Tensor]:
        """An instance, a graph and features of singular values 2 and 1: rank 1.25."""
        return cls(), Graph.path(3), torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)


StableRank = NumericalRank
"""Another name of `NumericalRank`: the literature uses both."""


@dataclass(frozen=True, eq=False)
class RankOneDistance(Observable):
    """How far the features are from one direction: `sum_{k>1} s_k^2 / sum_k s_k^2`, s the singular values of X.

    From 0 to 1 - 1 / min(nodes, channels) and free of scale: the squared distance from the nearest matrix of rank one over the
    squared norm. It falls on where the ranks are 1 to rounding: it is the rate at which the rank collapses. NaN for X = 0 or
    where X is not finite.

    Reference: Roth & Liebig (2023), Rank collapse causes over-smoothing and over-correlation in graph neural networks.
    """

    @property
    def name(self) -> str:
        return "rank-one distance"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        spectrum = _spectrum(graph, read)

        def distance(t: float, y: Tensor) -> Tensor:
            s, zero = spectrum(y)
            top = torch.where(zero.all(1), 1.0, s[:, 0])
            squares = (s / top.unsqueeze(1)).square()
            return squares[:, 1:].sum(1) / squares.sum(1).clamp(min=1) + _nan_where_all(zero)

        return distance

    @classmethod
    def example(cls) -> tuple[RankOneDistance, Graph, Tensor]:
        """An instance, a graph and features of singular values 2 and 1: distance 1/5."""
        return cls(), Graph.path(3), torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)


def _spectrum(graph: Graph, read: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Singular values of each graph's features, `[graphs, k]`, and which of them count as zero (all, if not finite)."""
    place, longest = stack_places(graph)

    def spectrum(y: Tensor) -> tuple[Tensor, Tensor]:
        x, space = node_features(graph, y, read), graph.space
        sizes = torch.as_tensor(space.size(x[:, :1]), device=x.device)
        finite = ~(space.total((~torch.isfinite(x)).double()) > 0)
        x = torch.where(space.spread(finite, x), x, 0.0)
        x = x / space.spread(magnitude(space, x), x)
        rows = x.new_zeros(space.groups * longest, x.shape[1]).index_copy(0, place, x)
        s = torch.linalg.svdvals(rows.view(space.groups, longest, x.shape[1]))
        eps = torch.finfo(y.dtype).eps * sizes.clamp(min=x.shape[1]).reshape(-1, 1)
        return s, s.detach() <= eps * s.detach()[:, :1]

    return spectrum


def stack_places(graph: Graph) -> tuple[Tensor, int]:
    """Row of every node in the stack of all graphs, each filled up with zero rows to the size of the largest."""
    if graph.batch is None:
        return torch.arange(graph.num_nodes, device=graph.device), graph.num_nodes
    counts = torch.bincount(graph.batch, minlength=graph.num_graphs)
    longest = int(counts.max()) if counts.numel() else 0
    order = torch.argsort(graph.batch, stable=True)
    within = torch.empty_like(order)
    within[order] = torch.arange(graph.num_nodes, device=graph.device) - (counts.cumsum(0) - counts)[graph.batch[order]]
    return graph.batch * longest + within, longest


def _nan_where_all(zero: Tensor) -> Tensor:
    return torch.where(zero.all(1), torch.nan, 0.0).to(torch.float64)
