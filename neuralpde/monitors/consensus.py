"""How far the features are from where smoothing takes them: from agreement, or from the kernel of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import Space, VectorField

from ..graph import Graph
from .base import Observable, Reading
from .energy import check_normalization, kernel_vector, warn_kernel
from .features import as_real, magnitude, node_features
from .kernel import Projection, outside_constants, outside_kernel, outside_span


@dataclass(frozen=True)
class ConsensusDistance(Observable):
    """The distance from agreement of all nodes of a graph: `|X - 1 mean(X)|_F`.

    Zero if and only if X is constant, for every graph. An operator whose kernel is not the constants (`"sym"`) smooths without
    bringing it to zero: take `KernelDistance` there, and on graphs of several components.

    Args:
        relative: divide by |X|_F: free of scale, between 0 and 1; NaN for X = 0.

    Reference: Rusch, Bronstein & Mishra (2023), A survey on oversmoothing in graph neural networks.
    """

    relative: bool = False

    @property
    def name(self) -> str:
        return "relative consensus distance" if self.relative else "consensus distance"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        return _distance(graph, outside_constants(graph), self.relative, read)

    @classmethod
    def example(cls) -> tuple[ConsensusDistance, Graph, Tensor]:
        """An instance, a graph and features: 0, 2, 4 are sqrt(4 + 0 + 4) from their mean."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [2.0], [4.0]], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class KernelDistance(Observable):
    """The distance from what an operator annihilates: `|X - P X|_F`, P the orthogonal projection onto its kernel.

    Smoothing by that operator takes it to zero, whatever the operator and however many components the graph has. `on` warns if
    the field that is solved does not annihilate the kernel of the normalization.

    Args:
        normalization: which Laplacian; its kernel on each connected component is spanned by the k of `DirichletEnergy`'s
            table: 1 ("none", "rw"), sqrt d ("sym"), sqrt(d + 1) ("sym_loops"), d ("col").
        kernel: `[nodes, k]` vectors that span the kernel, in place of that: for any other operator.
        relative: divide by |X|_F: free of scale, between 0 and 1; NaN for X = 0.

    Raises:
        UnknownName: for another normalization.
        ValueError: from `on`, for a kernel without one row per node.

    Reference: Oono & Suzuki (2020), Graph neural networks exponentially lose expressive power for node classification.
    """

    normalization: str = "none"
    kernel: Tensor | None = None
    relative: bool = False

    def __post_init__(self) -> None:
        check_normalization(self.normalization)

    @property
    def name(self) -> str:
        return f"{'relative ' * self.relative}distance to the kernel ({self.normalization if self.kernel is None else 'given'})"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        if self.kernel is None:
            kernel = kernel_vector(graph, self.normalization)
            warn_kernel(self.name, kernel, field, read)
            outside = outside_kernel(graph, kernel)
        else:
            outside = outside_span(graph, self.kernel)
        return _distance(graph, outside, self.relative, read)

    @classmethod
    def example(cls) -> tuple[KernelDistance, Graph, Tensor]:
        """An instance, a graph and features: (2, 0, 0) is sqrt 3 from the multiples of the degrees' roots (1, sqrt 2, 1)."""
        return cls("sym"), Graph.path(3), torch.tensor([[2.0], [0.0], [0.0]], dtype=torch.float64)


def _distance(graph: Graph, outside: Projection, relative: bool, read: Callable[[Tensor], Tensor] | None) -> Reading:
    space = graph.space

    def distance(t: float, y: Tensor) -> Tensor:
        x = as_real(node_features(graph, y, read))
        scale = magnitude(space, x)
        x = x / space.spread(scale, x)
        far = safe_norm(space, outside(x))
        return far / space.norm(x) if relative else scale * far

    return distance


def safe_norm(space: Space, x: Tensor) -> Tensor:
    """The Frobenius norm, `[groups]`, without underflow of small entries."""
    size = magnitude(space, x)
    return size * space.norm(x / space.spread(size, x))
