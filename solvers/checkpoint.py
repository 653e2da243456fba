"""Gradients by checkpointing: the forward solve leaves no graph, the backward pass repeats it piece by piece with one.

About `1.5 N^(1/3)` states of N steps are kept (the solution and what the method remembers). On the way back a piece between
two of them is repeated without a graph, which leaves about `N^(1/3)` states in it, and then from each of these, the last one
first, a few steps with one: memory O(N^(1/3)), for two more forward solves. Up to 128 steps the pieces are of at most eight,
are not divided, and there is one more forward solve. The gradient is that of backpropagation through the same steps, whose
sizes are constants.

Source: Griewank (1992) Optimization Methods and Software 1, 35; Chen, Xu, Zhang & Guestrin (2016) arXiv:1604.06174.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import IntegrationError
from .held import StandIns
from .recording import Mark, Tape, cube_roots, mark, own_tensors
from .replay import Recorded, added, check_same, differentiate, repeated, replay, restart
from .solution import Solution
from .structure import rebind
from .task import Task

_SHORT = 8  # steps that are repeated with a graph as one piece


def solve_by_checkpoint(task: Task) -> Solution:
    """Integrate without a graph; gradients to `y0`, to what the field holds and to `params` by repeating the steps.

    Args:
        task: the solve; its callbacks see states without a graph.

    Raises:
        ValueError: for a closure without `params`, for `save="dense"`, and for a callback that replaces the state.
        IntegrationError: forwards as `integrate`; backwards if the steps do not lead where they led before.
    """
    if task.save == "dense":
        raise ValueError('save="dense" keeps every step, and gradient="checkpoint" none; ask for times, or gradient="backprop"')
    held = task.held("checkpoint")
    if not (task.y0.requires_grad or held):
        return task.integrate_untracked()
    run = Recorded(task, held, Tape(cube_roots), "checkpoint")
    out: Any = _Checkpointed.apply(run, task.y0, *held)
    return run.solution(out)


class _Checkpointed(torch.autograd.Function):
    """`apply(run, y0, *held)`: the outputs of `run.forward`."""

    @staticmethod
    def forward(ctx: Any, run: Recorded, y0: Tensor, *held: Tensor) -> Tensor:
        out = run.forward(y0.detach())
        marks = run.tape.marks
        ctx.run, ctx.counts = run, [1 + len(m.own) for m in marks]
        ctx.save_for_backward(y0, *held, *(x for m in marks for x in (m.y, *m.own)))
        run.tape.marks = [Mark(m.index, m.y.new_empty(0), m.state, m.placeholders, ()) for m in marks]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        run = ctx.run
        y0, *kept = ctx.saved_tensors
        held = [kept.pop(0) for _ in run.held]
        if torch.is_grad_enabled():
            a, g = differentiate(run, y0, held, grad)
            return None, a, *g
        ctx.maybe_clear_saved_tensors()  # each mark is given back when it has been used, unless the graph is retained
        marks = [Mark(0, y0, None, (), ())]
        for m, count in zip(run.tape.marks, ctx.counts, strict=True):
            marks.append(Mark(m.index, kept[0], m.state, m.placeholders, kept[1:count]))
            del kept[:count]
        a, g = _Backward(run, held, grad).through(y0, marks)
        return None, a, *g


class _Backward:
    """From the last piece to the first.

    Args:
        run: the forward solve.
        held: the values of the tensors theta.
        grad: the cotangent of the outputs.
    """

    def __init__(self, run: Recorded, held: Sequence[Tensor], grad: Tensor):
        self.run, self.grad, self.wanted = run, grad, run.outputs()
        self.stand = StandIns(run.task.problem.field, run.held, [h.detach().requires_grad_() for h in held])
        self.problem = run.task.problem.with_field(self.stand.field)
        self.g: list[Tensor | None] = [None] * len(held)

    def through(self, y0: Tensor, marks: list[Mark]) -> tuple[Tensor, list[Tensor | None]]:
        """The gradients to y0 and theta; the marks are used up."""
        a, to_state, end, after = None, [], len(self.run.tape.times), None
        while marks:
            parts = self._parts(marks.pop(), end)
            while parts:
                first = parts.pop()
                a, to_state = self._piece(first, end, a, to_state, after)
                end, after = first.index, first.y
        direct = [self.grad[which] for which, _ in self.wanted.get(-1, ())]
        return sum(direct, torch.zeros_like(y0) if a is None else a), self.g

    @torch.no_grad()
    def _parts(self, first: Mark, end: int) -> list[Mark]:
        """The mark, and new ones on the way to the end of its piece, if that is far."""
        parts, stride = [first], math.ceil((end - first.index) ** 0.5)
        if end - first.index <= _SHORT:
            return parts
        state = self._restart(first, first.y, [x.clone() for x in first.own])
        span = range(first.index, first.index + (end - first.index - 1) // stride * stride)
        ends = range(first.index + stride - 1, end, stride)
        for index, _, step in repeated(self.run, self.problem, span, first.y, state, ends):
            if (index + 1 - first.index) % stride == 0:
                parts.append(mark(index + 1, step.y, step.state, self.problem))
        return parts

    def _piece(
        self, first: Mark, end: int, a: Tensor | None, to_state: list[Tensor | None], after: Tensor | None
    ) -> tuple[Tensor | None, list[Tensor | None]]:
        """The cotangents of the solution and the method's state at a mark, from those at the end of its piece."""
        run, problem = self.run, self.problem
        with torch.enable_grad():
            y = first.y.detach().requires_grad_()
            leaves = [x.detach().requires_grad_() for x in first.own]
            state = self._restart(first, y, leaves)
            found, last, state = replay(run, problem, range(first.index, end), y, state, self.wanted)
        if after is not None:
            check_same(run, run.tape.times[end], last, after)
        reached = own_tensors(state, problem) if to_state else []
        if len(reached) != len(to_state):
            raise IntegrationError(
                f"{run.task.method.name} kept {len(to_state)} tensors forwards and {len(reached)} in the repetition, so "
                'gradient="checkpoint" cannot join the pieces; take gradient="backprop"',
                "gradient",
            )
        pairs = [(found[i], self.grad[i]) for i in found] + [(last, a), *zip(reached, to_state, strict=True)]
        return self._pull_back([(x, c) for x, c in pairs if c is not None and x.requires_grad], [y, *leaves])

    def _restart(self, first: Mark, y: Tensor, own: Sequence[Tensor]) -> object:
        """The method's state at a mark, with what stands in for the tensors theta."""
        return rebind(restart(self.run, self.problem, first, y, own), list(self.stand.held), list(self.stand.leaves))

    def _pull_back(
        self, pairs: Sequence[tuple[Tensor, Tensor]], inputs: list[Tensor]
    ) -> tuple[Tensor | None, list[Tensor | None]]:
        if not pairs:
            return None, [None] * (len(inputs) - 1)
        ends, cotangents = zip(*pairs, strict=True)
        everything = [*inputs, *self.stand.theta]
        # what a closure holds may have a history of its own, which the next piece needs again
        found = torch.autograd.grad(ends, everything, cotangents, retain_graph=self.stand.hidden, allow_unused=True)
        a, *rest = found[: len(inputs)]
        self.g = added(self.g, found[len(inputs) :])
        return a, list(rest)
