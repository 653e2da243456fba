"""One solve: everything that `integrate` takes, as one object that the ways to a gradient share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .controllers import Controller
from .events import Event
from .held import LooksOnly, held_tensors
from .integrators.base import Integrator
from .loop import integrate
from .protocols import Callback, Problem
from .solution import Solution


@dataclass(frozen=True, eq=False)
class Task:
    """One solve.

    Args:
        problem: field, space and tolerances.
        method: the integrator.
        control: its step-size controller.
        y0: the initial state.
        times: initial time and output times.
        params: tensors that need a gradient and that the field does not show, a closure's; `()` if there are none.
        save, callbacks, events, max_steps: as for `solve`.
    """

    problem: Problem
    method: Integrator
    control: Controller
    y0: Tensor
    times: Sequence[float]
    params: Sequence[Tensor] | None = None
    save: str = "times"
    callbacks: Sequence[Callback] = ()
    events: Sequence[Event] = ()
    max_steps: int = 100_000

    def integrate(self, method: Integrator | None = None) -> Solution:
        """The solution, by the method or by another in its place."""
        return integrate(
            self.problem,
            self.method if method is None else method,
            self.control,
            self.y0,
            self.times,
            save=self.save,
            callbacks=self.callbacks,
            events=self.events,
            max_steps=self.max_steps,
        )

    @torch.no_grad()
    def integrate_untracked(self) -> Solution:
        """The solution without a graph."""
        return self.integrate()

    def held(self, gradient: str) -> list[Tensor]:
        """The tensors that need a gradient besides `y0`; ValueError for a closure without `params`."""
        return held_tensors(self.problem.field, self.params, gradient)

    def from_state(self, y0: Tensor) -> Task:
        """The same from another initial state."""
        return replace(self, y0=y0)

    def watched(self, gradient: str) -> Task:
        """The same with callbacks that may look only."""
        return replace(self, callbacks=[LooksOnly(c, gradient) for c in self.callbacks])
