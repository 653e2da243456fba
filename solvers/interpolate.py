"""Dense output: the solution inside an accepted step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .host import looks_are_cheap
from .protocols import Problem, Work


@runtime_checkable
class Reusing(Protocol):
    """An interpolant for one step only: `keep` returns one that needs no buffer and no evaluation any more."""

    def __call__(self, theta: float) -> Tensor: ...
    def keep(self) -> Callable[[float], Tensor]: ...


@runtime_checkable
class Costly(Protocol):
    """An interpolant that has to evaluate the field, or a product, for a state inside a step."""

    def __call__(self, theta: float) -> Tensor: ...
    def bill(self) -> Work:
        """What it has cost since this was last asked."""
        ...


def bill(dense: object) -> Work:
    """What an interpolant has cost since this was last asked; nothing for one that is free."""
    return dense.bill() if isinstance(dense, Costly) else Work()


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
        if not looks_are_cheap(self.y):  # an upload of the weights would wait, and is refused under capture
            y = self.y.clone()
            for w, k in zip(self.weights(theta), self.stages, strict=True):
                y.add_(k, alpha=self.dt * w)
            return y
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


def through(nodes: Sequence[float], values: Sequence[Tensor]) -> Callable[[float], Tensor]:
    """The polynomial with the values `y(t + nodes_i dt)`; no slope enters, so that a stiff field amplifies nothing."""

    def at(theta: float) -> Tensor:
        out = torch.zeros_like(values[0])
        for i, value in enumerate(values):
            weight = 1.0
            for j, node in enumerate(nodes):
                if j != i:
                    weight *= (theta - node) / (nodes[i] - node)
            out = torch.add(out, value, alpha=weight)
        return out

    return at


@dataclass(frozen=True, eq=False)
class ValueInterpolant:
    """`y(t + theta dt) = y + sum_i w_i(theta) (Y_i - y) + dt sum_i v_i(theta) g_i`, g_i slopes of what is not stiff.

    Args:
        y: the state at the start of the step.
        states: the stages Y_i.
        slopes: the g_i; None where v_i is zero.
        dt: step size.
        weights: `theta -> (w, v)`.
    """

    y: Tensor
    states: Sequence[Tensor]
    slopes: Sequence[Tensor | None]
    dt: float
    weights: Callable[[float], tuple[Sequence[float], Sequence[float]]]

    def __call__(self, theta: float) -> Tensor:
        w, v = self.weights(theta)
        out = (1 - sum(w)) * self.y
        for weight, state in zip(w, self.states, strict=True):
            out = torch.add(out, state, alpha=weight)
        for weight, slope in zip(v, self.slopes, strict=False):
            if slope is not None and weight != 0.0:
                out = torch.add(out, slope, alpha=self.dt * weight)
        return out


@dataclass(frozen=True, eq=False)
class WithSlope:
    """An interpolant with one slope more, which is evaluated when a time inside the step is first asked for:

        base(theta) + bubble(theta) (dt f(t, y) - slope)

    Args:
        problem: holds the field.
        t, y: where the slope is evaluated, an end of the step.
        dt: step size.
        base: an interpolant.
        slope: makes dt times its slope there.
        bubble: zero at both ends of the step, with slope 1 at this one.
    """

    problem: Problem
    t: float
    dt: float
    y: Tensor
    base: Callable[[float], Tensor]
    slope: Callable[[], Tensor]
    bubble: Callable[[float], float]
    tracked: bool = field(default_factory=torch.is_grad_enabled)
    _found: list[Tensor] = field(default_factory=list)
    _spent: list[Work] = field(default_factory=list)

    def __call__(self, theta: float) -> Tensor:
        return torch.add(self.base(theta), self.keep()._found[0], alpha=self.bubble(theta))

    def keep(self) -> WithSlope:
        """This one, with its slope evaluated."""
        if not self._found:
            with torch.set_grad_enabled(self.tracked):  # the first to ask may be a search for events, which tracks nothing
                self._found.append(self.dt * self.problem.f(self.t, self.y) - self.slope())
            self._spent.append(Work(evaluations=1))
        return self

    def bill(self) -> Work:
        spent = sum(self._spent, Work())
        self._spent.clear()
        return spent
