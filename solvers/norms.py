"""Error norms of the user's choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .space import Plain, Space


@dataclass(frozen=True, eq=False)
class Normed(Space):
    """One group, with `norm` in place of the root mean square where errors are compared with tolerances.

    Args:
        norm_of: the norm of a state-shaped tensor, a number or a scalar tensor.
        base: how everything else is reduced.
    """

    norm_of: Callable[[Tensor], Tensor | float]
    base: Space = field(default_factory=Plain)
    groups = 1

    def total(self, x: Tensor) -> Tensor:
        return self.base.total(x)

    def max(self, x: Tensor) -> Tensor:
        return self.base.max(x)

    def size(self, x: Tensor) -> Tensor | int:
        return self.base.size(x)

    def spread(self, c: Tensor, like: Tensor) -> Tensor:
        return self.base.spread(c, like)

    def dot(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        return self.base.dot(pairs)

    def rms(self, x: Tensor) -> Tensor:
        value = torch.as_tensor(self.norm_of(x), dtype=torch.float64, device=x.device)
        return value.reshape(1)
