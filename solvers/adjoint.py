"""Gradients by the continuous adjoint equation, solved backwards in time:

    y' = f(t, y, theta),   a' = -(df/dy)^H a,   g' = -(df/dtheta)^H a,   a(t_i) += dLoss/dy_i at every output

from the last output to the first; then a = dLoss/dy_0 and g = dLoss/dtheta. theta are the tensors that the field holds; the
field is evaluated with others in their place, so that one that was computed from another before the solve is not counted
twice. The parameter integrals never enter the error norm. Two ways to the state y(t) on the way back:

* "backsolve": it is solved backwards with a, in memory that does not grow with the steps. Contractive flows (diffusion) make
  that ill-posed: each error grows by exp(lambda t). Explicit methods only.
* "interpolating": it is that of the forward solve, whose steps are repeated from about 2 sqrt(steps) states. Any method,
  any flow.

"adjoint" takes the first, and the second where the first cannot work, and says so.

Source: Pontryagin et al. (1962); Chen, Rubanova, Bettencourt & Duvenaud (2018) NeurIPS, appendix B; without the parameters
in the norm: Kidger, Chen & Lyons (2021) ICML; along the forward solution: Rackauckas et al. (2020) arXiv:2001.04385.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from torch import Tensor

from .backsolve import Adjoint, Backward, Engine
from .integrators.exact_flow import ExactFlow
from .protocols import linear_flow
from .solution import Solution
from .task import Task


def solve_by_adjoint(task: Task) -> Solution:
    """Integrate without a graph; gradients to `y0`, to what the field holds and to `params` by the adjoint equation.

    The state is solved backwards where that works. For an implicit method, and for a linear flow that is known to contract
    too much, it is taken from the forward solve, as the solution's message says. Where it turns out on the way back that
    the state cannot be followed, the forward solve is repeated, and a warning says so.

    Args:
        task: the solve; its callbacks see states without a graph.

    Raises:
        TypeError: for a method that needs a structure which the adjoint equation has not (partitioned, semilinear).
        ValueError: for a closure without `params`, and for `save="dense"`.
        IntegrationError: forwards as `integrate`; backwards if the adjoint equation cannot be solved.
    """
    if isinstance(task.method, ExactFlow):  # its gradient is one in closed form
        return task.integrate()
    held, why = task.held("adjoint"), _why_not_backwards(task)
    solution = solve_with(task, held, _backward(task, "adjoint", interpolating=bool(why), switches=True))
    if not why:
        return solution
    return replace(solution, message=f'{solution.message}; gradient="adjoint" takes states of the forward solve, as {why}')


def solve_by_backsolve(task: Task) -> Solution:
    """The same, with the state solved backwards or not at all: memory never grows with the number of steps.

    Raises:
        TypeError: for a method that is not explicit and for any field.
        IntegrationError: backwards, if the state cannot be followed back; else as `solve_by_adjoint`.
    """
    if isinstance(task.method, ExactFlow):
        return task.integrate()
    return solve_with(task, task.held("backsolve"), _backward(task, "backsolve"))


def solve_by_interpolation(task: Task) -> Solution:
    """The same, with states of the forward solve: any method and any flow; raises as `solve_by_adjoint`."""
    if isinstance(task.method, ExactFlow):
        return task.integrate()
    return solve_with(task, task.held("interpolating"), _backward(task, "interpolating", interpolating=True))


def _backward(task: Task, name: str, *, interpolating: bool = False, switches: bool = False) -> Backward:
    control, problem = task.control, task.problem
    return Backward(
        task.method,
        lambda _: control,
        problem.rtol,
        problem.atol,
        name=name,
        interpolating=interpolating,
        switches=switches,
    )


def _why_not_backwards(task: Task) -> str:
    """Why the state cannot be solved backwards, where that is known beforehand; else nothing."""
    if not task.method.explicit:
        return f"{task.method.name} is implicit"
    flow = linear_flow(task.problem.field)
    if flow is None or not flow.operator.symmetric or task.save not in ("times", "final"):
        return ""
    times = [task.times[0], task.times[-1]] if task.save == "final" else task.times
    low, high = flow.operator.bounds()
    growth = (-low if times[-1] > times[0] else high) * max(abs(b - a) for a, b in pairwise(times))
    if not -math.log(max(task.problem.rtol, 1e-300)) < growth < math.inf:
        return ""
    return f"errors of a state solved backwards would grow by up to exp({growth:.3g})"


def solve_with(task: Task, held: Sequence[Tensor], backward: Backward) -> Solution:
    """As `solve_by_adjoint`, with the tensors that get a gradient and the backward solve stated."""
    if task.save == "dense":
        raise ValueError('save="dense" has no gradient by the adjoint equation; ask for times, or gradient="backprop"')
    method = backward.method
    if method.needs is not None or not (method.explicit or backward.interpolating):
        instead = "" if backward.interpolating else ', gradient="interpolating" (states of the forward solve)'
        raise TypeError(
            f'gradient="{backward.name}" solves the adjoint equation with {method.name} too, which is '
            f"{'implicit' if not method.explicit and method.needs is None else f'for {method.needs} fields only'}. Take an "
            f'explicit method such as dopri5{instead}, or gradient="backprop" (implicit steps are differentiated by one '
            "transposed solve each)."
        )
    task = task.watched(backward.name)
    if not (task.y0.requires_grad or held):
        return task.integrate_untracked()
    engine = Engine.of(task, backward, held)
    y: Any = Adjoint.apply(engine, task.y0, *held)
    solution = engine.results[0]
    if solution.status != "event":
        return replace(solution, y=y)
    last = replace(solution.crossings[-1], y=y[-1])
    return replace(solution, y=y, y_event=y[-1], crossings=[*solution.crossings[:-1], last])
