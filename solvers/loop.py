"""The only integration loop: steps, step-size control, saving, callbacks, events.

Where a method has an interpolant, outputs are read from it; where it has none, the loop lands on the output times. The end
is always landed on.
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
from .events import Event, locate
from .integrators.base import Integrator, Step
from .interpolate import Reusing
from .protocols import Callback, Problem, Work
from .solution import Segment, Solution, Stats

_MERGE = 1e-9  # a remainder below this share of a step is merged into the step


@dataclass
class _Run:
    """Everything that changes during one solve."""

    t: float
    y: Tensor
    dt: float
    state: object
    cstate: object
    work: Work
    accepted: int = 0
    rejected: int = 0
    in_a_row: int = 0
    last_ratio: float = 0.0
    times: list[float] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    status: str = "ok"


@dataclass(frozen=True)
class _Plan:
    """What to save and whom to call."""

    times: Sequence[float]
    save: str
    callbacks: Sequence[Callback]
    events: Sequence[Event]
    direction: float

    @cached_property
    def actions(self) -> dict[float, tuple[bool, list[Callback]]]:
        """What is wanted at each time: whether to save the state, and whom to call."""
        found: dict[float, tuple[bool, list[Callback]]] = {}
        saves = self.save in ("times", "dense")
        for t in (*self.times[1:], self.times[-1]):
            found[t] = (saves, [])
        lo, hi = sorted((self.times[0], self.times[-1]))
        for c in self.callbacks:
            for t in c.times or ():
                if lo <= t <= hi and t != self.times[0]:
                    found.setdefault(t, (False, []))[1].append(c)
        return found

    @cached_property
    def stops(self) -> list[float]:
        """All times after the first at which something is wanted, in the order of integration."""
        return sorted(self.actions, reverse=self.direction < 0)


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
    direction = 1.0 if times[-1] >= times[0] else -1.0
    plan = _Plan(times, save, callbacks, events, direction)
    run = _start(problem, method, controller, y0, plan)
    stops = plan.stops
    done = 0
    while done < len(stops):
        if run.accepted + run.rejected >= max_steps:
            raise _failure(problem, method, run, "max_steps", f"{max_steps} steps were not enough", times[-1])
        target = stops[-1] if method.dense_output else stops[done]
        dt, lands = _clip(run, target, direction)
        step, accept, ratio = _attempt(problem, method, controller, run, dt, direction)
        if not accept:
            _reject(problem, method, controller, run, step, plan, dt, times[-1])
            continue
        previous = run.t
        t_new = target if lands else run.t + direction * dt
        done, stopped = _accept(problem, method, run, step, plan, stops, done, previous, t_new, direction * dt)
        if stopped:
            break
    return _solution(run, method, plan, y0)


def _start(problem: Problem, method: Integrator, controller: Controller, y0: Tensor, plan: _Plan) -> _Run:
    t0, t1 = plan.times[0], plan.times[-1]
    state, work = method.init(problem, t0, y0)
    dt, cstate, more = controller.first(problem, method, t0, y0, t1 - t0)
    run = _Run(t0, y0, dt, state, cstate, work + more)
    if plan.save != "final":
        run.times.append(t0)
        run.states.append(y0)
    for c in plan.callbacks:
        if c.times is None or any(s == t0 for s in c.times):
            _let_change(problem, method, run, c.after(t0, y0, 0.0) if c.times is None else _only_watch(c, t0, y0))
    return run


def _only_watch(c: Callback, t: float, y: Tensor) -> None:
    c.after(t, y, 0.0)


def _let_change(problem: Problem, method: Integrator, run: _Run, y: Tensor | None) -> None:
    if y is not None:
        run.y = y
        run.state, work = method.init(problem, run.t, y)
        run.work = run.work + work


def _clip(run: _Run, target: float, direction: float) -> tuple[float, bool]:
    """The step to try, and whether it ends on the target."""
    left = direction * (target - run.t)
    if run.dt >= left * (1 - _MERGE):
        return left, True
    return run.dt, False


def _attempt(
    problem: Problem, method: Integrator, controller: Controller, run: _Run, dt: float, direction: float
) -> tuple[Step, bool, float]:
    step = method.step(problem, run.t, direction * dt, run.y, run.state)
    run.work = run.work + step.work
    ratio = 0.0
    if controller.adaptive and step.status == "ok":
        if step.error is None:
            raise TypeError(f"{method.name} has no error estimate, so its step size cannot be controlled: give dt=")
        ratio = problem.error_ratio(step.error, run.y, step.y)
        if not math.isfinite(ratio):
            step = replace(step, status="nonfinite")
    accept, proposal, run.cstate = controller.next(dt, step, ratio, run.cstate)
    # a step that was shortened to land says nothing about the size that accuracy allows
    run.dt = max(proposal, run.dt) if accept and dt < run.dt else proposal
    run.last_ratio = ratio
    return step, accept, ratio


def _reject(
    problem: Problem,
    method: Integrator,
    controller: Controller,
    run: _Run,
    step: Step,
    plan: _Plan,
    dt: float,
    end: float,
) -> None:
    run.rejected += 1
    run.in_a_row += 1
    run.state = step.retry
    for c in plan.callbacks:
        c.rejected(run.t, run.y, plan.direction * dt)
    smallest = 16 * max(abs(run.t), abs(end), 1e-300) * torch.finfo(torch.float64).eps
    if not controller.adaptive or run.dt < smallest or (step.status == "nonfinite" and run.in_a_row > 40):
        status = step.status if step.status != "ok" else "dt_min"
        what = step.message or _WORDS[status]
        raise _failure(problem, method, run, status, f"{what} (step size {dt:.3g})", end, step)


_WORDS = {
    "nonfinite": "the field or the new state is not finite",
    "nonlinear": "the nonlinear solve did not converge",
    "linear": "the linear solve did not converge",
    "dt_min": "the step size fell to rounding without meeting the tolerance",
}


def _accept(
    problem: Problem,
    method: Integrator,
    run: _Run,
    step: Step,
    plan: _Plan,
    stops: list[float],
    done: int,
    previous: float,
    t_new: float,
    dt: float,
) -> tuple[int, bool]:
    """Book an accepted step: events, outputs, callbacks. Returns the number of stops reached and whether to stop."""

    dense = step.dense.keep() if plan.save == "dense" and isinstance(step.dense, Reusing) else step.dense

    def at(t: float) -> Tensor:
        if t == t_new:
            return step.y
        if t == previous:
            return before
        if dense is None:
            return torch.lerp(before, step.y, (t - previous) / (t_new - previous))
        return dense((t - previous) / (t_new - previous))

    before = run.y
    hit = locate(plan.events, at, previous, t_new, before, step.y) if plan.events else None
    until = t_new if hit is None else hit.time
    for c in plan.callbacks:
        c.before(previous, before, dt)
    run.accepted += 1
    run.in_a_row = 0
    while done < len(stops) and plan.direction * (stops[done] - until) <= 0:
        _output(run, plan, stops[done], at)
        done += 1
    if plan.save == "dense":
        run.segments.append(Segment(previous, t_new, at))
    run.t, run.y, run.state = until, at(until), step.state
    if plan.save == "steps" and hit is None:
        run.times.append(t_new)
        run.states.append(step.y)
    for c in plan.callbacks:
        if c.times is None:
            _let_change(problem, method, run, c.after(run.t, run.y, dt))
    if hit is not None:
        run.status = "event"
        run.times.append(run.t)
        run.states.append(run.y)
    elif run.accepted % 64 == 0 or done == len(stops):
        _check_finite(problem, method, run, plan.times[-1])
    return done, hit is not None


def _output(run: _Run, plan: _Plan, t: float, at: Callable[[float], Tensor]) -> None:
    saves, watchers = plan.actions[t]
    y = at(t)
    if saves:
        run.times.append(t)
        run.states.append(y)
    for c in watchers:
        c.after(t, y, 0.0)


def _check_finite(problem: Problem, method: Integrator, run: _Run, end: float) -> None:
    with torch.no_grad():
        size = problem.space.norm(run.y)
        if not bool(torch.isfinite(size).all()):
            raise _failure(problem, method, run, "nonfinite", _WORDS["nonfinite"], end)


def _solution(run: _Run, method: Integrator, plan: _Plan, y0: Tensor) -> Solution:
    times, states = run.times, run.states
    if plan.save == "final" and run.status == "ok":
        times, states = [run.t], [run.y]
    stats = Stats(
        run.accepted + run.rejected,
        run.accepted,
        run.rejected,
        run.work.evaluations,
        run.work.products,
        run.work.linear_iterations,
    )
    y = torch.stack(states) if states else y0.new_empty((0, *y0.shape))
    event = (torch.tensor(run.t, dtype=torch.float64), run.y) if run.status == "event" else (None, None)
    message = f"{method.name}: {stats.accepted} steps, {stats.rejected} rejected"
    return Solution(
        torch.tensor(times, dtype=torch.float64),
        y,
        stats,
        run.status,
        message,
        method.name,
        run.segments,
        *event,
    )


def _failure(
    problem: Problem, method: Integrator, run: _Run, status: str, what: str, end: float, step: Step | None = None
) -> IntegrationError:
    with torch.no_grad():
        size = float(problem.space.norm(run.y).amax())
        where = _first_bad(step.y if step is not None else run.y)
    text = f"{method.name} stopped at t = {run.t:.6g} of {end:.6g}, step {run.accepted + run.rejected}: {what}{where}; "
    text += f"norm of the state there {size:.3g}. {_ADVICE[status]} What was computed until then is in .solution."
    plan = _Plan([run.t], "times", (), (), 1.0)
    partial = replace(_solution(run, method, plan, run.y), status=status, message=text)
    return IntegrationError(text, status, partial)


_ADVICE = {
    "nonfinite": "Check the field for a division or a root at this state, or take a smaller dt or an implicit method.",
    "nonlinear": "Take a smaller dt, or a rtol that the field's precision can show.",
    "linear": "Take a smaller dt, a preconditioner, or another linear_solver.",
    "dt_min": "The problem may be stiff, or singular there: try an implicit method (sdirk2, trbdf2) or larger tolerances.",
    "max_steps": "If dt is set by stability and not by accuracy, take an implicit method (sdirk2, trbdf2); else max_steps=.",
}


def _first_bad(y: Tensor) -> str:
    bad = (~torch.isfinite(y)).nonzero()
    if len(bad) == 0:
        return ""
    index = tuple(int(i) for i in bad[0])
    return f"; first non-finite entry at index {index}" + (f" (node {index[-2]})" if len(index) >= 2 else "")
