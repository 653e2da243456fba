"""A quantity channel by channel, where a sum over all of them would hide the one that vanishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading


def per_channel(observable: Observable) -> Observable:
    """The same quantity for every channel alone: its readings are `[graphs, channels]`, not `[graphs]`.

    Costs one reading per channel. An energy of the whole state, such as `Hamiltonian`, needs an equation whose channels do
    not mix; attention that is recomputed from all channels has none of its own.

    Args:
        observable: what to record.
    """
    return _PerChannel(observable)


@dataclass(frozen=True, eq=False)
class _PerChannel(Observable):
    observable: Observable

    @property
    def name(self) -> str:
        return f"{self.observable.name} per channel"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        whole = self.observable.whole_state or read is None
        reading = self.observable.on(graph, field)

        def each(t: float, y: Tensor) -> Tensor:
            x = y if whole or read is None else read(y)
            x = x.unsqueeze(1) if x.dim() == 1 else x
            return torch.stack([reading(t, x[..., c : c + 1]) for c in range(x.shape[-1])], dim=-1)

        return each
