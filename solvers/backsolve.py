"""The backward half of the adjoint: `[y, a, g]` from the last output to the first, in an autograd.Function.

Solved backwards, the state is set at every output to the one that was saved; if it has strayed from it, the gradient would
be wrong: an error says so, or the adjoint equation is solved along the forward solution instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .along import Along, second_derivatives
from .augmented import AugmentedField, AugmentedSpace
from .controllers import Controller
from .errors import IntegrationError
from .integrators.base import Integrator
from .loop import integrate
from .protocols import Problem
from .recording import Tape, roots
from .replay import Recorded
from .solution import Solution
from .task import Task

_MISMATCH = 100.0  # tolerances by which the state, solved backwards, may miss the state that was saved
_COARSE = 0.5  # the same for fixed steps, as a share of the state
_STEPS = (10, 1000)  # backward steps allowed: so many per forward step, and so many more
_FEW_STEPS = (2, 30)  # the same, where there is another way


@dataclass(frozen=True, eq=False)
class Backward:
    """How the adjoint equation is solved.

    Args:
        method: an integrator for any field; explicit unless interpolating.
        control: the step-size controller for an interval `[from, to]`.
        rtol, atol: its tolerances.
        norm: a norm of `(t, y, a, *theta)`, or None: the largest of those of y and of a.
        name: of the gradient, for messages.
        interpolating: take the state from the forward solve.
        switches: do so if the state cannot be followed back.
    """

    method: Integrator
    control: Callable[[Sequence[float]], Controller]
    rtol: float
    atol: float
    norm: Callable[[tuple[Tensor, ...]], Tensor | float] | None = None
    name: str = "adjoint"
    interpolating: bool = False
    switches: bool = False


@dataclass(frozen=True, eq=False)
class Engine:
    """One forward solve and the way back.

    Args:
        problem: of the forward solve.
        forward: the forward solve from an initial state.
        start: the initial time.
        backward: how the way back is solved.
        held: the tensors theta, as the field holds them.
        task: the forward solve as it can be repeated; needed for an interpolating way back.
        results: where the forward solve leaves its solution.
        records: the steps of the forward solve, if the way back needs them.
    """

    problem: Problem
    forward: Callable[[Tensor], Solution]
    start: float
    backward: Backward
    held: Sequence[Tensor]
    task: Task | None = None
    results: list[Solution] = field(default_factory=list)
    records: list[Recorded] = field(default_factory=list)

    @classmethod
    def of(cls, task: Task, backward: Backward, held: Sequence[Tensor]) -> Engine:
        """For a solve step by step."""
        records: list[Recorded] = []

        def forward(y: Tensor) -> Solution:
            if not backward.interpolating:
                return task.from_state(y).integrate()
            records.append(Recorded(task, held, Tape(roots), backward.name))
            solution = records[0].solution(records[0].forward(y))
            return replace(solution, crossings=records[0].solutions[0].crossings)

        return cls(task.problem, forward, task.times[0], backward, held, task, records=records)

    @torch.no_grad()
    def record(self, y0: Tensor) -> Recorded:
        """The steps of the forward solve; it is repeated, up to where it came, if it left no record."""
        if not self.records:
            if self.task is None:
                raise ValueError("got an Engine without a task, whose steps cannot be repeated; expected Engine.of(task, ...)")
            times = self.results[0].t.tolist()
            times = times if times[0] == self.start else [self.start, *times]
            save = "final" if self.task.save == "final" else "times"
            task = replace(self.task, times=times, save=save, callbacks=(), events=())
            self.records.append(Recorded(task, self.held, Tape(roots), self.backward.name))
            self.records[0].forward(y0.detach())
        return self.records[0]

    def along(self, y0: Tensor, held: Sequence[Tensor]) -> Along:
        """The way back along the recorded steps."""
        back = self.backward
        return Along(self.record(y0), y0, held, back.method, back.rtol, back.atol)


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
        engine, again = ctx.engine, torch.is_grad_enabled()
        if again and engine.records:
            a, grads = second_derivatives(engine.records[0], y0, held, grad)
        else:
            a, grads = _solve_backwards(engine, y0, ys, held, grad, again)
        return None, a, *grads


def _solve_backwards(
    engine: Engine, y0: Tensor, ys: Tensor, held: list[Tensor], grad: Tensor, again: bool
) -> tuple[Tensor | None, Sequence[Tensor | None]]:
    """The gradients; `again` keeps the graph of this computation for a second differentiation."""
    back, solution = engine.backward, engine.results[0]
    nodes = list(zip(solution.t.tolist(), ys, grad, strict=True))
    if nodes[0][0] != engine.start:
        nodes.insert(0, (engine.start, y0, torch.zeros_like(y0)))
    way: _Backwards | Along
    if engine.records:
        way = engine.along(y0, held)
    else:
        way = _Backwards(engine, AugmentedField(engine.problem.field, y0.shape, engine.held, held, again))
    a = nodes[-1][2]
    g = a.new_zeros(sum(h.numel() for h in held))
    with torch.set_grad_enabled(again):
        for i in range(len(nodes) - 1, 0, -1):
            (end, y_end, _), (begin, y_begin, direct) = nodes[i], nodes[i - 1]
            span, control = (end, begin), back.control((end, begin))
            try:
                a_begin, g = way.interval(span, control, y_end, y_begin, a, g)
            except IntegrationError as error:
                if error.status != "adjoint" or isinstance(way, Along) or not back.switches:
                    raise
                _say_switched(span)
                if again:
                    return second_derivatives(engine.record(y0), y0, held, grad)
                way = engine.along(y0, held)
                a_begin, g = way.interval(span, control, y_end, y_begin, a, g)
            a = a_begin + direct
    parts = g.split([h.numel() for h in held]) if held else []
    return a, [_cast(part.reshape(h.shape), h) for part, h in zip(parts, held, strict=True)]


def _say_switched(span: tuple[float, float]) -> None:
    warnings.warn(
        f'gradient="adjoint" could not follow the state back from t = {span[0]:.6g} to t = {span[1]:.6g}, as in a contractive '
        'flow (diffusion), and repeats the forward solve for its states. gradient="interpolating" does so from the start.',
        stacklevel=2,
    )


@dataclass(frozen=True, eq=False)
class _Backwards:
    """The way back on which the state is solved backwards too."""

    engine: Engine
    augmented: AugmentedField

    def interval(
        self, span: tuple[float, float], control: Controller, y_end: Tensor, y_begin: Tensor, a: Tensor, g: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From one output back to the one before."""
        back, base, n = self.engine.backward, self.engine.problem, y_end.numel()
        space = AugmentedSpace(base.space, y_end.shape, self.augmented.held, back.norm)
        problem = Problem(self.augmented, space, back.rtol, back.atol)
        each, more = _FEW_STEPS if back.switches else _STEPS
        most = each * self.engine.results[0].stats.steps + more
        x = torch.cat([y_end.reshape(-1), a.reshape(-1), g])
        try:
            done = integrate(problem, back.method, control, x, span, save="final", max_steps=most)
        except IntegrationError as error:
            text = f"the backward solve stopped ({error.status})"
            raise IntegrationError(_lost(back.name, span, text), "adjoint") from error
        y, a, g = done.y[-1].split([n, n, len(g)])
        miss = _missed(base, control.adaptive, y.view(y_end.shape), y_begin, done.stats.accepted)
        if miss:
            raise IntegrationError(_lost(back.name, span, miss), "adjoint")
        return a.view(y_end.shape), g


