"""Back ends: the methods of other libraries under the same front door, for comparison.

A back end spans the whole solve with steps of its own choice: there is no `step` to control, to watch or to stop at. What it
does is counted by the field that it is handed, and by the steps that it reports.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import IntegrationError
from ..protocols import Problem
from .base import Integrator, Step


@dataclass(eq=False)
class Span:
    """One run of a back end: the field as it is handed over, and what was seen of the run.

    Args:
        problem: the field and its tolerances.
        times: output times, the first is the initial one.
        dt: fixed step size, or None.
        max_steps: steps after which the run fails.
        states: the states at the output times that were reached, the initial one not among them.
        evaluations, tried, accepted, rejected: what it cost.
        last: the latest evaluation, its time and result.
    """

    problem: Problem
    times: Sequence[float]
    dt: float | None
    max_steps: int
    states: Sequence[Tensor] = ()
    evaluations: int = 0
    tried: int = 0
    accepted: int = 0
    rejected: int = 0
    last: tuple[float, Tensor] | None = None

    def f(self, t: float, y: Tensor) -> Tensor:
        """The field, counted."""
        self.evaluations += 1
        out = self.problem.f(t, y)
        self.last = t, out.detach()
        return out

    def finite(self, y: Tensor) -> bool:
        """Whether every entry is finite."""
        return bool(torch.isfinite(self.problem.space.max(y.detach().abs())).all())

    def attempt(self) -> None:
        """Count a step; IntegrationError if it is one too many."""
        if self.tried >= self.max_steps:
            raise IntegrationError(f"{self.max_steps} steps were not enough; max_steps= allows more.", "max_steps")
        self.tried += 1

    def failure(self, method: Integrator, what: str) -> IntegrationError:
        """The error for a run that a back end gave up, with its words."""
        if self.last is not None and not self.finite(self.last[1]):
            return IntegrationError(f"{method.name}: the field is not finite at t = {self.last[0]:.6g} ({what}).", "nonfinite")
        return IntegrationError(f"{method.name} gave up after {self.tried} steps: {what}.", "dt_min")


class BackEnd(Integrator):
    """A method of another library, by `solve` only: order, steps and error control are its own (`order` is not a number).

    Outputs and the `times` that callbacks declare are served. Refused: events, callbacks at every step, controllers,
    `save="steps"` and `"dense"`, spaces other than `Plain()`.
    """

    order = float("nan")  # type: ignore[assignment]
    explicit = False

    @abstractmethod
    def span(self, run: Span, y: Tensor) -> None:
        """Solve from y at `run.times[0]` and leave the states at `run.times[1:]` in `run.states`.

        Raises:
            IntegrationError: if the back end fails.
            ValueError: for what it cannot do.
        """

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        raise TypeError(f"{self.name} spans a whole solve: hand it to solve(), it has no single steps")

    def refuse_fixed(self, dt: float | None, needed: bool) -> None:
        """Raise ValueError unless `dt` is given exactly where it is needed."""
        if needed and dt is None:
            raise ValueError(f"{self.name} has fixed steps: give dt=")
        if dt is not None and not needed:
            raise ValueError(f"{self.name} chooses its own steps: leave dt= out, rtol= and atol= set its accuracy")
