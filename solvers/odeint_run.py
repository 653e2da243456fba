"""One call of `odeint`: pieces between jumps, outputs, events, callbacks that are attributes of the field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .adjoint import solve_with
from .backsolve import Backward
from .errors import IntegrationError
from .events import Event
from .flatten import Packing
from .grid import Within
from .odeint_options import Way
from .protocols import Callback, Problem
from .solution import Solution
from .task import Task
from .times import carry_initial_time, carry_times, read_times


@dataclass(frozen=True, eq=False)
class Run:
    """A problem, and how `odeint` solves it.

    Args:
        problem: on flat states.
        how: integrator, step sizes, stops.
        t: output times.
        events: none, or the one that ends the solve.
        callbacks: attributes of the field.
        backward: the adjoint's solve, or None to differentiate through the steps.
        held: tensors that get a gradient by the adjoint.
    """

    problem: Problem
    how: Way
    t: Tensor
    events: Sequence[Event]
    callbacks: Sequence[Callback]
    backward: Backward | None
    held: Sequence[Tensor]

    def solve(self, y0: Tensor) -> tuple[Tensor | None, Tensor]:
        """The event time, if there is an event, and the states at the output times."""
        times = read_times(self.t)
        if self.events:
            times = [times[0], float("inf") if times[1] > times[0] else float("-inf")]
        y, rows = carry_initial_time(self.problem, self.t, y0), [y0]
        edges = [(times[0], False), *self.how.breaks(times[0], times[-1]), (times[-1], False)]
        for (a, jumps), (b, jumps_again) in pairwise(edges):
            inside = [s for s in times[1:] if min(a, b) < s < max(a, b)]
            problem = self._between(a, jumps, b, jumps_again)
            solution = self._piece(problem, y, [a, *inside, b])
            y = solution.y[-1]
            if solution.status == "event":
                return solution.t_event, torch.stack([y0, y])
            wanted = [*inside, b] if b in times else inside
            solution = carry_times(problem, self.t, solution)
            rows.extend(solution.y[1 : 1 + len(wanted)])
        return None, torch.stack(rows)

    def _between(self, a: float, jumps: bool, b: float, jumps_again: bool) -> Problem:
        """The problem between two jumps, with the field evaluated on its own side of each."""
        if not (jumps or jumps_again):
            return self.problem
        far = float("inf") if b > a else float("-inf")
        field = Within(self.problem.field, a if jumps else -far, b if jumps_again else far)
        return self.problem.with_field(field)

    def _piece(self, problem: Problem, y: Tensor, times: Sequence[float]) -> Solution:
        control = self.how.control(times, problem.field, y, self.t)
        options: dict[str, Any] = {"callbacks": self.callbacks, "events": self.events}
        options["max_steps"] = self.how.max_steps * (len(times) - 1)
        task = Task(problem, self.how.method, control, y, times, **options)
        try:
            if self.backward is None or not torch.is_grad_enabled():
                return task.integrate()
            return solve_with(task, self.held, self.backward)
        except IntegrationError as error:
            if error.status != "max_steps":
                raise
            text = str(error).replace("else max_steps=.", "else options={'max_num_steps': ...}.")
            raise IntegrationError(text, error.status, error.solution) from error


@dataclass(frozen=True, eq=False)
class FieldCallbacks:
    """torchdiffeq's callbacks: attributes of the field that are called with `(t, y, dt)` for every attempted step."""

    step: Callable[..., Any] | None
    accept: Callable[..., Any] | None
    reject: Callable[..., Any] | None
    packing: Packing | None
    times: Sequence[float] | None = None

    @classmethod
    def of(cls, func: object, packing: Packing | None) -> Sequence[Callback]:
        """The callbacks that `func` has, if any."""
        names = ("callback_step", "callback_accept_step", "callback_reject_step")
        step, accept, reject = (getattr(func, name, None) for name in names)
        return [cls(step, accept, reject, packing)] if step or accept or reject else []

    def _call(self, what: Callable[..., Any] | None, t: float, y: Tensor, dt: float) -> None:
        if what is not None:
            time, size = (torch.tensor(v, dtype=torch.float64, device=y.device) for v in (t, abs(dt)))
            what(time, y if self.packing is None else self.packing.unpack(y), size)

    def before(self, t: float, y: Tensor, dt: float) -> None:
        self._call(self.step, t, y, dt)
        self._call(self.accept, t, y, dt)

    def after(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        self._call(self.step, t, y, dt)
        self._call(self.reject, t, y, dt)
