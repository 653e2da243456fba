"""torchdiffeq's callbacks: attributes of the field that are called as `callback(t, y, dt)`, dt positive.

`callback_step` is called before a step is tried, `callback_accept_step` or `callback_reject_step` after it was judged; the
names with `_adjoint` are those of the backward solve, whose state is the tuple `(0, y, a, *parameters)`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .controllers import Controller
from .integrators.back_end import BackEnd
from .integrators.base import Integrator, Step
from .integrators.wrapping import Wrapping
from .protocols import Problem, Work

NAMES = ("callback_step", "callback_accept_step", "callback_reject_step")


@dataclass(frozen=True, eq=False)
class FieldCallbacks:
    """The callbacks of one solve; all may be None.

    Args:
        step, accept, reject: the functions.
        unpack: the packed state as the functions expect it.
    """

    step: Callable[..., Any] | None
    accept: Callable[..., Any] | None
    reject: Callable[..., Any] | None
    unpack: Callable[[Tensor], Any]

    @classmethod
    def of(cls, func: object, method: Integrator, unpack: Callable[[Tensor], Any], suffix: str = "") -> FieldCallbacks:
        """Those that `func` has and that the method can serve; a warning names the others.

        Args:
            func: the user's field.
            method: the integrator.
            unpack: the packed state as the functions expect it.
            suffix: "_adjoint" for the backward solve.
        """
        found = {name: getattr(func, name + suffix, None) for name in NAMES}
        served = () if isinstance(method, BackEnd) else NAMES if method.adaptive else NAMES[:1]
        ignored = [name + suffix for name, what in found.items() if what is not None and name not in served]
        if ignored:
            why = "its steps are not shown" if not served else f"its steps are all accepted: use {NAMES[0]}{suffix}"
            warnings.warn(f"{method.name} does not call {', '.join(ignored)} ({why})", stacklevel=5)
        step, accept, reject = (found[name] if name in served else None for name in NAMES)
        return cls(step, accept, reject, unpack)

    def watch(self, method: Integrator, control: Controller) -> tuple[Integrator, Controller]:
        """The method and the controller, which call these functions; as they are if there are none."""
        if not (self.step or self.accept or self.reject):
            return method, control
        return Announced(method, self), Judging(control, self)

    def call(self, what: Callable[..., Any] | None, t: float, y: Tensor, dt: float) -> None:
        """Call one of the functions, if there is one."""
        if what is not None:
            time, size = (torch.tensor(v, dtype=torch.float64, device=y.device) for v in (t, abs(dt)))
            what(time, self.unpack(y), size)


@dataclass(frozen=True, eq=False)
class Tried:
    """A method's state after a step, with the step that was tried: from `(t, y)`, of size dt."""

    state: object
    t: float
    y: Tensor
    dt: float


@dataclass(frozen=True, eq=False)
class Judging(Controller):
    """A controller that tells what became of a step.

    Args:
        control: what judges.
        callbacks: what is told.
    """

    control: Controller
    callbacks: FieldCallbacks

    @property
    def adaptive(self) -> bool:  # type: ignore[override]
        return self.control.adaptive

    def first(self, problem: Problem, method: Integrator, t: float, y: Tensor, span: float) -> tuple[float, object, Work]:
        return self.control.first(problem, method, t, y, span)

    def next(self, dt: float, step: Step, ratio: float, cstate: object) -> tuple[bool, float, object]:
        accept, proposal, cstate = self.control.next(dt, step, ratio, cstate)
        tried = step.state
        if isinstance(tried, Tried):
            self.callbacks.call(self.callbacks.accept if accept else self.callbacks.reject, tried.t, tried.y, tried.dt)
        return accept, proposal, cstate


@dataclass(frozen=True, eq=False)
class Announced(Wrapping):
    """A method whose steps are announced before they are tried, for a controller that is `Judging`.

    Args:
        method: what takes the steps.
        callbacks: what is told.
    """

    callbacks: FieldCallbacks

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        self.callbacks.call(self.callbacks.step, t, y, dt)
        step = self.method.step(problem, t, dt, y, state.state if isinstance(state, Tried) else state)
        return replace(step, state=Tried(step.state, t, y, dt), retry=Tried(step.retry, t, y, dt))
