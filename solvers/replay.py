"""The recorded steps again, with a graph: what `checkpoint` and `reversible` differentiate.

    y_{n+1} = Phi(t_n, dt_n, y_n),   a_n = (dPhi/dy)^H a_{n+1} + dLoss/dy_n,   g += (dPhi/dtheta)^H a_{n+1}

with the t_n and dt_n of the forward solve as constants.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .errors import IntegrationError
from .held import StandIns
from .integrators.base import Step
from .interpolate import hermite
from .protocols import Problem
from .recording import Mark, Recorder, Tape
from .solution import Solution
from .structure import rebind
from .task import Task


@dataclass(frozen=True, eq=False)
class Recorded:
    """One forward solve and what is known of it.

    Args:
        task: the solve.
        held: the tensors theta, as the field or a closure holds them.
        tape: what the forward solve writes down.
        gradient: the name of the gradient, for messages.
        solutions: the forward solution, without its states.
    """

    task: Task
    held: Sequence[Tensor]
    tape: Tape
    gradient: str
    solutions: list[Solution] = field(default_factory=list)

    def forward(self, y0: Tensor) -> Tensor:
        """Solve and record; the saved states, then those at the crossings of events, `[outputs, *state]`."""
        task = self.task.from_state(y0).watched(self.gradient)
        solution = task.integrate(Recorder(task.method, self.tape))
        self.solutions.append(replace(solution, y=solution.y.new_empty(0), y_event=None))
        crossings = [c.y for c in solution.crossings]
        return torch.cat([solution.y, torch.stack(crossings)]) if crossings else solution.y

    def solution(self, out: Tensor) -> Solution:
        """The forward solution with the states that autograd sees."""
        solution = self.solutions[0]
        y, rest = out.split([len(solution.t), len(solution.crossings)])
        crossings = [replace(c, y=r) for c, r in zip(solution.crossings, rest, strict=True)]
        return replace(solution, y=y, crossings=crossings, y_event=y[-1] if solution.status == "event" else None)

    def outputs(self) -> dict[int, list[tuple[int, float]]]:
        """For each step the outputs in it, (which, time); those at the initial time are at -1."""
        solution, found = self.solutions[0], {}
        for i, t in enumerate([*solution.t.tolist(), *(float(c.t) for c in solution.crossings)]):
            step = -1 if t == self.task.times[0] else self.tape.step_containing(t)
            found.setdefault(step, []).append((i, t))
        return found

    def end(self, index: int) -> float:
        """Where a step ended; the last one may go on behind the event that stopped the solve."""
        if index + 1 < len(self.tape.times):
            return self.tape.times[index + 1]
        if self.solutions[0].status == "event":
            return self.tape.times[index] + self.tape.attempts[index][-1]
        return self.task.times[-1]


def replay(
    run: Recorded, problem: Problem, span: range, y: Tensor, state: object, wanted: Mapping[int, list[tuple[int, float]]]
) -> tuple[dict[int, Tensor], Tensor, object]:
    """The recorded steps `span` from `(y, state)`: the outputs in them, and where they lead."""
    found: dict[int, Tensor] = {}
    ends = sorted({at for index in wanted for at in (index - 1, index) if at in span})  # a step with an output is one by itself
    for index, start, step in repeated(run, problem, span, y, state, ends):
        at = _inside(problem, run.tape.times[index], run.end(index), start, step)
        for which, time in wanted.get(index, ()):
            found[which] = at(time)
        y, state = step.y, step.state
    return found, y, state


def restart(run: Recorded, problem: Problem, mark: Mark, y: Tensor, own: Sequence[Tensor]) -> object:
    """The method's state at a mark, from the solution there and the tensors of its own."""
    if mark.index == 0:
        return run.task.method.init(problem, run.task.times[0], y)[0]
    return rebind(mark.state, list(mark.placeholders), list(own))


