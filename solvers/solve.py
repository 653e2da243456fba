"""The front door: names, defaults, checks, and the way gradients are computed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from .check import check_state, check_structure, step_control, steps_of_outputs, tolerances
from .choose import choose
from .controllers import PID, Controller, Fixed
from .errors import IntegrationError
from .events import Event
from .flatten import flatten_all, restore
from .flow import check_back_end, integrate_at_once, integrate_by_back_end
from .gradients import Gradient, gradient_named
from .in_pieces import solve_in_pieces
from .integrators.back_end import BackEnd
from .integrators.base import Integrator
from .integrators.exact_flow import ExactFlow
from .lookup import method_named
from .options import SolveOptions
from .per_graph_check import check_alone, steps_alone
from .pieces import Piecewise
from .progress import TextProgress
from .protocols import Callback, Problem, VectorField
from .resolve import unknown
from .solution import Solution
from .space import Plain, Space
from .stability import check_step
from .task import Task
from .times import carry_crossings, carry_initial_time, carry_times, read_times

_SAVES = ("times", "final", "steps", "dense")
_AT_ONCE = ("times", "final")  # what needs no steps


def solve(
    field: VectorField,
    y0: Any,
    t: Tensor | Sequence[float] | float,
    method: str | Integrator = "dopri5",
    *,
    dt: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    controller: Controller | None = None,
    gradient: str = "backprop",
    params: Sequence[Tensor] | None = None,
    save: str = "times",
    events: Sequence[Event] = (),
    callbacks: Sequence[Callback] = (),
    max_steps: int = 100_000,
    stability_check: bool = True,
    progress: bool = False,
    space: Space | None = None,
) -> Solution:
    """Solve `dy/dt = field(t, y)`, `y(t[0]) = y0`.

    Args:
        field: any callable `f(t, y)`; structure that it offers (see `protocols`) is used. A `Piecewise` field is solved piece
            by piece.
        y0: initial state, floating or complex; nodes on axis -2 where there are nodes. A tuple, list or dict of tensors
            is taken too: the field, events and callbacks then see that structure, and `solution.y` has it.
        t: times at which the solution is wanted, strictly monotone, the first is the initial one; a number means `(0, t)`.
        method: a name (`available()` lists them) or an `Integrator`; "auto" chooses by the structure of the field;
            "scipy:NAME" and "torchdiffeq:NAME" are methods of these libraries (`available("scipy")`).
        dt: fixed step size; without it the step size is controlled by the tolerances.
        rtol, atol: tolerances of the error per step. Default rtol: 1e-6 in float64, 1e-4 in float32; atol: rtol / 1000.
        controller: a step-size controller (default: PID() with integral gains, or Fixed(dt)).
        gradient: "backprop" through the steps; "checkpoint": the same gradient with the memory of about steps^(1/3) of them;
            "reversible": the same in constant memory, for symplectic methods; "adjoint": the continuous adjoint equation,
            solved backwards, with a state that is solved backwards too ("backsolve": constant memory) or, where that is
            ill-posed or the method is implicit, taken from the forward solve ("interpolating": memory of sqrt(steps)).
            The exact flows of linear fields have one gradient, in closed form.
        params: tensors that need a gradient, not by backprop, and that the field does not show (a closure's).
        save: "times", "final", "steps" (every accepted step) or "dense" (times, and `solution(t)` anywhere).
        events: crossings that end the solve.
        callbacks: watchers; see `Callback`.
        max_steps: steps, accepted and rejected, after which the solve fails.
        stability_check: refuse an explicit fixed step that cannot be stable on a linear field.
        progress: a line on stderr.
        space: how reductions over the state are done (default: everything is one group); `PerGraph(batch)`: graph by graph,
            and with `own_steps=True` each graph takes the adaptive steps that it takes alone.

    Returns:
        The `Solution`. Gradients flow to `y0`, to what the field holds, and to `t`.

    Raises:
        ValueError, TypeError: for input that cannot be meant.
        StabilityError: for an explicit step beyond its limit.
        IntegrationError: if the solve fails; `.solution` is what was computed until then.
    """
    if isinstance(field, Piecewise):
        given = SolveOptions(dt=dt, rtol=rtol, atol=atol, controller=controller, gradient=gradient, params=params, save=save)
        given |= SolveOptions(events=events, callbacks=callbacks, max_steps=max_steps, progress=progress, space=space)
        return solve_in_pieces(solve, field, y0, t, method, {**given, "stability_check": stability_check})
    times = read_times(t)
    if not isinstance(y0, Tensor):
        field, y0, events, callbacks, space, packing = flatten_all(field, y0, events, callbacks, space)
    else:
        packing = None
    check_state(y0)
    if method == "auto":
        integrator, why = choose(field, y0, times, dt, between=bool(events), rtol=rtol, space=space)
    else:
        integrator, why = method_named(method), ""
    if save not in _SAVES:
        raise unknown("save", save, _SAVES)
    way = gradient_named(gradient)
    check_structure(integrator, field)
    way.check(integrator)
    if steps_alone(space):
        check_alone(integrator, dt, controller, gradient, save)
    rtol, atol = tolerances(y0, rtol, atol)
    at_once = isinstance(integrator, ExactFlow) and dt is None and controller is None
    if isinstance(integrator, BackEnd):
        check_back_end(integrator, controller, gradient, events, space if packing is None else None)
        control = PID()  # its own
    else:
        control = steps_of_outputs(integrator, events, times) if at_once else step_control(integrator, controller, dt)
    problem = Problem(field, Plain() if space is None else space, rtol, atol, control.adaptive)
    if stability_check and isinstance(control, Fixed):
        check_step(problem, integrator, min(control.dt, abs(times[-1] - times[0])), y0)
    if progress:
        callbacks = [*callbacks, TextProgress(times[0], times[-1], sys.stderr)]
    y0 = carry_initial_time(problem, t, y0)
    task = Task(problem, integrator, control, y0, times, params, save, callbacks, events, max_steps)
    try:
        solution = _run(task, way, dt, at_once)
    except IntegrationError as error:
        if packing is not None and error.solution is not None:
            error.solution = restore(error.solution, packing)
        raise
    solution = carry_times(problem, t, carry_crossings(problem, events, solution))
    solution = replace(solution, message=f"{solution.message}{why}")
    return solution if packing is None else restore(solution, packing)


def _run(task: Task, way: Gradient, dt: float | None, at_once: bool) -> Solution:
    """By another library, without steps where the method needs none, or step by step."""
    problem, method, y0, times, save, callbacks = task.problem, task.method, task.y0, task.times, task.save, task.callbacks
    if isinstance(method, BackEnd):
        return integrate_by_back_end(problem, method, y0, times, save, callbacks, dt=dt, max_steps=task.max_steps)
    if isinstance(method, ExactFlow) and at_once and save in _AT_ONCE and all(c.times is not None for c in callbacks):
        return integrate_at_once(problem, method, y0, times, save, callbacks)
    return way(task)
