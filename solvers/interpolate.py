"""Dense output: the solution inside an accepted step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Reusing(Protocol):
    """An interpolant that reads a buffer which the next step overwrites; `keep` returns one that owns its data."""

    def __call__(self, theta: float) -> Tensor: ...
    def keep(self) -> Callable[[float], Tensor]: ...


@dataclass(frozen=True, eq=False)
class StageInterpolant:
    """`y(t + theta dt) = y + dt sum_i b_i(theta) k_i` with the stages k_i in a reused buffer.

    Args:
        y: the state at the start of the step.
        stages: `[s, *state]`.
        dt: step size.
        weights: `theta -> (b_1, ..., b_s)`.
    """

    y: Tensor
    stages: Tensor
    dt: float
    weights: Callable[[float], tuple[float, ...]]

    def __call__(self, theta: float) -> Tensor:
        w = torch.tensor(self.weights(theta), dtype=self.y.dtype, device=self.y.device)
        flat = self.stages.view(self.stages.shape[0], -1)
        return torch.addmv(self.y.reshape(-1), flat.t(), w, alpha=self.dt).view(self.y.shape)

    def keep(self) -> StageInterpolant:
        return replace(self, stages=self.stages.clone())


def hermite(y0: Tensor, y1: Tensor, f0: Tensor, f1: Tensor, dt: float) -> Callable[[float], Tensor]:
    """The cubic with the values `y0, y1` and the slopes `f0, f1` at the ends of a step of size `dt` (error O(dt^4))."""

    def at(theta: float) -> Tensor:
        a, b = theta * theta * (3 - 2 * theta), theta * (1 - theta)
        return torch.lerp(y0, y1, a) + (dt * b * (1 - theta)) * f0 - (dt * b * theta) * f1

    return at
