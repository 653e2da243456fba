"""Watching a forward solve: which steps were tried, where they led, and the state of the method now and then."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .integrators.base import Integrator, Step
from .integrators.wrapping import Wrapping
from .protocols import Problem, Work
from .structure import rebind, tensors

_FEW = 16  # marks that are kept whatever lies between them


@dataclass(frozen=True, eq=False)
class Mark:
    """Where a replay can start.

    Attributes:
        index: of the step that starts here.
        y: the solution.
        state: the method's state with placeholders for the tensors of its own.
        placeholders: these.
        own: the tensors; those that belong to the field stay in `state`.
    """

    index: int
    y: Tensor
    state: object
    placeholders: Sequence[Tensor]
    own: Sequence[Tensor]


def roots(stride: int) -> float:
    """Room for marks `stride` steps apart so that there are about `2 sqrt(N)` for N steps, with pieces of `sqrt(N) / 2`."""
    return 4.0 * stride


def cube_roots(stride: int) -> float:
    """Room for about `1.5 N^(1/3)` marks, and up to 16 where that is more; pieces are to be divided once more."""
    return min(4.0 * stride, max(_FEW, 2 * stride**0.5))


@dataclass
class Tape:
    """What a `Recorder` writes; a new initialisation starts it anew.

    Args:
        room: how many marks may be kept at a distance; beyond that many, every second one goes. None: there are none.

    Attributes:
        times: start of each accepted step.
        attempts: the step sizes tried there, the last one accepted.
        marks: in order; the first step has none, since the method is initialised there.
    """

    room: Callable[[int], float] | None
    times: list[float] = field(default_factory=list)
    attempts: list[list[float]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    stride: int = 1

    def attempt(self, index: int, t: float, dt: float, y: Tensor, state: object, problem: Problem) -> None:
        if index < len(self.attempts):
            self.attempts[index].append(dt)
            return
        self.times.append(t)
        self.attempts.append([dt])
        if self.room is not None and index and index % self.stride == 0:
            self.marks.append(mark(index, y, state, problem))
            if len(self.marks) > self.room(self.stride):
                self.stride *= 2
                self.marks = [m for m in self.marks if m.index % self.stride == 0]

    def passed(self, t: float, dt: float) -> None:
        """A step that was taken as one with the step before it: there is no state at its start."""
        self.times.append(t)
        self.attempts.append([dt])

    def unmarked(self, index: int, most: int) -> int:
        """How many steps, `most` at most, there are from `index` on until the next one that may have a mark."""
        return most if self.room is None else min(most, self.stride - index % self.stride)

    def step_containing(self, t: float) -> int:
        """The index of the step in which a time after the initial one lies; a boundary belongs to the step before it."""
        sign = 1.0 if self.attempts[0][-1] > 0 else -1.0
        return max(bisect_left(self.times, sign * t, key=lambda s: sign * s) - 1, 0)


@dataclass(frozen=True, eq=False)
class _Numbered:
    """A method's state, and the index of the step that starts from it."""

    inner: object
    index: int


@dataclass(frozen=True, eq=False)
class Recorder(Wrapping):
    """A method that writes down its steps, and else is the method itself.

    Args:
        method: the method.
        tape: what it writes to.
    """

    tape: Tape

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[object, Work]:
        state, work = self.method.init(problem, t, y)
        return _Numbered(state, 0), work

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, _Numbered):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        self.tape.attempt(state.index, t, dt, y, state.inner, problem)
        step = self.method.step(problem, t, dt, y, state.inner)
        return replace(step, state=_Numbered(step.state, state.index + 1), retry=_Numbered(step.retry, state.index))

    def several(self, problem: Problem, t: float, dt: float, count: int, y: Tensor, state: object) -> Step | None:
        """So many steps, in parts that end where there may be a mark."""
        if not isinstance(state, _Numbered) or type(self.method).several is Integrator.several:
            return None
        index, inner, work, done = state.index, state.inner, Work(), 0
        while done < count:
            part = self.tape.unmarked(index, count - done)
            step = self.method.several(problem, t, dt, part, y, inner) if part > 1 else None
            if step is None:
                if done == 0 and part > 1:
                    return None
                part, step = 1, self.method.step(problem, t, dt, y, inner)
            self.tape.attempt(index, t, dt, y, inner, problem)
            for _ in range(part - 1):
                t += dt
                self.tape.passed(t, dt)
            t += dt
            y, inner, work, index, done = step.y, step.state, work + step.work, index + part, done + part
        return Step(y, state=_Numbered(inner, index), work=work)


def own_tensors(state: object, problem: Problem) -> list[Tensor]:
    """The floating tensors of a method's state that are not the field's, in a fixed order; scratch is left out."""
    known = {id(x) for x in tensors(problem.field)}
    found = tensors(without_scratch(state))
    return [x for x in found if id(x) not in known and (x.is_floating_point() or x.is_complex())]


def without_scratch(state: object) -> object:
    """A state without the buffers that are there to be overwritten."""
    changed: dict[str, object] = {}
    fields = dataclasses.fields(state) if dataclasses.is_dataclass(state) else ()
    for f in fields:
        value = getattr(state, f.name)
        other = f.default if f.metadata.get("scratch") else without_scratch(value)
        if other is not value:
            changed[f.name] = other
    return replace(state, **changed) if changed else state  # type: ignore[type-var]


def mark(index: int, y: Tensor, state: object, problem: Problem) -> Mark:
    """Where a replay can start: step `index`, from `(y, state)`."""
    state = without_scratch(state)
    own = own_tensors(state, problem)
    placeholders = [torch.empty(0) for _ in own]
    return Mark(index, y, rebind(state, own, placeholders), placeholders, [x.clone() for x in own])
