"""Solves whose states at all output times come from one recurrence, without steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import IntegrationError
from .integrators.exact_flow import ExactFlow
from .plan import Plan
from .protocols import Callback, Problem
from .solution import Solution, Stats


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
    plan = Plan(times, save, callbacks)
    for c in callbacks:
        if any(s == plan.start for s in c.times or ()):
            c.after(plan.start, y0, 0.0)
    try:
        ys, work = method.flow(problem, [plan.start, *plan.stops], y0)
    except IntegrationError as error:
        t = torch.tensor([plan.start], dtype=torch.float64)
        partial = Solution(t, y0.unsqueeze(0), Stats(), error.status, str(error), method.name)
        raise IntegrationError(f"{error} What was computed until then is in .solution.", error.status, partial) from error
    kept: list[int] = []
    for i, t in enumerate(plan.stops):
        saves, watchers = plan.actions[t]
        for c in watchers:
            c.after(t, ys[i], 0.0)
        if saves or (save == "final" and t == plan.end):
            kept.append(i)
    chosen = ys if len(kept) == len(ys) else ys[torch.tensor(kept, device=ys.device)]
    saved, stamps = chosen, [plan.stops[i] for i in kept]
    if save != "final":
        saved, stamps = torch.cat([y0.unsqueeze(0), chosen]), [plan.start, *stamps]
    stats = Stats(1, 1, 0, work.evaluations, work.products, work.linear_iterations)
    message = f"{method.name}: {work.products} products for {len(plan.stops)} times"
    return Solution(torch.tensor(stamps, dtype=torch.float64), saved, stats, "ok", message, method.name)
