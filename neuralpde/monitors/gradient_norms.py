"""Whether gradients vanish or explode on their way back through a solve: their size at every time, from one backward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..graph import Graph
from .consensus import safe_norm
from .features import as_real, node_features


class GradientNorms:
    """`|d loss / d u(t)|_F` at every step of a solve; filled by `loss.backward()`.

        norms = GradientNorms(graph)
        sim = simulate(pde, graph, u0, t=1.0, method="rk4", dt=0.1, callbacks=[norms])
        loss(sim.u[-1]).backward()
        norms.t, norms.values

    A callback of the solver: what falls towards t = 0 vanishes, what rises explodes. It needs a method that steps and
    `gradient="backprop"`, as only then the loss sees the states; and some leaf (u0 or a parameter) that asks for a gradient.
    It also goes where an observable goes in `attach`, and there counts by layer. A second backward pass adds to the
    gradients as it does to `.grad`, but here the last one counts.

    Args:
        graph: for the sizes of each graph in a batch.
        record: at most so many steps are recorded, the first ones.

    Attributes:
        t: times of the states that got a gradient, `[records]` float64.
        values: `[records, graphs]`.
    """

    times: Sequence[float] | None = None  # the callback's declaration: every accepted step
    name = "gradient norm"

    def __init__(self, graph: Graph, record: int = 100_000):
        self.graph, self.record = graph, record
        self._t: list[float] = []
        self._norms: dict[int, Tensor] = {}

    def before(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def after(self, t: float, y: Tensor, dt: float) -> None:
        if not y.requires_grad or len(self._t) >= self.record:
            return
        index = len(self._t)
        self._t.append(t)

        def keep(gradient: Tensor) -> None:
            with torch.no_grad():
                self._norms[index] = safe_norm(self.graph.space, as_real(node_features(self.graph, gradient, None)))

        y.register_hook(keep)

    def clear(self) -> None:
        """Forget the records; a new solve starts afresh."""
        self._t, self._norms = [], {}

    @property
    def t(self) -> Tensor:
        return torch.tensor([self._t[i] for i in sorted(self._norms)], dtype=torch.float64)

    @property
    def values(self) -> Tensor:
        if not self._norms:
            seen = f"{len(self._t)} states recorded, none has got a gradient: call loss.backward()"
            none = (
                "no state that needs a gradient was seen: hand it to simulate(..., callbacks=[norms]) with u0.requires_grad_()"
            )
            raise ValueError(seen if self._t else none)
        return torch.stack([self._norms[i] for i in sorted(self._norms)])
