"""The front door: names, defaults, checks, and the way gradients are computed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .adjoint import solve_by_adjoint
from .checkpoint import solve_by_checkpoint
from .choose import choose
from .controllers import PID, Controller, Fixed
from .errors import IntegrationError
from .events import Event
from .flatten import flatten_all, restore
from .flow import check_back_end, integrate_at_once, integrate_by_back_end
from .integrators.back_end import BackEnd
from .integrators.base import Integrator
from .integrators.exact_flow import ExactFlow
from .lookup import method_named
from .per_graph import integrate_alone
from .per_graph_check import check_alone, steps_alone
from .progress import TextProgress
from .protocols import Callback, Partitioned, Problem, VectorField, linear_flow, semilinear
from .resolve import unknown
from .reversible import check_reversible, solve_by_reversal
from .solution import Solution
from .space import Plain, Space
from .stability import check_step
from .times import carry_crossings, carry_initial_time, carry_times, read_times

_SAVES = ("times", "final", "steps", "dense")
_AT_ONCE = ("times", "final")  # what needs no steps
_GRADIENTS = ("backprop", "adjoint", "checkpoint", "reversible")


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
        field: any callable `f(t, y)`; structure that it offers (see `protocols`) is used.
        y0: initial state, floating or complex; nodes on axis -2 where there are nodes. A tuple, list or dict of tensors
            is taken too: the field, events and callbacks then see that structure, and `solution.y` has it.
        t: times at which the solution is wanted, strictly monotone, the first is the initial one; a number means `(0, t)`.
        method: a name (`available()` lists them) or an `Integrator`; "auto" chooses by the structure of the field;
            "scipy:NAME" and "torchdiffeq:NAME" are methods of these libraries (`available("scipy")`).
        dt: fixed step size; without it the step size is controlled by the tolerances.
        rtol, atol: tolerances of the error per step. Default rtol: 1e-6 in float64, 1e-4 in float32; atol: rtol / 1000.
        controller: a step-size controller (default: PID() with integral gains, or Fixed(dt)).
        gradient: "backprop" through the steps; "checkpoint": the same gradient with the memory of about sqrt(steps) of them;
            "reversible": the same in constant memory, for symplectic methods; or "adjoint" (the continuous adjoint equation,
            solved backwards). The exact flows of linear fields have one gradient, in closed form.
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
    _check_choice("save", save, _SAVES)
    _check_choice("gradient", gradient, _GRADIENTS)
    check_structure(integrator, field)
    if gradient == "reversible":
        check_reversible(integrator)
    if steps_alone(space):
        check_alone(integrator, dt, controller, gradient, save)
    rtol, atol = _tolerances(y0, rtol, atol)
    problem = Problem(field, Plain() if space is None else space, rtol, atol)
    at_once = isinstance(integrator, ExactFlow) and dt is None and controller is None
    if isinstance(integrator, BackEnd):
        check_back_end(integrator, controller, gradient, events, space if packing is None else None)
        control = PID()  # its own
    else:
        control = _of_outputs(integrator, events, times) if at_once else _controller(integrator, controller, dt)
    problem = replace(problem, error_control=control.adaptive)
    if stability_check and isinstance(control, Fixed):
        check_step(problem, integrator, min(control.dt, abs(times[-1] - times[0])), y0)
    if progress:
        callbacks = [*callbacks, TextProgress(times[0], times[-1], sys.stderr)]
    y0 = carry_initial_time(problem, t, y0)
    options = {"save": save, "callbacks": callbacks, "events": events, "max_steps": max_steps}
    try:
        if isinstance(integrator, BackEnd):
            solution = integrate_by_back_end(problem, integrator, y0, times, save, callbacks, dt=dt, max_steps=max_steps)
        elif isinstance(integrator, ExactFlow) and at_once and save in _AT_ONCE and all(c.times is not None for c in callbacks):
            solution = integrate_at_once(problem, integrator, y0, times, save, callbacks)
        elif gradient == "adjoint" and torch.is_grad_enabled() and not isinstance(integrator, ExactFlow):
            solution = solve_by_adjoint(problem, integrator, control, y0, times, params=params, **options)
        elif gradient == "checkpoint" and torch.is_grad_enabled():
            solution = solve_by_checkpoint(problem, integrator, control, y0, times, params=params, **options)
        elif gradient == "reversible" and torch.is_grad_enabled():
            solution = solve_by_reversal(problem, integrator, control, y0, times, params=params, **options)
        else:
            solution = integrate_alone(problem, integrator, control, y0, times, **options)
    except IntegrationError as error:
        if packing is not None and error.solution is not None:
            error.solution = restore(error.solution, packing)
        raise
    solution = carry_times(problem, t, carry_crossings(problem, events, solution))
    solution = replace(solution, message=f"{solution.message}{why}")
    return solution if packing is None else restore(solution, packing)


def check_state(y0: Tensor) -> None:
    """Raise ValueError unless the initial state is of a floating or complex type and finite."""
    if not (y0.is_floating_point() or y0.is_complex()):
        raise ValueError(f"y0 is {str(y0.dtype).removeprefix('torch.')}; expected a floating type: y0.double() or y0.float()")
    bad = (~torch.isfinite(y0.detach())).nonzero()
    if len(bad):
        first = tuple(int(i) for i in bad[0])
        where = f"node {first[-2]}, feature {first[-1]}" if len(first) >= 2 else f"index {first[0] if first else 0}"
        raise ValueError(f"y0 has {len(bad)} non-finite values, the first at {where}; clean the data before solving")


def _check_choice(what: str, got: str, known: Sequence[str]) -> None:
    if got not in known:
        raise unknown(what, got, known)


def check_structure(method: Integrator, field: VectorField) -> None:
    """Raise TypeError unless the field offers the structure that the method needs."""
    if not callable(field):
        raise TypeError(f"field is a {type(field).__name__}; expected a callable f(t, y)")
    if method.needs == "partitioned" and not isinstance(field, Partitioned):
        raise TypeError(
            f"{method.name} needs a field with velocity(t, p), force(t, q) and damping, and a state stack((q, p)); "
            f"{type(field).__name__} has none. Offer them, or take a method for any field such as dopri5."
        )
    if method.needs == "semilinear" and semilinear(field) is None:
        raise TypeError(
            f"{method.name} needs a field y' = L(t, y) y + g(t, y) that offers linear_part(t, y), a LinearOperator, and "
            f"nonlinear_part(t, y); {type(field).__name__} does not. Offer them, hand a linear field as LinearFlow(operator, "
            "source), or take a method for any field such as dopri5 or trbdf2."
        )
    if method.needs == "linear" and linear_flow(field) is None:
        raise TypeError(f"{method.name} needs a LinearFlow(operator, source); {type(field).__name__} is not one")


def _tolerances(y0: Tensor, rtol: float | None, atol: float | None) -> tuple[float, float]:
    eps = torch.finfo(y0.dtype).eps
    if rtol is not None and 0 < rtol < 10 * eps:
        name = str(y0.dtype).removeprefix("torch.")
        raise ValueError(
            f"rtol = {rtol:g} is below what {name} can show (about {10 * eps:.1e} = 10 eps). Use rtol >= {10 * eps:.1e}"
            + ("" if y0.dtype in (torch.float64, torch.complex128) else " or y0.double().")
        )
    if (rtol == 0 and not atol) or (rtol or 0) < 0 or (atol or 0) < 0:
        raise ValueError(f"rtol = {rtol}, atol = {atol}: tolerances must not be negative and not both zero")
    default = 1e-6 if y0.dtype in (torch.float64, torch.complex128) else 1e-4
    rtol = default if rtol is None else rtol
    return rtol, rtol / 1000 if atol is None else atol


def _of_outputs(method: Integrator, events: Sequence[Event], times: Sequence[float]) -> Controller:
    """Steps from output to output, for methods that are exact over any of them."""
    if events:
        raise ValueError(f"{method.name} is exact over any step, and looks for events between steps: give dt=")
    return Fixed(abs(times[-1] - times[0]))


def _controller(method: Integrator, controller: Controller | None, dt: float | None) -> Controller:
    if controller is not None and dt is not None:
        raise ValueError("give dt= (fixed steps) or controller=, not both")
    if dt is not None:
        return Fixed(float(dt))
    if controller is None:
        controller = PID()
    if controller.adaptive and not method.adaptive:
        raise ValueError(f"{method.name} has no error estimate, so its step size cannot be controlled: give dt=")
    return controller
