"""Observables, and the monitor that records one during a solve."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .records import write_csv, write_json

Reading = Callable[[float, Tensor], Tensor]


class Observable(ABC):
    """A number per graph, of a state: `observable.on(graph, field, read)` is a function `(t, y) -> [graphs]`.

    `whole_state` says that it looks at positions and momenta, and not at the features that `read` takes out of them.
    """

    whole_state: ClassVar[bool] = False

    @abstractmethod
    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        """Bind to a graph and to the field that is being solved.

        Args:
            graph: the nodes and edges.
            field: the vector field, for quantities that depend on the equation (its energy); None where there is none.
            read: from a state to node features (the equation's `read`); None takes the state as features.
        """

    @property
    def name(self) -> str:
        """What a legend or a column calls it."""
        return type(self).__name__


class Monitor:
    """Records an observable during a solve; a callback of the solver.

    Args:
        observable: what to record.
        every: None for every accepted step; a number for multiples of it, by dense output.
        track: keep the gradient of the recorded values (default: they are detached).

    Attributes:
        t: times of the records, `[records]` float64.
        values: `[records, graphs]`.
    """

    def __init__(self, observable: Observable, every: float | None = None, *, track: bool = False):
        if every is not None and not every > 0:
            raise ValueError(f"every = {every}; expected a positive time between records, or None for every accepted step")
        self.observable, self.every, self.track = observable, every, track
        self.times: Sequence[float] | None = None  # the callback's declaration, set by `attach`
        self._reading: Reading | None = None
        self._t: list[float] = []
        self._values: list[Tensor] = []

    @property
    def name(self) -> str:
        return self.observable.name

    def attach(
        self,
        graph: Graph,
        field: VectorField | None,
        times: Sequence[float],
        read: Callable[[Tensor], Tensor] | None = None,
    ) -> Monitor:
        """Make ready for one solve over `times`; earlier records are dropped."""
        self._reading = self.observable.on(graph, field, read)
        self.clear()
        self.times = None if self.every is None else _multiples(self.every, times[0], times[-1])
        return self

    def before(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def after(self, t: float, y: Tensor, dt: float) -> None:
        if self._reading is None:
            raise RuntimeError("the monitor is not attached to a solve; hand it to simulate(..., monitors=[...])")
        with torch.set_grad_enabled(self.track and torch.is_grad_enabled()):
            value = self._reading(t, y)
        self._t.append(t)
        self._values.append(value)

    @property
    def t(self) -> Tensor:
        """Times of the records, `[records]`."""
        return torch.tensor(self._t, dtype=torch.float64)

    @property
    def values(self) -> Tensor:
        """The records, `[records, graphs]`."""
        if not self._values:
            raise ValueError("nothing recorded yet: hand the monitor to simulate(..., monitors=[...]) first")
        return torch.stack(self._values)

    def clear(self) -> None:
        """Forget the records."""
        self._t, self._values = [], []

    def integral(self) -> Tensor:
        """The integral of the values over time from the first record on, `[records, graphs]`.

        Of a cubic between two records, with slopes from parabolas through three: an error of third order in their distance.
        """
        values = self.values
        t = self.t.to(values.device)
        step = t.diff().reshape(-1, *[1] * (values.dim() - 1))
        parts = step * (values[1:] + values[:-1]) / 2
        if len(t) > 2 and bool((t.diff() != 0).all()):
            (slope,) = torch.gradient(values, spacing=(t,), dim=0, edge_order=2)
            parts = parts - step**2 / 12 * slope.diff(dim=0)
        return torch.cat([torch.zeros_like(values[:1]), parts.cumsum(0)])

    def to_csv(self, path: str | PathLike[str]) -> Path:
        """Write the records as a table, a row per time and a column per graph; returns the path."""
        return write_csv(path, self.name, self.t, self.values)

    def to_json(self, path: str | PathLike[str]) -> Path:
        """Write the records as `{"name", "t", "values"}`, with null for what is not finite; returns the path."""
        return write_json(path, self.name, self.t, self.values)


def _multiples(every: float, start: float, end: float) -> list[float]:
    count = int(abs(end - start) / every * (1 + 1e-12))
    step = every if end >= start else -every
    times = [start + i * step for i in range(count + 1)]
    return times if abs(times[-1] - end) <= 1e-9 * every else [*times, end]
