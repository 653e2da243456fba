"""Gradients by the continuous adjoint equation, solved backwards in time:

    y' = f(t, y, theta),   a' = -(df/dy)^H a,   g' = -(df/dtheta)^H a,   a(t_i) += dLoss/dy_i at every output

from the last output to the first; then a = dLoss/dy_0 and g = dLoss/dtheta. Memory does not grow with the number of steps.
theta are the tensors that the field holds; the field is evaluated with others in their place, so that one that was computed
from another before the solve is not counted twice. The parameter integrals never enter the error norm.

Source: Pontryagin et al. (1962); Chen, Rubanova, Bettencourt & Duvenaud (2018) NeurIPS, appendix B; without the parameters
in the norm: Kidger, Chen & Lyons (2021) ICML.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .augmented import AugmentedField, AugmentedSpace
from .controllers import Controller
from .errors import IntegrationError
from .events import Event
from .integrators.base import Integrator
from .loop import integrate
from .protocols import Callback, Problem
from .solution import Solution
from .structure import is_opaque, requiring_grad

_MISMATCH = 100.0  # tolerances by which the state, solved backwards, may miss the state that was saved
_COARSE = 0.5  # the same for fixed steps, as a share of the state
_STEPS = (10, 1000)  # backward steps allowed: so many per forward step, and so many more


@dataclass(frozen=True, eq=False)
class Backward:
    """How the adjoint equation is solved.

    Args:
        method: an explicit integrator for any field.
        control: the step-size controller for an interval `[from, to]`.
        rtol, atol: its tolerances.
        norm: a norm of `(t, y, a, *theta)`, or None: the largest of those of y and of a.
    """

    method: Integrator
    control: Callable[[Sequence[float]], Controller]
    rtol: float
    atol: float
    norm: Callable[[tuple[Tensor, ...]], Tensor | float] | None = None


def solve_by_adjoint(
    problem: Problem,
    integrator: Integrator,
    control: Controller,
    y0: Tensor,
    times: Sequence[float],
    *,
    params: Sequence[Tensor] | None = None,
    save: str = "times",
    callbacks: Sequence[Callback] = (),
    events: Sequence[Event] = (),
    max_steps: int = 100_000,
) -> Solution:
    """Integrate without a graph; gradients to `y0`, to what the field holds and to `params` by the adjoint equation.

    Args:
        params: tensors that need a gradient and that the field does not show, a closure's; `()` if there are none.

    Raises:
        TypeError: for a method that has no backward equation here (implicit, partitioned).
        ValueError: for a closure without `params`, and for `save="dense"`.
        IntegrationError: forwards as `integrate`; backwards if the state cannot be followed back.
    """
    if params is None and hides_tensors(problem.field):
        raise ValueError(
            f'gradient="adjoint" cannot see which tensors {_name(problem.field)} holds. Pass params=[...] with those that '
            "need a gradient (params=() for none), make the field an nn.Module or a frozen dataclass, or take "
            'gradient="backprop".'
        )
    held = _distinct([*requiring_grad(problem.field), *(p for p in params or () if p.requires_grad)])
    backward = Backward(integrator, lambda _: control, problem.rtol, problem.atol)
    options = {"save": save, "callbacks": callbacks, "events": events, "max_steps": max_steps}
    return solve_with(problem, integrator, control, y0, times, held, backward, **options)


def solve_with(
    problem: Problem,
    integrator: Integrator,
    control: Controller,
    y0: Tensor,
    times: Sequence[float],
    held: Sequence[Tensor],
    backward: Backward,
    *,
    save: str = "times",
    callbacks: Sequence[Callback] = (),
    events: Sequence[Event] = (),
    max_steps: int = 100_000,
) -> Solution:
    """As `solve_by_adjoint`, with the tensors that get a gradient and the backward solve stated."""
    if save == "dense":
        raise ValueError('save="dense" has no gradient by the adjoint equation; ask for times, or gradient="backprop"')
    method = backward.method
    if not method.explicit or method.needs is not None:
        raise TypeError(
            f'gradient="adjoint" solves the adjoint equation with {method.name} too, which is '
            f"{'implicit' if not method.explicit else f'for {method.needs} fields only'}. Take an explicit method such as "
            'dopri5, or gradient="backprop" (implicit steps are differentiated by one transposed solve each).'
        )
    watching: list[Callback] = [_NoChange(c) for c in callbacks]

    def forward(y: Tensor) -> Solution:
        return integrate(
            problem, integrator, control, y, times, save=save, callbacks=watching, events=events, max_steps=max_steps
        )

    if not (y0.requires_grad or held):
        with torch.no_grad():
            return forward(y0)
    engine = _Engine(problem, forward, times[0], backward, held)
    y: Any = _Adjoint.apply(engine, y0, *held)
    solution = engine.results[0]
    if solution.status != "event":
        return replace(solution, y=y)
    last = replace(solution.crossings[-1], y=y[-1])
    return replace(solution, y=y, y_event=y[-1], crossings=[*solution.crossings[:-1], last])


def hides_tensors(field: object) -> bool:
    """Whether a field, or the one that it wraps, is a plain function in which tensors cannot be found."""
    inner = getattr(field, "field", None)
    return is_opaque(field) or (inner is not None and callable(inner) and hides_tensors(inner))


@dataclass(frozen=True, eq=False)
class _NoChange:
    """A callback that may look only: a replaced state has no place in the adjoint equation."""

    callback: Callback

    @property
    def times(self) -> Sequence[float] | None:
        return self.callback.times

    def before(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.before(t, y, dt)

    def after(self, t: float, y: Tensor, dt: float) -> None:
        if self.callback.after(t, y, dt) is not None and self.times is None:
            raise ValueError(
                f"{_name(self.callback)} replaced the state at t = {t:.6g}; the adjoint equation cannot follow jumps. "
                'Take gradient="backprop", or solve in pieces between the jumps.'
            )

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.rejected(t, y, dt)


@dataclass(frozen=True, eq=False)
class _Engine:
    """One forward solve and the way back."""

    problem: Problem
    forward: Callable[[Tensor], Solution]
    start: float
    backward: Backward
    held: Sequence[Tensor]
    results: list[Solution] = field(default_factory=list)


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, engine: _Engine, y0: Tensor, *held: Tensor) -> Tensor:
        solution = engine.forward(y0.detach())
        engine.results.append(replace(solution, y=solution.y.new_empty(0)))  # without the output: no circle through its graph
        ctx.engine = engine
        ctx.save_for_backward(y0, solution.y, *held)
        return solution.y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        y0, ys, *held = ctx.saved_tensors
        a, grads = _solve_backwards(ctx.engine, y0, ys, held, grad, torch.is_grad_enabled())
        return None, a, *grads


def _solve_backwards(
    engine: _Engine, y0: Tensor, ys: Tensor, held: list[Tensor], grad: Tensor, again: bool
) -> tuple[Tensor, list[Tensor]]:
    """The gradients; `again` keeps the graph of this computation for a second differentiation."""
    solution = engine.results[0]
    nodes = list(zip(solution.t.tolist(), ys, grad, strict=True))
    if nodes[0][0] != engine.start:
        nodes.insert(0, (engine.start, y0, torch.zeros_like(y0)))
    augmented = AugmentedField(engine.problem.field, y0.shape, engine.held, held, again)
    a = nodes[-1][2]
    g = a.new_zeros(sum(h.numel() for h in held))
    with torch.set_grad_enabled(again):
        for i in range(len(nodes) - 1, 0, -1):
            (end, y_end, _), (begin, y_begin, direct) = nodes[i], nodes[i - 1]
            a, g = _interval(engine, augmented, (end, begin), y_end, y_begin, a, g)
            a = a + direct
    parts = g.split([h.numel() for h in held]) if held else []
    return a, [_cast(part.reshape(h.shape), h) for part, h in zip(parts, held, strict=True)]


def _interval(
    engine: _Engine,
    augmented: AugmentedField,
    span: tuple[float, float],
    y_end: Tensor,
    y_begin: Tensor,
    a: Tensor,
    g: Tensor,
) -> tuple[Tensor, Tensor]:
    """From one output back to the one before."""
    back = engine.backward
    space = AugmentedSpace(engine.problem.space, y_end.shape, augmented.held, back.norm)
    problem = Problem(augmented, space, back.rtol, back.atol)
    control = back.control(span)
    forward = engine.results[0].stats.steps
    x = torch.cat([y_end.reshape(-1), a.reshape(-1), g])
    try:
        done = integrate(problem, back.method, control, x, span, save="final", max_steps=_STEPS[0] * forward + _STEPS[1])
    except IntegrationError as error:
        raise IntegrationError(_lost(span, f"the backward solve stopped ({error.status})"), "adjoint") from error
    n = y_end.numel()
    y, a, g = done.y[-1].split([n, n, len(g)])
    _check_return(engine.problem, control.adaptive, y.view(y_end.shape), y_begin, span, done.stats.accepted)
    return a.view(y_end.shape), g


def _check_return(
    problem: Problem, adaptive: bool, found: Tensor, saved: Tensor, span: tuple[float, float], steps: int
) -> None:
    with torch.no_grad():
        if adaptive:
            miss, limit = problem.error_ratio(found - saved, found, saved), _MISMATCH * max(1.0, steps / 10)
            text = f"the state that it returns to is {miss:.3g} tolerances from the state that was saved (limit {limit:.3g})"
        else:
            size = float(problem.space.norm(saved).amax())
            miss, limit = float(problem.space.norm(found - saved).amax()), _COARSE * size
            text = f"the state that it returns to is {miss:.3g} from the state that was saved, whose norm is {size:.3g}"
        if not miss <= limit:
            raise IntegrationError(_lost(span, text), "adjoint")


def _lost(span: tuple[float, float], what: str) -> str:
    return (
        f'gradient="adjoint" lost the solution between t = {span[0]:.6g} and t = {span[1]:.6g}: {what}. A contractive flow '
        "(diffusion) solved backwards amplifies every error, so this gradient would be wrong. "
        'Take gradient="backprop", or ask for output times close enough together.'
    )


def _cast(gradient: Tensor, like: Tensor) -> Tensor:
    real = gradient.real if gradient.is_complex() and not like.is_complex() else gradient
    return real.to(like.dtype)


def _distinct(tensors: Sequence[Tensor]) -> list[Tensor]:
    return list({id(t): t for t in tensors}.values())


def _name(obj: object) -> str:
    inner = getattr(obj, "field", None) or getattr(obj, "callback", None) or obj
    return getattr(inner, "__qualname__", type(inner).__name__)
