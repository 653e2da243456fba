"""Mean average distance: the angle between the features of nodes, near and far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField, unknown

from ..graph import Graph
from ..operators.differences import edge_inner
from .base import Observable, Reading
from .features import as_real, node_features
from .hop_pairs import hop_pairs

_OVER = ("edges", "all", "near", "far")
_SAME = 1e-30  # cosine distances below this are rounding of parallel features


@dataclass(frozen=True)
class MAD(Observable):
    """Mean average distance, by the cosine distance `D_ij = 1 - cos(x_i, x_j)`, from 0 to 2, free of the features' lengths.

    `over="edges"`, the survey's form:  `(1/n) sum_i sum over edges j -> i of D_ij`
    otherwise, Chen et al.'s:           `mean over i of Db_i`, `Db_i = mean over j of D_ij`, of pairs (i, j) that are `"near"`
                                        (1 to `hops` hops), `"far"` (`hops` and more) or `"all"`; zeros count in neither mean

    It fails where features have one channel and one sign: it is 0 for any positive field, however rough. Nodes whose features
    are 0 have no angle, and their pairs are left out. D is computed from differences of unit vectors: it does not cancel.

    Args:
        over: which pairs, see above.
        hops: of `"near"` and `"far"`.
        sample: look at about so many ordered pairs at most (not for `"edges"`): of larger graphs, those of
            a random choice of nodes i.
        seed: of that choice.

    Raises:
        UnknownName: for other pairs.
        ValueError: hops or sample is not positive.

    Reference: Chen et al. (2020), Measuring and relieving the over-smoothing problem for graph neural networks from the
        topological view; Rusch, Bronstein & Mishra (2023), A survey on oversmoothing in graph neural networks.
    """

    over: str = "edges"
    hops: int = 3
    sample: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.over not in _OVER:
            raise unknown("pairs", self.over, _OVER)
        _check_positive(hops=self.hops, sample=self.sample)

    @property
    def name(self) -> str:
        where = {"near": f", up to {self.hops} hops", "far": f", from {self.hops} hops", "all": ", all pairs", "edges": ""}
        return f"MAD{where[self.over]}"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        space = graph.space
        if self.over == "edges":
            nodes = torch.as_tensor(space.size(torch.empty(graph.num_nodes, 1)), dtype=torch.float64, device=graph.device)
            return lambda t, y: space.total(_sums(graph, graph.edge_index, node_features(graph, y, read))[0]) / nodes
        least, most = {"all": (0, None), "near": (1, self.hops), "far": (self.hops, None)}[self.over]
        pairs, _ = hop_pairs(graph, least, most, self.sample, self.seed)
        return lambda t, y: _mean_average(graph, pairs, node_features(graph, y, read))

    @classmethod
    def example(cls) -> tuple[MAD, Graph, Tensor]:
        """An instance, a graph and features: angles of 90 and 45 degrees on the path, (2 + 2 (1 - sqrt 1/2)) / 3."""
        return cls(hops=2), Graph.path(3), torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]], dtype=torch.float64)


@dataclass(frozen=True)
class MADGap(Observable):
    """How much more far nodes differ than near ones: `MAD(far) - MAD(near)`, 0 or below where everything is smoothed.

    NaN on a graph without nodes so far apart (its diameter is below `far`).

    Args:
        near: pairs of 1 to so many hops.
        far: pairs of so many hops and more.
        sample, seed: as in `MAD`.

    Raises:
        ValueError: not `0 < near < far`, or a sample that is not positive.

    Reference: Chen et al. (2020), Measuring and relieving the over-smoothing problem for graph neural networks from the
        topological view (3 and 8 hops).
    """

    near: int = 3
    far: int = 8
    sample: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        _check_positive(near=self.near, sample=self.sample)
        if self.far <= self.near:
            raise ValueError(f"far = {self.far} and near = {self.near}; expected far above near, such as 8 and 3 hops")

    @property
    def name(self) -> str:
        return f"MADGap ({self.far} and {self.near} hops)"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        near = MAD("near", self.near, self.sample, self.seed).on(graph, field, read)
        far = MAD("far", self.far, self.sample, self.seed).on(graph, field, read)
        return lambda t, y: far(t, y) - near(t, y)

    @classmethod
    def example(cls) -> tuple[MADGap, Graph, Tensor]:
        """An instance, a graph and features: 45 degrees at one hop and 90 at two, 1 - (1 - sqrt 1/2)."""
        x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
        return cls(1, 2), Graph.path(3), x


def _check_positive(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} = {value}; expected a positive number")


def cosine_distance(pairs: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """`1 - cos(x_i, x_j)` of every pair, `[pairs]`, 0 where one of the two is 0; and whether it has an angle, `[pairs]`."""
    x = as_real(x)
    top = x.detach().abs().amax(1, keepdim=True) if x.shape[1] else x.new_zeros(len(x), 1)
    there = (top > 0) | top.isnan()
    x = x / torch.where(there, top, 1.0)
    length = torch.where(there, x, 1.0).square().sum(1, keepdim=True).sqrt()
    unit, there = x / length, there.squeeze(1)
    angle = there[pairs[0]] & there[pairs[1]]
    return torch.where(angle, edge_inner(pairs, unit, unit) / 2, 0.0), angle


def _sums(graph: Graph, pairs: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Of the distances of each node to others: their sum and the number that are not 0, each `[nodes]`."""
    distance, angle = cosine_distance(pairs, x)
    some = (angle & ~(distance.detach() <= _SAME)).to(distance.dtype)
    zeros = distance.new_zeros(graph.num_nodes)
    return zeros.index_add(0, pairs[1], distance), zeros.index_add(0, pairs[1], some)


def _mean_average(graph: Graph, pairs: Tensor, x: Tensor) -> Tensor:
    total, some = _sums(graph, pairs, x)
    mean = torch.where(some > 0, total, 0.0) / some.clamp(min=1)
    count = graph.space.total((some > 0).double())
    exists = graph.space.total(torch.zeros_like(total).index_fill(0, pairs[1], 1.0)) > 0  # no such pair: no number
    return torch.where(exists, graph.space.total(mean) / count.clamp(min=1), torch.nan)