@torch.no_grad()
def _missed(problem: Problem, adaptive: bool, found: Tensor, saved: Tensor, steps: int) -> str:
    """How the state that was solved backwards is too far from the one that was saved; nothing if it is not."""
    if adaptive:
        miss, limit = problem.error_ratio(found - saved, found, saved), _MISMATCH * max(1.0, steps / 10)
        text = f"the state that it returns to is {miss:.3g} tolerances from the state that was saved (limit {limit:.3g})"
    else:
        size = float(problem.space.norm(saved).amax())
        miss, limit = float(problem.space.norm(found - saved).amax()), _COARSE * size
        text = f"the state that it returns to is {miss:.3g} from the state that was saved, whose norm is {size:.3g}"
    return "" if miss <= limit else text


def _lost(name: str, span: tuple[float, float], what: str) -> str:
    instead = 'gradient="interpolating", which takes it from the forward solve, or ' if name == "backsolve" else ""
    return (
        f'gradient="{name}" lost the solution between t = {span[0]:.6g} and t = {span[1]:.6g}: {what}. A contractive flow '
        "(diffusion) solved backwards amplifies every error, so this gradient would be wrong. "
        f'Take {instead}gradient="backprop", or ask for output times close enough together.'
    )


def _cast(gradient: Tensor, like: Tensor) -> Tensor:
    real = gradient.real if gradient.is_complex() and not like.is_complex() else gradient
    return real.to(like.dtype)
