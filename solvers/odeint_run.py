"""One call of `odeint`: pieces between jumps, outputs, events; or the whole by a method of another library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .adjoint import solve_with
from .backsolve import Adjoint, Backward, Engine
from .errors import IntegrationError
from .events import Event, carry_crossing
from .flow import integrate_by_back_end
from .grid import Within
from .integrators.back_end import BackEnd
from .integrators.scipy_methods import ScipyMethod
from .odeint_callbacks import FieldCallbacks
from .odeint_errors import OdeintError, OdeintValueError
from .odeint_options import Way
from .protocols import Problem
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
    callbacks: FieldCallbacks
    backward: Backward | None
    held: Sequence[Tensor]

    def solve(self, y0: Tensor) -> tuple[Tensor | None, Tensor]:
        """The event time, if there is an event, and the states at the output times.

        Raises:
            OdeintError: if the solve fails.
        """
        times = read_times(self.t)
        if isinstance(self.how.method, BackEnd):
            return None, self._by_back_end(self.how.method, y0, times)
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
                return self._event_time(problem, solution), torch.stack([y0, y])
            wanted = [*inside, b] if b in times else inside
            solution = carry_times(problem, self.t, solution)
            rows.extend(solution.y[1 : 1 + len(wanted)])
        return None, torch.stack(rows)

    def dense(self, y0: Tensor) -> Solution:
        """The solution with the interpolants of all steps."""
        times, y, pieces = read_times(self.t), y0, []
        edges = [(times[0], False), *self.how.breaks(times[0], times[-1]), (times[-1], False)]
        for (a, jumps), (b, jumps_again) in pairwise(edges):
            pieces.append(self._piece(self._between(a, jumps, b, jumps_again), y, [a, b], "dense"))
            y = pieces[-1].y[-1]
        return replace(pieces[-1], segments=[segment for piece in pieces for segment in piece.segments])

    def _event_time(self, problem: Problem, solution: Solution) -> Tensor | None:
        """The time of the event; by the adjoint with its derivatives, where it has some (the state has them at this time)."""
        if self.backward is None or not torch.is_grad_enabled():
            return solution.t_event
        try:
            return carry_crossing(problem, self.events, solution.crossings[-1]).t
        except ValueError:  # tangential
            return solution.t_event

    def _by_back_end(self, method: BackEnd, y0: Tensor, times: Sequence[float]) -> Tensor:
        """All states by a method of another library; scipy's have a gradient by the adjoint only."""
        if self.events:
            raise OdeintValueError(
                f"{method.name} does not look for events: take a method such as dopri5, or rk4 with step_size"
            )
        dt, most = self.how.options.get("step_size"), self.how.max_steps * (len(times) - 1)
        tolerances: list[Any] = [self.problem.rtol, self.problem.atol]
        rtol, atol = (v.cpu().numpy() if isinstance(v, Tensor) else v for v in tolerances)
        problem = replace(self.problem, rtol=rtol, atol=atol)

        def forward(y: Tensor) -> Solution:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not isinstance(method, ScipyMethod)):
                start = y.detach() if isinstance(method, ScipyMethod) else y
                return integrate_by_back_end(problem, method, start, times, "times", (), dt=dt, max_steps=most)

        try:
            if self.backward is None or not torch.is_grad_enabled() or not (y0.requires_grad or self.held):
                return forward(y0).y
            backward = replace(self.backward, switches=False)  # there are no steps of the forward solve to switch to
            engine: Any = Engine(self.problem, forward, times[0], backward, self.held)
            return Adjoint.apply(engine, y0, *self.held)  # type: ignore[return-value]
        except IntegrationError as error:
            raise OdeintError(str(error), error.status, error.solution) from error

    def _between(self, a: float, jumps: bool, b: float, jumps_again: bool) -> Problem:
        """The problem between two jumps, with the field evaluated on its own side of each."""
        if not (jumps or jumps_again):
            return self.problem
        far = float("inf") if b > a else float("-inf")
        field = Within(self.problem.field, a if jumps else -far, b if jumps_again else far)
        return self.problem.with_field(field)

    def _piece(self, problem: Problem, y: Tensor, times: Sequence[float], save: str = "times") -> Solution:
        method, control = self.callbacks.watch(self.how.method, self.how.control(times, problem.field, y, self.t))
        most = self.how.max_steps * (len(times) - 1)
        task = Task(problem, method, control, y, times, save=save, events=self.events, max_steps=most)
        try:
            if self.backward is None or not torch.is_grad_enabled():
                return task.integrate()
            return solve_with(task, self.held, self.backward)
        except IntegrationError as error:
            text = str(error).replace("else max_steps=.", "else options={'max_num_steps': ...}.")
            raise OdeintError(text, error.status, error.solution) from error