def repeated(
    run: Recorded, problem: Problem, span: range, y: Tensor, state: object, ends: Sequence[int] | None = None
) -> Iterator[tuple[int, Tensor, Step]]:
    """The recorded steps `span` from `(y, state)`: index, state at the start, step.

    One by one, or with `ends` those between two of these indices at once where the method can: then the index is that of the
    last of them, and the state that before the first.
    """
    index, method = span.start, run.task.method
    while index < span.stop:
        t, attempts = run.tape.times[index], run.tape.attempts[index]
        count = 1 if ends is None else _alike(run.tape, index, span, ends)
        step = method.several(problem, t, attempts[-1], count, y, state) if count > 1 else None
        if step is None:
            count = 1
            for dt in attempts[:-1]:
                state = method.step(problem, t, dt, y, state).retry
            step = method.step(problem, t, attempts[-1], y, state)
        if step.status != "ok":
            raise IntegrationError(f"{_lost(run, t)}: {step.message or step.status}", step.status)
        index += count
        yield index - 1, y, step
        y, state = step.y, step.state


def _alike(tape: Tape, index: int, span: range, ends: Sequence[int]) -> int:
    """How many steps from `index` on are of one size, accepted at once, and before or at the next of the ends."""
    after = bisect_left(ends, index)
    last = min(ends[after] if after < len(ends) else span.stop - 1, span.stop - 1)
    first, count = tape.attempts[index], 1
    while len(first) == 1 and index + count <= last and tape.attempts[index + count] == first:
        count += 1
    return count


def _inside(problem: Problem, start: float, end: float, y: Tensor, step: Step) -> Callable[[float], Tensor]:
    """The solution in a step, as the loop reads it."""

    def at(s: float) -> Tensor:
        if s == end:
            return step.y
        dense = step.dense or hermite(y, step.y, problem.f(start, y), problem.f(end, step.y), end - start)
        return dense((s - start) / (end - start))

    return at


def check_same(run: Recorded, t: float, found: Tensor, saved: Tensor) -> None:
    """Raise unless a state that was recomputed is the one that was saved, to the root of the precision."""
    with torch.no_grad():
        space = run.task.problem.space
        miss, size = (float(space.max(x.detach().abs()).amax()) for x in (found - saved, saved))
        if not miss <= torch.finfo(saved.dtype).eps ** 0.5 * size:
            raise IntegrationError(
                f"{_lost(run, t)}: it is {miss:.3g} away, where the state is at most {size:.3g}. Is the field the same "
                "function each time (no fresh dropout, no random numbers, no tensors changed in place since the solve)?",
                "gradient",
            )


def added(sums: Sequence[Tensor | None], more: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Sums of gradients, None for zero."""
    return [x if new is None else new if x is None else x + new for x, new in zip(sums, more, strict=True)]


def _lost(run: Recorded, t: float) -> str:
    return f'gradient="{run.gradient}" did not come back to the state at t = {t:.6g}'


def differentiate(run: Recorded, y0: Tensor, held: Sequence[Tensor], grad: Tensor) -> tuple[Tensor | None, list[Tensor | None]]:
    """The gradients as functions that can be differentiated again: all steps in one graph, memory as by backprop.

    Raises:
        ValueError: if a closure hides tensors.
    """
    stand = StandIns(run.task.problem.field, run.held, [h.view_as(h) for h in held])
    if stand.hidden:
        raise ValueError(
            f'second derivatives by gradient="{run.gradient}" need a field that shows its tensors (an nn.Module or a frozen '
            'dataclass), not a closure with params=; or gradient="backprop"'
        )
    problem, y, wanted = run.task.problem.with_field(stand.field), y0.view_as(y0), run.outputs()
    state, _ = run.task.method.init(problem, run.task.times[0], y)
    found, _, _ = replay(run, problem, range(len(run.tape.times)), y, state, wanted)
    found.update({which: y for which, _ in wanted.get(-1, ())})
    out = torch.stack([found[i] for i in range(len(grad))])
    inputs = [x for x in (y, *stand.theta) if x.requires_grad]
    grads = iter(torch.autograd.grad(out, inputs, grad, create_graph=True, allow_unused=True))
    a, *g = [next(grads) if x.requires_grad else None for x in (y, *stand.theta)]
    return a, g
