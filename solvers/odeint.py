"""`odeint`, `odeint_adjoint` and `odeint_event` with the signatures and behaviour of torchdiffeq.

Differences, all on purpose: an option that no method has is refused instead of ignored; a field that returns a wrong shape is
refused instead of broadcast; a state that is not finite raises `IntegrationError`, which carries what was computed (and is an
AssertionError here, as torchdiffeq's is); Adams methods have order 4 unless `max_order` (2 to 5) is given; lists and dicts of
tensors are states too; parameter integrals enter the adjoint's error norm only if the user's norm looks at them; the event
time of `odeint_adjoint` has its gradient. Source of the interface: Chen (2018), torchdiffeq, https://github.com/rtqichen/torchdiffeq.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .events import Crossing, Event, carry_crossing
from .flatten import Flattened, Packing, flatten_event, restore
from .held import hides_tensors
from .integrators.back_end import BackEnd
from .integrators.base import Integrator
from .odeint_errors import OdeintValueError
from .odeint_options import Way, way
from .odeint_setup import AdjointWay, Tolerance, prepare, restored
from .protocols import Problem
from .solution import Solution
from .space import Plain
from .structure import tensors


def odeint(
    func: Callable[[Tensor, Any], Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Tolerance = 1e-7,
    atol: Tolerance = 1e-9,
    method: str | Integrator | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: Callable[[Tensor, Any], Tensor] | None = None,
) -> Any:
    """Solve `dy/dt = func(t, y)`, `y(t[0]) = y0`, differentiably through the steps.

    Args:
        func: the field; a scalar tensor and a state in, a state out. Its attributes `callback_step` (before a step is
            tried), `callback_accept_step` and `callback_reject_step` (adaptive steps), if any, are called with `(t, y, dt)`.
        y0: tensor of any shape, or a tuple, list or dict of tensors.
        t: strictly increasing or decreasing times, `[times]`; the first is that of y0.
        rtol, atol: tolerances of the error per step; with a tuple state also one for each entry.
        method: a name of torchdiffeq's (`rk4` is the 3/8 rule, as there; `explicit_adams`, `implicit_adams` are of order 4;
            `scipy_solver` has no gradient), any of `available()`, or an `Integrator`; default dopri5.
        options: fixed grids: step_size, grid_constructor, interp ("linear", "cubic"), perturb; adaptive steps:
            first_step, min_step, max_step, max_num_steps, norm, safety, ifactor, dfactor, dtype, step_t, jump_t;
            `scipy_solver`: solver (its class, default "LSODA"), min_step, max_step.
        event_fn: if given, `t` has two entries, the second only says the direction, and the solve ends where any entry of
            `event_fn(t, y)` changes sign; a zero at t[0] is no event.

    Returns:
        The states, `[times, *state]` in the structure of y0; with `event_fn` the pair of event time and states
        `[2, *state]` (see `odeint_event` for its gradient).

    Raises:
        UnknownName: for a method or an option that does not exist.
        ValueError, TypeError: for input that cannot be meant.
        IntegrationError: if the solve fails; `.solution` is what was computed until then.
    """
    return _odeint(func, y0, t, rtol, atol, way(method, options), event_fn, None)


def odeint_adjoint(
    func: Callable[[Tensor, Any], Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Tolerance = 1e-7,
    atol: Tolerance = 1e-9,
    event_fn: Callable[[Tensor, Any], Tensor] | None = None,
    adjoint_rtol: float | None = None,
    adjoint_atol: float | None = None,
    adjoint_method: str | Integrator | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
    method: str | Integrator | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """As `odeint`, with gradients by the continuous adjoint equation (see `adjoint`): memory does not grow with the steps.
    Where the state cannot be followed backwards (contractive flows), the forward solve is repeated, and a warning says so.

    Args:
        adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options: for the backward solve; default: those of the forward
            one (dopri5 after a method of another library). `adjoint_options["norm"]` is a function of
            `(t, y, a, *parameters)`; "seminorm" is the default.
        adjoint_params: tensors that get a gradient; default: those that func holds (an nn.Module or a dataclass).

    Attributes `callback_step_adjoint`, `callback_accept_step_adjoint` and `callback_reject_step_adjoint` of func are called in
    the backward solve with `(t, (0, y, a, *parameters), dt)`.

    Raises:
        ValueError: if func is a plain function and `adjoint_params` is not given (`()` if there are none), or if
            `adjoint_options` cannot be inferred; and as `odeint`.
    """
    if adjoint_params is None and hides_tensors(func):
        raise ValueError(
            "func is a plain function, in which parameters cannot be found: make it an nn.Module, or pass "
            "adjoint_params=[...] (adjoint_params=() if there are none)"
        )
    other = adjoint_method is not None and adjoint_method != method
    if other and options is not None and adjoint_options is None:
        raise ValueError("adjoint_method is not method, so adjoint_options cannot be taken from options: pass adjoint_options")
    inherited = {k: v for k, v in (options or {}).items() if k != "norm"}
    back_options = dict(inherited if adjoint_options is None else adjoint_options)
    norm = back_options.pop("norm", None)
    if isinstance(norm, str) and norm != "seminorm":
        raise ValueError(f"adjoint_options['norm'] = {norm!r}; expected a function or 'seminorm'")
    forward, chosen = way(method, options), method if adjoint_method is None else adjoint_method
    if adjoint_method is None and isinstance(forward.method, BackEnd):
        chosen, back_options = None, {} if adjoint_options is None else back_options
    params = tensors(func) if adjoint_params is None else list(adjoint_params)
    held = list({id(p): p for p in params if p.requires_grad}.values())
    if adjoint_params is not None and callable(norm) and len(held) < len(params):
        warnings.warn("an adjoint parameter needs no gradient: adjoint_options['norm'] is called without it", stacklevel=2)
    tolerances = (rtol if adjoint_rtol is None else adjoint_rtol, atol if adjoint_atol is None else adjoint_atol)
    adjoint = AdjointWay(way(chosen, back_options), held, tolerances, None if norm == "seminorm" else norm)
    return _odeint(func, y0, t, rtol, atol, forward, event_fn, adjoint)


def odeint_event(
    func: Callable[[Tensor, Any], Any],
    y0: Any,
    t0: Tensor,
    *,
    event_fn: Callable[[Tensor, Any], Tensor],
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> tuple[Tensor, Any]:
    """Solve until `event_fn(t, y)` changes sign; event time and state are differentiable (implicit function theorem).

    Args:
        func, y0, event_fn: as for `odeint`.
        t0: the initial time, a tensor.
        reverse_time: integrate backwards in time.
        odeint_interface: `odeint` or `odeint_adjoint` (torchdiffeq's work too); kwargs are passed to it.

    Returns:
        The event time, and the states at t0 and at the event, `[2, *state]`.
    """
    start = t0.reshape(-1)
    t = torch.cat([start, start.detach() + (-1.0 if reverse_time else 1.0)])
    event_t, states = odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
    packing = None if isinstance(y0, Tensor) else Packing.of(y0)
    rows = states if packing is None else torch.stack([_row(states, packing, i) for i in (0, 1)])
    field = func if packing is None else Flattened(func, packing)
    event = Event(event_fn) if packing is None else flatten_event(Event(event_fn), packing)
    time, y = event_t.detach().reshape(()), rows[-1]
    with torch.no_grad():
        entry = int(torch.as_tensor(event.function(time, y)).reshape(-1).abs().argmin())
    crossing = carry_crossing(Problem(field, Plain()), [event], Crossing(0, entry, time.double(), y))
    rows = torch.stack([rows[0], crossing.y])
    return crossing.t.to(event_t.dtype), rows if packing is None else packing.unpack(rows)


def odeint_dense(
    func: Callable[[Tensor, Any], Any],
    y0: Any,
    t0: Tensor | float,
    t1: Tensor | float,
    *,
    rtol: Tolerance = 1e-7,
    atol: Tolerance = 1e-9,
    method: str | Integrator | None = None,
    options: Mapping[str, Any] | None = None,
) -> Solution:
    """As `odeint` from t0 to t1, with the solution at any time between: `odeint_dense(f, y0, 0.0, 1.0)(t)`.

    Args:
        func, y0, rtol, atol, method, options: as for `odeint`.
        t0, t1: the interval.

    Returns:
        A `Solution`; called with a time it gives the state there, with `[k]` times `[k, *state]`.

    Raises:
        As `odeint`; ValueError for a method of another library, whose steps are not shown.
    """
    ends = [torch.as_tensor(s, dtype=None if isinstance(s, Tensor) else torch.float64).reshape(()) for s in (t0, t1)]
    run, flat, packing = prepare(func, y0, torch.stack([s.to(ends[0]) for s in ends]), (rtol, atol), way(method, options))
    if isinstance(run.how.method, BackEnd):
        raise OdeintValueError(f"{run.how.method.name} does not show its steps: take a method such as dopri5")
    with restored(packing):
        solution = run.dense(flat)
    return solution if packing is None else restore(solution, packing)


def _odeint(func: Any, y0: Any, t: Any, rtol: Any, atol: Any, how: Way, event_fn: Any, adjoint: AdjointWay | None) -> Any:
    run, flat, packing = prepare(func, y0, t, (rtol, atol), how, event_fn, adjoint)
    if len(t) == 1 and event_fn is None:
        return flat.unsqueeze(0) if packing is None else packing.unpack(flat.unsqueeze(0))
    with restored(packing):
        time, y = run.solve(flat)
    states = y if packing is None else packing.unpack(y)
    return states if time is None else (time.to(t), states)


def _row(states: Any, packing: Packing, i: int) -> Tensor:
    return packing.pack(packing.map(states, lambda s: s[i]))
