"""The time grid of a solve: reading it, and the dependence of the solution on differentiable times.

    dy(t_i)/dt_i = f(t_i, y_i),   dy(t)/dt_0 = -(dy(t)/dy_0) f(t_0, y_0)

so that `y_i += f(t_i, y_i) (t_i - detach(t_i))` and, on entry, `y_0 -= f(t_0, y_0) (t_0 - detach(t_0))` carry the gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from .events import Event, carry_crossing
from .protocols import Problem
from .solution import Solution


def read_times(t: Tensor | Sequence[float] | float) -> list[float]:
    """The output times as numbers; a single number means `(0, t)`.

    Raises:
        ValueError: unless they are finite and strictly monotone, at least two of them.
    """
    if isinstance(t, Tensor):
        if t.dim() > 1:
            raise ValueError(f"t has shape {tuple(t.shape)}; expected one dimension (or a single number)")
        values = [float(v) for v in t.detach().double().reshape(-1).tolist()]
        values = [0.0, values[0]] if t.dim() == 0 else values
    elif isinstance(t, int | float):
        values = [0.0, float(t)]
    else:
        values = [float(v) for v in t]
    if len(values) < 2:
        raise ValueError(f"t has {len(values)} entries; expected the initial time and at least one more, or a number")
    for i, (a, b) in enumerate(pairwise(values), 1):
        if not abs(b - a) < float("inf"):
            raise ValueError(f"t[{i}] = {b} after {a}: times must be finite")
        if a == b or (b > a) != (values[1] > values[0]):
            raise ValueError(f"t goes {a} -> {b} at index {i}; times must strictly increase or strictly decrease")
    return values


def carry_initial_time(problem: Problem, t: object, y0: Tensor) -> Tensor:
    """The initial state with the dependence of the solution on a differentiable initial time `t[0]`."""
    if not (_differentiable(t) and isinstance(t, Tensor) and t.dim()):
        return y0
    start = t[0]
    return y0 - problem.f(float(start.detach()), y0) * (start - start.detach()).to(y0.dtype)


def carry_times(problem: Problem, t: object, solution: Solution) -> Solution:
    """The saved states with their dependence on the differentiable times at which they were asked for."""
    if not (_differentiable(t) and isinstance(t, Tensor)):
        return solution
    asked = {float(s.detach()): s for s in t.reshape(-1)}
    rows = []
    for at, y in zip(solution.t.tolist(), solution.y, strict=True):
        s = asked.get(at)
        rows.append(y if s is None else y + problem.f(at, y) * (s - s.detach()).to(y.dtype))
    return replace(solution, y=torch.stack(rows))


def carry_crossings(problem: Problem, events: Sequence[Event], solution: Solution) -> Solution:
    """The solution with the derivatives of its event times and event states."""
    if not solution.crossings:
        return solution
    carried = [carry_crossing(problem, events, c) for c in solution.crossings]
    if solution.status != "event":
        return replace(solution, crossings=carried)
    last = carried[-1]
    y = torch.cat([solution.y[:-1], last.y.unsqueeze(0)])
    return replace(solution, y=y, crossings=carried, t_event=last.t, y_event=last.y)


def _differentiable(t: object) -> bool:
    return isinstance(t, Tensor) and t.requires_grad and torch.is_grad_enabled()
