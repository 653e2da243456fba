"""Dense output of high order for a price: an interpolant of low order is raised, order by order, by slopes inside the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .protocols import Problem, Work


@dataclass(frozen=True)
class Slopes:
    """The polynomial with given values and slopes at the ends of a step and slopes at `nodes` inside it (Hermite-Birkhoff).

    Its degree is 3 + the number of nodes.

    Args:
        nodes: where the slopes are, between 0 and 1. An odd number of them must not be symmetric about 1/2, where the
            conditions depend on one another.
    """

    nodes: tuple[float, ...]

    @cached_property
    def inverse(self) -> np.ndarray:
        """The coefficients of the polynomial by the conditions `y(0), y(1), y'(0), y'(1), y'(nodes)`."""
        powers = np.arange(4 + len(self.nodes))
        slopes = [powers * float(x) ** np.maximum(powers - 1, 0) for x in (0.0, 1.0, *self.nodes)]
        return np.linalg.inv(np.array([0.0**powers, 1.0**powers, *slopes]))

    def weights(self, theta: float) -> list[float]:
        """Of `y(0), y(1), dt y'(0), dt y'(1), dt y'(nodes)` at theta."""
        return (theta ** np.arange(len(self.inverse)) @ self.inverse).tolist()


@dataclass(frozen=True, eq=False)
class Bootstrapped:
    """An interpolant that is made when it is first asked, by an evaluation of the field at each node of each round.

    With an error O(dt^m) of `base` its slopes `f(t + c dt, base(c))` err by as much, so that the polynomial through them
    errs by O(dt^(m + 1)) if it has as many conditions; and so on from round to round.

    Args:
        rounds: the slopes that are evaluated, lowest order first.
        problem, t, dt: the step.
        states: at its start and its end.
        slopes: there, `f` of these states.
        base: the interpolant to begin with; it may read a buffer of stages, which is left alone once this one is made.

    Reference: Enright, Jackson, Norsett & Thomsen (1986) ACM TOMS 12, 193.
    """

    rounds: Sequence[Slopes]
    problem: Problem
    t: float
    dt: float
    states: tuple[Tensor, Tensor]
    slopes: tuple[Tensor, Tensor]
    base: Callable[[float], Tensor]
    tracked: bool = field(default_factory=torch.is_grad_enabled)
    _inner: list[Tensor] = field(default_factory=list)
    _spent: list[Work] = field(default_factory=list)

    def __call__(self, theta: float) -> Tensor:
        self._prepare()
        return self._at(self.rounds[-1], self._inner, theta)

    def keep(self) -> Bootstrapped:
        """This one, with its slopes evaluated."""
        self._prepare()
        return self

    def bill(self) -> Work:
        spent = sum(self._spent, Work())
        self._spent.clear()
        return spent

    def _prepare(self) -> None:
        if self._inner:
            return
        with torch.set_grad_enabled(self.tracked):  # the first to ask may be a search for events, which tracks nothing
            inner: list[Tensor] = []
            for i, here in enumerate(self.rounds):
                states = [self._at(self.rounds[i - 1], inner, c) if i else self.base(c) for c in here.nodes]
                inner = [self.problem.f(self.t + c * self.dt, y) for c, y in zip(here.nodes, states, strict=True)]
                self._spent.append(Work(evaluations=len(inner)))
        self._inner.extend(inner)

    def _at(self, here: Slopes, inner: Sequence[Tensor], theta: float) -> Tensor:
        (y0, y1), (f0, f1) = self.states, self.slopes
        _, end, *weights = here.weights(theta)
        out = torch.lerp(y0, y1, end)
        for w, slope in zip(weights, (f0, f1, *inner), strict=True):
            out = torch.add(out, slope, alpha=self.dt * w)
        return out
