"""The backward half of the adjoint: `[y, a, g]` from the last output to the first, in an autograd.Function.

At every output the state is set to the one that was saved; if the state solved backwards has strayed from it, the gradient
would be wrong and an error says so.
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
from .integrators.base import Integrator
from .loop import integrate
from .protocols import Problem
from .solution import Solution

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


@dataclass(frozen=True, eq=False)
class Engine:
    """One forward solve and the way back.

    Args:
        problem: of the forward solve.
        forward: the forward solve from an initial state.
        start: the initial time.
        backward: how the way back is solved.
        held: the tensors theta, as the field holds them.
        results: where the forward solve leaves its solution.
    """

    problem: Problem
    forward: Callable[[Tensor], Solution]
    start: float
    backward: Backward
    held: Sequence[Tensor]
    results: list[Solution] = field(default_factory=list)


class Adjoint(torch.autograd.Function):
    """`apply(engine, y0, *held)`: the saved states of the engine's forward solve; the rest of it is in `engine.results`."""

    @staticmethod
    def forward(ctx: Any, engine: Engine, y0: Tensor, *held: Tensor) -> Tensor:
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
    engine: Engine, y0: Tensor, ys: Tensor, held: list[Tensor], grad: Tensor, again: bool
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
    engine: Engine,
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
