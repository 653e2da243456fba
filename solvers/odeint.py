"""`odeint`, `odeint_adjoint` and `odeint_event` with the signatures and behaviour of torchdiffeq.

Differences, all on purpose: an unknown option is refused instead of ignored; a field that returns a wrong shape is refused
instead of broadcast; a state that is not finite raises `IntegrationError`, which carries what was computed; Adams methods
have order 4 unless `max_order` (2 to 5) is given; lists and dicts of tensors are states too; parameter integrals never enter
the adjoint's error norm. Source of the interface: Chen (2018), torchdiffeq, https://github.com/rtqichen/torchdiffeq.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .backsolve import Backward
from .events import Crossing, Event, carry_crossing
from .flatten import Flattened, Packing, flatten_event
from .held import hides_tensors
from .integrators.base import Integrator
from .norms import Normed
from .odeint_options import Way, way
from .odeint_run import FieldCallbacks, Run
from .protocols import Problem
from .solve import check_state, check_structure
from .space import Plain, Space
from .structure import tensors

Tolerance = float | Tensor | Sequence[float | Tensor]


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
        func: the field; a scalar tensor and a state in, a state out. Its attributes `callback_step`,
            `callback_accept_step` and `callback_reject_step`, if any, are called with `(t, y, dt)`.
        y0: tensor of any shape, or a tuple, list or dict of tensors.
        t: strictly increasing or decreasing times, `[times]`; the first is that of y0.
        rtol, atol: tolerances of the error per step; with a tuple state also one for each entry.
        method: a name of torchdiffeq's (`rk4` is the 3/8 rule, as there; `explicit_adams`, `implicit_adams` are of order 4),
            any of `available()`, or an `Integrator`; default dopri5.
        options: fixed grids: step_size, grid_constructor, interp ("linear", "cubic"), perturb; adaptive steps:
            first_step, min_step, max_step, max_num_steps, norm, safety, ifactor, dfactor, dtype, step_t, jump_t.
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

    Args:
        adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options: for the backward solve; default: those of the forward
            one. `adjoint_options["norm"]` is a function of `(t, y, a, *parameters)`; "seminorm" is the default.
        adjoint_params: tensors that get a gradient; default: those that func holds (an nn.Module or a dataclass).

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
    back = way(method if adjoint_method is None else adjoint_method, back_options)
    params = tensors(func) if adjoint_params is None else list(adjoint_params)
    held = list({id(p): p for p in params if p.requires_grad}.values())
    tolerances = (rtol if adjoint_rtol is None else adjoint_rtol, atol if adjoint_atol is None else adjoint_atol)
    adjoint = _Adjoint(back, held, tolerances, None if norm == "seminorm" else norm)
    return _odeint(func, y0, t, rtol, atol, way(method, options), event_fn, adjoint)


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


def _row(states: Any, packing: Packing, i: int) -> Tensor:
    return packing.pack(packing.map(states, lambda s: s[i]))


class _Adjoint:
    """What `odeint_adjoint` adds: the way back."""

    def __init__(self, way: Way, held: list[Tensor], tolerances: tuple[Tolerance, Tolerance], norm: Any):
        self.way, self.held, self.tolerances, self.norm = way, held, tolerances, norm

    def backward(self, packing: Packing | None) -> Backward:
        for name, value in zip(("adjoint_rtol", "adjoint_atol"), self.tolerances, strict=True):
            if not isinstance(value, int | float) and not (isinstance(value, Tensor) and value.dim() == 0):
                raise ValueError(f"the backward solve has one tolerance for all entries; pass {name}= as a number")
        norm = self.norm
        if norm is not None and packing is not None:
            inner = norm

            def norm(parts: tuple[Tensor, ...]) -> Any:
                t, y, a, *g = parts
                return inner((t, *packing.leaves(y), *packing.leaves(a), *g))

        rtol, atol = (float(v) for v in self.tolerances)  # type: ignore[arg-type]
        return Backward(self.way.method, lambda span: self.way.control(list(span)), rtol, atol, norm)


def _odeint(func: Any, y0: Any, t: Tensor, rtol: Any, atol: Any, how: Way, event_fn: Any, adjoint: _Adjoint | None) -> Any:
    if not callable(func):
        raise TypeError(f"func is a {type(func).__name__}; expected a callable f(t, y)")
    if not isinstance(t, Tensor) or t.dim() != 1 or not t.is_floating_point():
        found = f"{tuple(t.shape)} {t.dtype}" if isinstance(t, Tensor) else type(t).__name__
        raise TypeError(f"t is {found}; expected a floating tensor with one dimension")
    if event_fn is not None and len(t) != 2:
        raise ValueError(f"t has {len(t)} entries; with event_fn it has two: the initial time, and one in the direction")
    packing = None if isinstance(y0, Tensor) else Packing.of(y0)
    flat = y0 if packing is None else packing.pack(y0)
    check_state(flat)
    if len(t) == 1 and event_fn is None:
        return flat.unsqueeze(0) if packing is None else packing.unpack(flat.unsqueeze(0))
    field: Any = func if packing is None else Flattened(func, packing)
    check_structure(how.method, field)
    problem = Problem(
        field, _space(packing, how), _tolerance("rtol", rtol, packing, flat), _tolerance("atol", atol, packing, flat)
    )
    events = [] if event_fn is None else [Event(event_fn) if packing is None else flatten_event(Event(event_fn), packing)]
    backward = None if adjoint is None else adjoint.backward(packing)
    held = [] if adjoint is None else adjoint.held
    run = Run(problem, how, t, events, FieldCallbacks.of(func, packing), backward, held)
    time, y = run.solve(flat)
    states = y if packing is None else packing.unpack(y)
    return states if time is None else (time.to(t), states)


def _space(packing: Packing | None, how: Way) -> Space:
    norm = how.options.get("norm")
    if packing is not None:
        return packing.space(norm)
    return Plain() if norm is None else Normed(norm)


def _tolerance(name: str, value: Any, packing: Packing | None, like: Tensor) -> Any:
    """A number, or a tensor with one entry for each of the state."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise ValueError(f"{name} requires a gradient; tolerances are constants: {name}.detach()")
        return float(value) if value.dim() == 0 else value.to(like.real.dtype if like.is_complex() else like.dtype)
    if packing is None or len(value) != len(packing.shapes):
        count = 1 if packing is None else len(packing.shapes)
        raise ValueError(f"{name} has {len(value)} entries for a state of {count}; give a number, or one for each entry")
    parts = [torch.as_tensor(v, dtype=like.dtype).expand(s.numel()) for v, s in zip(value, packing.shapes, strict=True)]
    return torch.cat(parts)
