"""Gradients of reversible methods: the backward pass undoes the steps, so that no state has to be kept.

    y_n = Phi_n^-1(y_{n+1}),   a_n = (dPhi_n/dy)^H a_{n+1} + dLoss/dy_n,   g += (dPhi_n/dtheta)^H a_{n+1}

Memory is that of one step and of the outputs, whatever the number of steps; the gradient is that of backpropagation to
rounding. Damping shrinks the momenta, and undoing it amplifies rounding by exp(damping T): where that is too much, the
solve is refused before it starts. At each output the state is set to the one that was saved.

Source: Hairer, Lubich & Wanner (2006) Geometric Numerical Integration, V; Gomez, Ren, Urtasun & Grosse (2017) NeurIPS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .controllers import Controller, Fixed
from .errors import IntegrationError
from .events import Event
from .held import StandIns, held_tensors
from .integrators.base import Integrator, Reversible
from .lookup import available, method_named
from .loop import integrate
from .protocols import Callback, Problem
from .recording import Tape
from .replay import Recorded, added, differentiate, replay
from .solution import Solution

_ALTERNATIVE = 'Take gradient="checkpoint", which keeps about sqrt(steps) states, or gradient="backprop".'


def check_reversible(method: Integrator) -> None:
    """Raise TypeError unless the method's steps can be undone."""
    if not isinstance(method, Reversible):
        names = ", ".join(name for name in available() if isinstance(method_named(name), Reversible))
        raise TypeError(
            f'gradient="reversible" undoes the steps of a method, and those of {method.name} cannot be undone. It works for '
            f"{names} (fields with positions and momenta). {_ALTERNATIVE}"
        )


def solve_by_reversal(
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
    """Integrate without a graph; gradients to `y0`, to what the field holds and to `params` by undoing the steps.

    Args:
        params: tensors that need a gradient and that the field does not show, a closure's; `()` if there are none.
        callbacks: they see states without a graph.

    Raises:
        TypeError: for a method that is not `Reversible`.
        ValueError: if exp(damping T) eps exceeds the tolerance, T the longest time between two outputs; for a closure without
            `params`, for `save="dense"`, for events, and for a callback that replaces the state.
        IntegrationError: forwards as `integrate`; backwards if the state cannot be followed back.
    """
    check_reversible(integrator)
    if save == "dense" or events:
        what = 'save="dense"' if save == "dense" else "events"
        raise ValueError(f'gradient="reversible" follows whole steps, so it takes no {what}. {_ALTERNATIVE}')
    held = held_tensors(problem.field, params, "reversible")
    options = {"save": save, "callbacks": callbacks, "max_steps": max_steps}
    if not (y0.requires_grad or held):
        with torch.no_grad():
            return integrate(problem, integrator, control, y0, times, **options)
    _check_loss(problem, integrator, control, y0, [times[0], times[-1]] if save == "final" else times)
    run = Recorded(problem, integrator, control, times, options, held, Tape(False), "reversible")
    out: Any = _Reversed.apply(run, y0, *held)
    return run.solution(out)


def _check_loss(problem: Problem, method: Any, control: Controller, y0: Tensor, times: Sequence[float]) -> None:
    """Refuse what rounding would spoil: `exp(damping T) eps > rtol`."""
    damping, longest = problem.field.damping, max(abs(b - a) for a, b in pairwise(times))  # type: ignore[attr-defined]
    forward = 1.0 if times[-1] > times[0] else -1.0
    values = damping.detach().reshape(-1).tolist() if isinstance(damping, Tensor) else [damping]
    dt = min(control.dt, longest) if isinstance(control, Fixed) else longest
    lost = max(method.loss(v, forward * dt) for v in values) * longest / dt
    eps, rtol = torch.finfo(y0.dtype).eps, float(torch.as_tensor(problem.rtol).min())
    if lost > 0 and lost + math.log(eps) > math.log(max(rtol, eps)):
        error = math.exp(min(lost + math.log(eps), 700.0))
        raise ValueError(
            f'gradient="reversible" would err by about exp(damping T) eps = {error:.1e}, more than rtol = {rtol:.1e}: damping '
            f"{max(values):.3g} over T = {longest:.3g} without an output shrinks momenta by exp({lost:.3g}), and undoing that "
            f"amplifies rounding (eps = {eps:.1e}). {_ALTERNATIVE}"
        )


class _Reversed(torch.autograd.Function):
    """`apply(run, y0, *held)`: the saved states."""

    @staticmethod
    def forward(ctx: Any, run: Recorded, y0: Tensor, *held: Tensor) -> Tensor:
        out = run.forward(y0.detach())
        ctx.run = run
        ctx.save_for_backward(y0, out, *held)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        run = ctx.run
        y0, out, *held = ctx.saved_tensors
        if torch.is_grad_enabled():
            a, g = differentiate(run, y0, held, grad)
        else:
            a, g = _undo_all(run, y0, out, held, grad)
        return None, a, *g


def _undo_all(run: Recorded, y0: Tensor, out: Tensor, held: list[Tensor], grad: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """The gradients to y0 and theta, from the last step to the first."""
    stand = StandIns(run.problem.field, run.held, [h.detach().requires_grad_() for h in held])
    problem, tape, method = run.problem.with_field(stand.field), run.tape, run.method
    wanted = run.outputs()
    y, a = out[-1], torch.zeros_like(y0)
    g: list[Tensor | None] = [None] * len(held)
    for index in reversed(range(len(tape.times))):
        for which, _ in wanted.get(index, ()):  # at the end of this step, since a method without interpolant lands there
            _check_return(run, run.end(index), y, out[which])
            y, a = out[which], a + grad[which]
        t, dt = tape.times[index], tape.attempts[index][-1]
        y = method.undo(problem, t, dt, y)  # type: ignore[attr-defined]
        with torch.enable_grad():
            leaf = y.detach().requires_grad_()
            state, _ = method.init(problem, t, leaf)
            _, end, _ = replay(run, problem, range(index, index + 1), leaf, state, {})
            found = torch.autograd.grad(end, [leaf, *stand.theta], a, retain_graph=stand.hidden, allow_unused=True)
        a, *more = found
        g = added(g, more)
    _check_return(run, run.times[0], y, y0)
    return sum((grad[which] for which, _ in wanted.get(-1, ())), a), g


def _check_return(run: Recorded, t: float, found: Tensor, saved: Tensor) -> None:
    """Raise unless the steps, undone, came back to a state that was saved, to the tolerance."""
    with torch.no_grad():
        space = run.problem.space
        miss, size = (float(space.max(x.abs()).amax()) for x in (found - saved, saved))
        limit = max(float(torch.as_tensor(run.problem.rtol).max()), torch.finfo(saved.dtype).eps ** 0.5)
        if not miss <= limit * size:
            raise IntegrationError(
                f'gradient="reversible" missed the state at t = {t:.6g} by {miss:.3g}, where it is at most {size:.3g}: undoing '
                f"the steps amplifies rounding too much, or the field is not the same function each time. {_ALTERNATIVE}",
                "gradient",
            )
