"""Solves without steps of our own: all output times from one recurrence, or by another library."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .controllers import Controller
from .errors import IntegrationError
from .events import Event
from .integrators.back_end import BackEnd, Span
from .integrators.exact_flow import ExactFlow
from .plan import Plan
from .protocols import Callback, Problem
from .solution import Solution, Stats
from .space import Plain, Space


def integrate_at_once(
    problem: Problem, method: ExactFlow, y0: Tensor, times: Sequence[float], save: str, callbacks: Sequence[Callback]
) -> Solution:
    """The solution at the output times and at those that the callbacks declare.

    Args:
        save: "times" or "final".
        callbacks: watchers that declare their times; they are called in the order of time, after the solve.

    Raises:
        IntegrationError: with the initial state as its solution.
    """
    plan = _begin(Plan(times, save, callbacks), y0)
    try:
        ys, work = method.flow(problem, [plan.start, *plan.stops], y0)
    except IntegrationError as error:
        raise _failed(error, method.name, plan, y0, [], Stats()) from error
    stamps, saved = _collect(plan, y0, ys)
    stats = Stats(1, 1, 0, work.evaluations, work.products, work.linear_iterations)
    message = f"{method.name}: {work.products} products for {len(plan.stops)} times"
    return Solution(stamps, saved, stats, "ok", message, method.name)


def check_back_end(
    method: BackEnd, controller: Controller | None, gradient: str, events: Sequence[Event], space: Space | None
) -> None:
    """Raise ValueError for what a method of another library cannot be asked."""
    name, instead = method.name, "take a method of this package, such as dopri5 or trbdf2"
    if controller is not None:
        raise ValueError(f"{name} controls its own steps by rtol= and atol=: leave controller= out, or {instead}")
    if gradient != "backprop" and torch.is_grad_enabled():
        raise ValueError(f'gradient={gradient!r} is not for {name}: leave it at "backprop", or {instead}')
    if events:
        raise ValueError(f"{name} does not look for events: {instead}")
    if not (space is None or isinstance(space, Plain)):
        raise ValueError(f"{name} measures the whole state as one, and cannot take space={type(space).__name__}: {instead}")


def integrate_by_back_end(
    problem: Problem,
    method: BackEnd,
    y0: Tensor,
    times: Sequence[float],
    save: str,
    callbacks: Sequence[Callback],
    *,
    dt: float | None,
    max_steps: int,
) -> Solution:
    """The same by a method of another library; in a failure, the states that it had reached are in the solution.

    Raises:
        ValueError: for outputs and callbacks that need the steps themselves.
    """
    if save not in ("times", "final"):
        raise ValueError(f'save={save!r} needs the steps themselves; {method.name} gives save="times" and "final" only')
    watching = next((c for c in callbacks if c.times is None), None)
    if watching is not None:
        raise ValueError(
            f"{type(watching).__name__} watches every step, and {method.name} does not show its steps: give it times "
            "(a monitor: every=...), or take a method of this package"
        )
    plan = _begin(Plan(times, save, callbacks), y0)
    run = Span(problem, [plan.start, *plan.stops], dt, max_steps)
    try:
        method.span(run, y0)
    except IntegrationError as error:
        raise _failed(error, method.name, plan, y0, run.states, _stats(run)) from error
    ys = run.states if isinstance(run.states, Tensor) else torch.stack(list(run.states))
    stamps, saved = _collect(plan, y0, ys)
    message = f"{method.name}: {run.accepted} steps"
    return Solution(stamps, saved, _stats(run), "ok", message, method.name)


def _stats(run: Span) -> Stats:
    return Stats(run.tried, run.accepted, run.rejected, run.evaluations)


def _begin(plan: Plan, y0: Tensor) -> Plan:
    for c in plan.callbacks:
        if any(s == plan.start for s in c.times or ()):
            c.after(plan.start, y0, 0.0)
    return plan


def _collect(plan: Plan, y0: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """Serve the callbacks in the order of time; the times and states to save."""
    kept: list[int] = []
    for i, t in enumerate(plan.stops):
        saves, watchers = plan.actions[t]
        for c in watchers:
            c.after(t, ys[i], 0.0)
        if saves or (plan.save == "final" and t == plan.end):
            kept.append(i)
    saved = ys if len(kept) == len(ys) else ys[torch.tensor(kept, device=ys.device)]
    stamps = [plan.stops[i] for i in kept]
    if plan.save != "final":
        saved, stamps = torch.cat([y0.unsqueeze(0), saved]), [plan.start, *stamps]
    return torch.tensor(stamps, dtype=torch.float64), saved


def _failed(
    error: IntegrationError, name: str, plan: Plan, y0: Tensor, states: Sequence[Tensor], stats: Stats
) -> IntegrationError:
    t = torch.tensor([plan.start, *plan.stops[: len(states)]], dtype=torch.float64)
    partial = Solution(t, torch.stack([y0.detach(), *states]), stats, error.status, str(error), name)
    return IntegrationError(f"{error} What was computed until then is in .solution.", error.status, partial)
