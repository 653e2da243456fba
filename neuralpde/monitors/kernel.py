"""The kernel of a Laplacian on the connected components of a graph, and the part of the features outside of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from solvers import PerGraph, Plain, Space

from ..graph import Graph
from .components import components
from .rank import stack_places

Projection = Callable[[Tensor], Tensor]  # features [nodes, channels] -> their part outside a subspace


def outside_kernel(graph: Graph, kernel: Tensor, mass: Tensor | None = None) -> Projection:
    """`x - P x`, P the projection onto the vectors that are a multiple of k on every connected component.

    Args:
        graph: gives the components.
        kernel: k, `[nodes]` float64, without zeros.
        mass: m, `[nodes]`, of the inner product `sum_i m_i x_i y_i` in which P is orthogonal; None for ones.
    """
    space = PerGraph(components(graph)) if graph.num_nodes else graph.space
    return _outside(space, kernel.unsqueeze(1), mass)


def outside_constants(graph: Graph) -> Projection:
    """`x - mean of x over its graph`: zero where all nodes of a graph agree, connected or not."""
    ones = torch.ones(graph.num_nodes, 1, dtype=torch.float64, device=graph.device)
    return _outside(graph.space, ones, None)


def outside_span(graph: Graph, vectors: Tensor) -> Projection:
    """`x - Q Q' x` on each graph of a batch, Q an orthonormal basis of the span of some vectors restricted to that graph.

    Args:
        graph: the batch.
        vectors: `[nodes, k]`, k small; they may be dependent.

    Raises:
        ValueError: they do not have one row per node.
    """
    vectors = vectors.unsqueeze(1) if vectors.dim() == 1 else vectors
    if vectors.dim() != 2 or len(vectors) != graph.num_nodes:
        raise ValueError(f"the kernel has shape {tuple(vectors.shape)}; expected ({graph.num_nodes}, k), one row per node")
    place, longest = stack_places(graph)
    groups, width = graph.space.groups, vectors.shape[1]
    vectors = vectors.to(device=graph.device, dtype=torch.float64)
    blocks = vectors.new_zeros(groups * longest, width).index_copy(0, place, vectors).view(groups, longest, width)
    u, s, _ = torch.linalg.svd(blocks, full_matrices=False)
    keep = s > max(longest, width) * torch.finfo(torch.float64).eps * s[:, :1]
    basis = (u * keep.unsqueeze(1)).flatten(0, 1).index_select(0, place)

    def outside(x: Tensor) -> Tensor:
        for _ in range(2):  # twice is enough to be orthogonal to rounding
            for q in basis.unbind(1):
                q = q.unsqueeze(1)
                x = x - q * _rows(graph.space, graph.space.pool(q * x))
        return x

    return outside


def _outside(space: Space, k: Tensor, mass: Tensor | None) -> Projection:
    weighted = k if mass is None else k * mass.unsqueeze(1)
    size = space.pool(weighted * k)

    def outside(x: Tensor) -> Tensor:
        for _ in range(2):  # the mean of 1 + 1e-12 z is rounded; that of what is left is not
            x = x - k * _rows(space, space.pool(weighted * x) / size)
        return x

    return outside


def _rows(space: Space, pooled: Tensor) -> Tensor:
    """`[groups, channels]` as one row per node (or one row for all)."""
    return pooled if isinstance(space, Plain) else torch.index_select(pooled, 0, space.batch)  # type: ignore[attr-defined]
