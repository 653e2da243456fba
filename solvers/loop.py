"""The only integration loop: steps, step-size control, saving, callbacks, events.

Where a method has an interpolant, outputs are read from it; where it has none, the loop lands on the output times. The end
is always landed on. A fixed-step loop checks finiteness at outputs and every 64 steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from .controllers import Controller
from .errors import IntegrationError
from .events import Crossing, Event, locate
from .failure import ADVICE, CAUSE, first_bad
from .host import host_may_look, looks_are_cheap
from .integrators.base import Integrator, Step
from .interpolate import Reusing, bill, hermite
from .plan import Plan
from .protocols import Callback, Problem, Work
from .solution import Segment, Solution, Stats

_MERGE = 1e-9  # a remainder below this share of a step is merged into the step
_CHECK_EVERY = 64  # steps between two looks at whether a fixed-step state is finite
_GIVE_UP = 40  # rejections in a row for a state that is not finite


def integrate(
    problem: Problem,
    method: Integrator,
    controller: Controller,
    y0: Tensor,
    times: Sequence[float],
    *,
    save: str = "times",
    callbacks: Sequence[Callback] = (),
    events: Sequence[Event] = (),
    max_steps: int = 100_000,
) -> Solution:
    """Integrate from `times[0]` to `times[-1]`; see `solve` for the meaning of the arguments.

    Raises:
        IntegrationError: with the partial solution, if a step fails for good.
    """
    loop = _Loop(problem, method, controller, Plan(times, save, callbacks, events, max_steps), times[0], y0)
    loop.start()
    while not loop.finished:
        loop.advance()
    return loop.solution()


@dataclass
class _Loop:
    """One solve: what is fixed, then everything that changes."""

    problem: Problem
    method: Integrator
    controller: Controller
    plan: Plan
    t: float
    y: Tensor
    dt: float = 0.0
    state: object = None
    cstate: object = None
    work: Work = field(default_factory=Work)
    accepted: int = 0
    rejected: int = 0
    rejected_in_a_row: int = 0
    reached: int = 0  # stops of the plan that have been passed
    status: str = "ok"
    times: list[float] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    last_finite: tuple[float, Tensor, int] | None = None  # time, state, accepted steps

    @property
    def finished(self) -> bool:
        return self.reached == len(self.plan.stops) or self.status == "event"

    def start(self) -> None:
        plan = self.plan
        self.last_finite = (self.t, self.y, 0)
        self.state, work = self.method.init(self.problem, self.t, self.y)
        self.dt, self.cstate, more = self.controller.first(self.problem, self.method, self.t, self.y, plan.end - plan.start)
        self.work = work + more
        if plan.save != "final":
            self._save(self.t, self.y)
        for c in plan.callbacks:
            if c.times is None:
                self._replace(c.after(self.t, self.y, 0.0))
            elif any(s == self.t for s in c.times):
                c.after(self.t, self.y, 0.0)

    def advance(self) -> None:
        """Try one step."""
        plan = self.plan
        if self.accepted + self.rejected >= plan.max_steps:
            raise self._failure("max_steps", f"{plan.max_steps} steps were not enough (last step size {self.dt:.3g})")
        target = plan.end if self.method.dense_output else plan.stops[self.reached]
        left = plan.direction * (target - self.t)
        if self._alone and (count := self._unwatched(left)) > 1 and self._leap(count):
            return
        lands = self.dt >= left * (1 - _MERGE)
        dt = left if lands else self.dt
        step = self.method.step(self.problem, self.t, plan.direction * dt, self.y, self.state)
        self.work = self.work + step.work
        step, accept = self._judge(step, dt)
        if accept:
            self._accept(step, target if lands else self.t + plan.direction * dt, plan.direction * dt)
        else:
            self._reject(step, dt)

    @cached_property
    def _alone(self) -> bool:
        """Whether steps are of one size, and nobody looks between two outputs."""
        return not (self.plan.watched or self.controller.adaptive or self.method.dense_output)

    def _unwatched(self, left: float) -> int:
        """How many whole steps there are before the next output, the next look at the state, and the limit of steps."""
        until_look = _CHECK_EVERY - self.accepted % _CHECK_EVERY
        return min(math.ceil(left / self.dt - _MERGE) - 1, until_look, self.plan.max_steps - self.accepted - self.rejected)

    def _leap(self, count: int) -> bool:
        """Take so many steps as one, if the method can."""
        dt = self.plan.direction * self.dt
        step = self.method.several(self.problem, self.t, dt, count, self.y, self.state)
        if step is None:
            return False
        for _ in range(count):
            self.t += dt  # rounded as one by one
        self.y, self.state, self.work = step.y, step.state, self.work + step.work
        self.accepted += count
        self.rejected_in_a_row = 0
        if self._is_time_to_look():
            self._check_finite()
        return True

    def _judge(self, step: Step, dt: float) -> tuple[Step, bool]:
        ratio = 0.0
        if self.controller.adaptive and step.status == "ok":
            if step.error is None:
                raise TypeError(f"{self.method.name} has no error estimate, so its step size cannot be controlled: give dt=")
            ratio = self.problem.error_ratio(step.error, self.y, step.y)
            if not math.isfinite(ratio):
                step = replace(step, status="nonfinite")
        accept, proposal, self.cstate = self.controller.next(dt, step, ratio, self.cstate)
        # a step that was shortened to land says nothing about the size that accuracy allows
        self.dt = max(proposal, self.dt) if accept and dt < self.dt else proposal
        return step, accept

    def _reject(self, step: Step, dt: float) -> None:
        self.rejected += 1
        self.rejected_in_a_row += 1
        self.state = step.retry
        for c in self.plan.callbacks:
            c.rejected(self.t, self.y, self.plan.direction * dt)
        extent = max(abs(self.t), abs(self.plan.end) if math.isfinite(self.plan.end) else 0.0)
        smallest = 16 * extent * torch.finfo(torch.float64).eps
        hopeless = step.status == "nonfinite" and self.rejected_in_a_row > _GIVE_UP
        if hopeless or not self.controller.adaptive or self.dt < smallest:
            status = step.status if step.status != "ok" else "dt_min"
            raise self._failure(status, f"{step.message or CAUSE[status]} (step size {dt:.3g})", step.y)

    def _accept(self, step: Step, t_new: float, dt: float) -> None:
        plan, t, y = self.plan, self.t, self.y
        at = self._inside(t, t_new, step)
        hits = locate(plan.events, at, t, t_new, initial=self.accepted == 0) if plan.events else []
        stops = bool(hits) and plan.events[hits[-1].index].terminal
        until = hits[-1].time if stops else t_new
        for h in hits:
            self.crossings.append(Crossing(h.index, h.entry, torch.tensor(h.time, dtype=torch.float64), at(h.time)))
        for c in plan.callbacks:
            c.before(t, y, dt)
        self.accepted += 1
        self.rejected_in_a_row = 0
        while self.reached < len(plan.stops) and plan.direction * (plan.stops[self.reached] - until) <= 0:
            self._output(plan.stops[self.reached], at)
            self.reached += 1
        if plan.save == "dense":
            self.segments.append(Segment(t, until, at))
        self.t, self.y, self.state = until, at(until), step.state
        if stops:
            self.status = "event"
            self._save(self.t, self.y)
        elif plan.save == "steps":
            self._save(self.t, self.y)
        for c in plan.callbacks:
            if c.times is None:
                self._replace(c.after(self.t, self.y, dt))
        if not stops and self._is_time_to_look():
            self._check_finite()

    def _inside(self, t: float, t_new: float, step: Step) -> Callable[[float], Tensor]:
        """The solution between `t` and `t_new`: the method's interpolant, or the cubic through values and slopes."""
        y, dense, slopes, tracked = self.y, step.dense, [], torch.is_grad_enabled()
        if self.plan.save == "dense" and isinstance(dense, Reusing):
            dense = dense.keep()
            self.work = self.work + bill(dense)

        def cubic(theta: float) -> Tensor:
            if not slopes:
                with torch.set_grad_enabled(tracked):  # the search for events, which comes first, tracks nothing
                    slopes.extend((self.problem.f(t, y), self.problem.f(t_new, step.y)))
                self.work = self.work + Work(evaluations=2)
            return hermite(y, step.y, slopes[0], slopes[1], t_new - t)(theta)

        def at(s: float) -> Tensor:
            if s == t_new:
                return step.y
            if s == t:
                return y
            inside = (dense or cubic)((s - t) / (t_new - t))
            self.work = self.work + bill(dense)
            return inside

        return at

    def _output(self, t: float, at: Callable[[float], Tensor]) -> None:
        saves, watchers = self.plan.actions[t]
        y = at(t)
        if saves:
            self._save(t, y)
        for c in watchers:
            c.after(t, y, 0.0)

    def _save(self, t: float, y: Tensor) -> None:
        self.times.append(t)
        self.states.append(y)

    def _replace(self, y: Tensor | None) -> None:
        """A callback changed the state: the method starts anew from it."""
        if y is not None:
            self.y = y
            self.state, work = self.method.init(self.problem, self.t, y)
            self.work = self.work + work

    def _is_time_to_look(self) -> bool:
        """A look makes the host wait for the device: on a GPU there is one, at the end, and none while steps are captured."""
        if self.finished:
            return host_may_look(self.y)
        return self.accepted % _CHECK_EVERY == 0 and looks_are_cheap(self.y)

    def _check_finite(self) -> None:
        with torch.no_grad():
            if self._is_finite(self.y):
                self.last_finite = (self.t, self.y, self.accepted)
            else:
                raise self._failure("nonfinite", CAUSE["nonfinite"], self._back_to_last_finite())

    def _is_finite(self, y: Tensor) -> bool:
        return bool(torch.isfinite(self.problem.space.max(y.abs())).all())

    def _back_to_last_finite(self) -> Tensor:
        """Repeat the steps since the last look, one by one, to name the one that failed; returns its result."""
        t, y, count = self.last_finite or (self.t, self.y, self.accepted)
        dt, result = self.plan.direction * self.dt, self.y
        state, _ = self.method.init(self.problem, t, y)
        for _ in range(self.accepted - count):
            step = self.method.step(self.problem, t, dt, y, state)
            if step.status != "ok" or not self._is_finite(step.y):
                result = step.y
                break
            t, y, state, count = t + dt, step.y.clone(), step.state, count + 1
        kept = sum(plan_t * self.plan.direction <= t * self.plan.direction for plan_t in self.times)
        del self.times[kept:], self.states[kept:]
        self.t, self.y, self.accepted = t, y, count
        return result

    def solution(self) -> Solution:
        """What has been computed so far."""
        w, tried = self.work, self.accepted + self.rejected
        stats = Stats(tried, self.accepted, self.rejected, w.evaluations, w.products, w.linear_iterations)
        if self.plan.save == "final" and self.status == "ok":
            self._save(self.t, self.y)
        times = torch.tensor(self.times, dtype=torch.float64)
        y = torch.stack(self.states)
        event = (torch.tensor(self.t, dtype=torch.float64), self.y) if self.status == "event" else (None, None)
        message = f"{self.method.name}: {stats.accepted} steps, {stats.rejected} rejected"
        return Solution(times, y, stats, self.status, message, self.method.name, self.segments, *event, self.crossings)

    def _failure(self, status: str, what: str, bad: Tensor | None = None) -> IntegrationError:
        with torch.no_grad():
            size = float(self.problem.space.norm(self.y).amax())
            where = "" if bad is None else first_bad(bad)
        text = (
            f"{self.method.name} stopped at t = {self.t:.6g} of {self.plan.end:.6g}, "
            f"step {self.accepted + self.rejected}: {what}{where}; norm of the state there {size:.3g}. "
            f"{ADVICE[status]} What was computed until then is in .solution."
        )
        if not self.times or self.times[-1] != self.t:
            self._save(self.t, self.y)
        self.status = status
        return IntegrationError(text, status, replace(self.solution(), message=text))
