"""Gradients of reversible methods: the backward pass undoes the steps, so that no state has to be kept.

    y_n = Phi_n^-1(y_{n+1}),   a_n = (dPhi_n/dy)^H a_{n+1} + dLoss/dy_n,   g += (dPhi_n/dtheta)^H a_{n+1}

Memory is that of one step and of the outputs, whatever the number of steps; the gradient is that of backpropagation to
rounding. Damping shrinks the momenta, and undoing it amplifies rounding by exp(damping T): where that is too much, the
solve is refused before it starts. At each output the state is set to the one that was saved.

Source: Hairer, Lubich & Wanner (2006) Geometric Numerical Integration, V; Gomez, Ren, Urtasun & Grosse (2017) NeurIPS.
"""

from __future__ import annotations

import math
from collections.abc import Container
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .controllers import Fixed
from .errors import IntegrationError
from .held import StandIns
from .integrators.base import Integrator, Retracing, Reversible, Undone
from .lookup import available, method_named
from .protocols import Problem
from .recording import Tape
from .replay import Recorded, added, differentiate, replay
from .solution import Solution
from .task import Task

_ALTERNATIVE = 'Take gradient="checkpoint", which keeps about 3 steps^(1/3) states, or gradient="backprop".'


def check_reversible(method: Integrator) -> None:
    """Raise TypeError unless the method's steps can be undone."""
    if not isinstance(method, Reversible):
        names = ", ".join(name for name in available() if isinstance(method_named(name), Reversible))
        raise TypeError(
            f'gradient="reversible" undoes the steps of a method, and those of {method.name} cannot be undone. It works for '
            f"{names} (fields with positions and momenta). {_ALTERNATIVE}"
        )


def solve_by_reversal(task: Task) -> Solution:
    """Integrate without a graph; gradients to `y0`, to what the field holds and to `params` by undoing the steps.

    Args:
        task: the solve; its callbacks see states without a graph.

    Raises:
        TypeError: for a method that is not `Reversible`.
        ValueError: if exp(damping T) eps exceeds the tolerance, T the longest time between two outputs; for a closure without
            `params`, for `save="dense"`, for events, and for a callback that replaces the state.
        IntegrationError: forwards as `integrate`; backwards if the state cannot be followed back.
    """
    check_reversible(task.method)
    if task.save == "dense" or task.events:
        what = 'save="dense"' if task.save == "dense" else "events"
        raise ValueError(f'gradient="reversible" follows whole steps, so it takes no {what}. {_ALTERNATIVE}')
    held = task.held("reversible")
    if not (task.y0.requires_grad or held):
        return task.integrate_untracked()
    _check_loss(task)
    run = Recorded(task, held, Tape(None), "reversible")
    out: Any = _Reversed.apply(run, task.y0, *held)
    return run.solution(out)


def _check_loss(task: Task) -> None:
    """Refuse what rounding would spoil: `exp(damping T) eps > rtol`."""
    problem, control, y0 = task.problem, task.control, task.y0
    method: Any = task.method
    times = [task.times[0], task.times[-1]] if task.save == "final" else task.times
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
    stand = StandIns(run.task.problem.field, run.held, [h.detach().requires_grad_() for h in held])
    problem, tape = run.task.problem.with_field(stand.field), run.tape
    wanted = run.outputs()
    alike = _alike(tape, wanted)
    y, a = out[-1], torch.zeros_like(y0)
    g: list[Tensor | None] = [None] * len(held)
    left = len(tape.times)
    while left > 0:
        for which, _ in wanted.get(left - 1, ()):  # at the end of this step, since a method without interpolant lands there
            _check_return(run, run.end(left - 1), y, out[which])
            y, a = out[which], a + grad[which]
        undone = _undo(run, problem, left - 1, alike[left - 1], stand, y, a)
        y, a, left = undone.y, undone.a, left - undone.count
        g = added(g, undone.theta)
    _check_return(run, run.task.times[0], y, y0)
    return sum((grad[which] for which, _ in wanted.get(-1, ())), a), g


def _alike(tape: Tape, wanted: Container[int]) -> list[int]:
    """For each step how many of its size, without an output between, end with it."""
    counts: list[int] = []
    for index, attempts in enumerate(tape.attempts):
        follows = index > 0 and index - 1 not in wanted and tape.attempts[index - 1][-1] == attempts[-1]
        counts.append(counts[-1] + 1 if follows else 1)
    return counts


def _undo(run: Recorded, problem: Problem, index: int, count: int, stand: StandIns, y: Tensor, a: Tensor) -> Undone:
    """Step `index`, and up to `count` with those before it, which are of its size."""
    method = run.task.method
    t, dt = run.tape.times[index], run.tape.attempts[index][-1]
    if isinstance(method, Retracing):
        return method.retrace(problem, t, dt, count, y, a, stand.theta, stand.hidden)
    start = method.undo(problem, t, dt, y)  # type: ignore[attr-defined]
    with torch.enable_grad():
        leaf = start.detach().requires_grad_()
        state, _ = method.init(problem, t, leaf)
        _, end, _ = replay(run, problem, range(index, index + 1), leaf, state, {})
        before, *more = torch.autograd.grad(end, [leaf, *stand.theta], a, retain_graph=stand.hidden, allow_unused=True)
    return Undone(1, start, before, more)


def _check_return(run: Recorded, t: float, found: Tensor, saved: Tensor) -> None:
    """Raise unless the steps, undone, came back to a state that was saved, to the tolerance."""
    with torch.no_grad():
        space = run.task.problem.space
        miss, size = (float(space.max(x.abs()).amax()) for x in (found - saved, saved))
        limit = max(float(torch.as_tensor(run.task.problem.rtol).max()), torch.finfo(saved.dtype).eps ** 0.5)
        if not miss <= limit * size:
            raise IntegrationError(
                f'gradient="reversible" missed the state at t = {t:.6g} by {miss:.3g}, where it is at most {size:.3g}: undoing '
                f"the steps amplifies rounding too much, or the field is not the same function each time. {_ALTERNATIVE}",
                "gradient",
            )
