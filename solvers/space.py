"""How a reduction over a state is done: over everything, or graph by graph.

A state has its nodes on axis -2 (`[nodes, channels]`, `[2, nodes, channels]`). Solvers, monitors and training reduce over
it through a `Space` only, so that the same code runs on one graph, on a batch of graphs and on a partitioned graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class Space(ABC):
    """Reductions over a state; every result has one entry per group (graph)."""

    groups: int

    @abstractmethod
    def total(self, x: Tensor) -> Tensor:
        """Sum of all entries, `[groups]`."""

    @abstractmethod
    def max(self, x: Tensor) -> Tensor:
        """Largest entry, `[groups]`."""

    @abstractmethod
    def size(self, x: Tensor) -> Tensor | int:
        """Number of entries, an int or `[groups]`."""

    @abstractmethod
    def spread(self, c: Tensor, like: Tensor) -> Tensor:
        """One number per group, `[groups]`, made broadcastable to `like`."""

    def pool(self, x: Tensor) -> Tensor:
        """Sum over the nodes, channel by channel, `[..., nodes, c] -> [..., groups, c]`."""
        rows = x.movedim(-2, 0).reshape(x.shape[-2], -1)
        sums = torch.stack([self.total(column.unsqueeze(1)) for column in rows.unbind(1)], 1)
        return sums.reshape(-1, *x.shape[:-2], x.shape[-1]).movedim(0, -2)

    def dot(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """`k` inner products in one reduction, `[k, groups]`; the left factor is conjugated."""
        return torch.stack([self.total(_conj(a) * b) for a, b in pairs])

    def norm(self, x: Tensor) -> Tensor:
        """Euclidean norm, `[groups]`."""
        return self.dot([(x, x)])[0].abs().sqrt()

    def rms(self, x: Tensor) -> Tensor:
        """Root mean square, `[groups]`: the norm in which errors are compared with tolerances."""
        size, count = self.norm(x), self.size(x)
        return size / (count.clamp(min=1).to(size.dtype).sqrt() if isinstance(count, Tensor) else max(count, 1) ** 0.5)


@dataclass(frozen=True)
class Plain(Space):
    """Everything is one group."""

    groups = 1

    def total(self, x: Tensor) -> Tensor:
        return x.sum().reshape(1)

    def max(self, x: Tensor) -> Tensor:
        return x.max().reshape(1)

    def size(self, x: Tensor) -> int:
        return x.numel()

    def spread(self, c: Tensor, like: Tensor) -> Tensor:
        return c.reshape(())

    def pool(self, x: Tensor) -> Tensor:
        return x.sum(-2, keepdim=True)

    def dot(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        if len(pairs) == 1:
            ((a, b),) = pairs
            return torch.vdot(a.reshape(-1), b.reshape(-1)).reshape(1, 1)
        return torch.stack([torch.vdot(a.reshape(-1), b.reshape(-1)) for a, b in pairs]).unsqueeze(1)

    def norm(self, x: Tensor) -> Tensor:
        v = x.reshape(-1)
        return (torch.vdot(v, v).abs() if x.is_complex() else torch.dot(v, v)).sqrt().reshape(1)


@dataclass(frozen=True, eq=False)
class PerGraph(Space):
    """One group per graph of a block-diagonal batch.

    Args:
        batch: graph of every node, `[nodes]`, values 0 .. groups-1.
        dim: node axis of the state.
        own_steps: `solve` lets each graph take the adaptive steps that it takes alone (explicit Runge-Kutta methods); the
            field then gets a time per node, broadcastable to the state. Default: all take the steps of the most demanding.
    """

    batch: Tensor
    dim: int = -2
    own_steps: bool = False

    def __post_init__(self) -> None:
        count = int(self.batch.max()) + 1 if self.batch.numel() else 0
        object.__setattr__(self, "groups", count)
        object.__setattr__(self, "nodes", torch.bincount(self.batch, minlength=count))

    def _per_node(self, x: Tensor) -> Tensor:
        """`[nodes, everything else]`."""
        if x.dim() == 1:
            return x.unsqueeze(1)
        return x.movedim(self.dim, 0).reshape(self.batch.numel(), -1)

    def total(self, x: Tensor) -> Tensor:
        rows = self._per_node(x).sum(1)
        return rows.new_zeros(self.groups).index_add(0, self.batch, rows)

    def max(self, x: Tensor) -> Tensor:
        rows = self._per_node(x).amax(1)
        return rows.new_full((self.groups,), -torch.inf).scatter_reduce(0, self.batch, rows, "amax")

    def size(self, x: Tensor) -> Tensor:
        return self.nodes * (x.numel() // max(1, self.batch.numel()))  # type: ignore[attr-defined]

    def spread(self, c: Tensor, like: Tensor) -> Tensor:
        shape = [1] * like.dim()
        shape[self.dim if like.dim() > 1 else 0] = self.batch.numel()
        return c[self.batch].reshape(shape)

    def pool(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:-2], self.groups, x.shape[-1])
        return x.new_zeros(shape).index_add(x.dim() - 2, self.batch, x)


def _conj(x: Tensor) -> Tensor:
    return x.conj() if x.is_complex() else x
