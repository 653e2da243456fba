"""torchdiffeq's methods; the only file of this package that imports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .back_end import BackEnd, Span

_ADAPTIVE = ("dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun")
_ADAMS = ("explicit_adams", "implicit_adams")
_FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4", *_ADAMS)


@dataclass(frozen=True)
class TorchdiffeqMethod(BackEnd):
    """A method of torchdiffeq, differentiated by backpropagation through its steps. Order: the back end's.

    Fixed-step methods take `dt` and read outputs between steps from a cubic.

    Args:
        solver: its name there: dopri5, dopri8, bosh3, fehlberg2, adaptive_heun (adaptive), euler, midpoint, heun2, heun3,
            rk4, explicit_adams, implicit_adams (fixed steps).
        max_order: of its Adams methods, 4 to 12; None for its default, 12. The explicit one is of order `max_order - 1`.
        max_iters: fixed-point iterations of a step of "implicit_adams", at most; None for its default, 4.

    Raises:
        ValueError: one of the latter two for a method that has no such option, or out of range.

    Reference: Chen, Rubanova, Bettencourt & Duvenaud (2018) NeurIPS.
    """

    solver: str = "dopri5"
    max_order: int | None = None
    max_iters: int | None = None
    presets: ClassVar = {f"torchdiffeq:{s}": {"solver": s} for s in (*_ADAPTIVE, *_FIXED)}

    def __post_init__(self) -> None:
        order, iters = self.max_order, self.max_iters
        if order is not None and not (self.solver in _ADAMS and 4 <= order <= 12):
            raise ValueError(f"{self.name} with max_order = {order}; expected 4 to 12, with one of {', '.join(_ADAMS)}")
        if iters is not None and not (self.solver == "implicit_adams" and iters >= 1):
            raise ValueError(f"{self.name} with max_iters = {iters}; expected at least 1, with implicit_adams")

    @property
    def adaptive(self) -> bool:  # type: ignore[override]
        return self.solver in _ADAPTIVE

    @property
    def name(self) -> str:
        return f"torchdiffeq:{self.solver}"

    def span(self, run: Span, y: Tensor) -> None:
        import torchdiffeq  # 0.2 s, and needed by nobody else

        steps = self.solver in _FIXED
        self.refuse_fixed(run.dt, needed=steps)
        own = {"max_order": self.max_order, "max_iters": self.max_iters}
        given = {name: value for name, value in own.items() if value is not None}
        options = {"step_size": run.dt, "interp": "cubic", **given} if steps else None
        times = torch.tensor(run.times, dtype=torch.float64, device=y.device)
        tolerances = {"rtol": run.problem.rtol, "atol": run.problem.atol}
        watched = _Watched(run) if steps else _Controlled(run)
        try:
            out = torchdiffeq.odeint(watched, y, times, method=self.solver, options=options, **tolerances)
        except AssertionError as error:
            raise run.failure(self, str(error) or "no reason given") from error
        run.states = out[1:]  # type: ignore[index]
        if not run.finite(run.states[-1]):
            raise run.failure(self, "the state overflowed")


@dataclass(frozen=True, eq=False)
class _Watched:
    """The field with torchdiffeq's callback for methods of fixed steps, all of which are accepted."""

    run: Span

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.run.f(float(t), y)

    def callback_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        self.run.attempt()
        self.run.accepted += 1


@dataclass(frozen=True, eq=False)
class _Controlled(_Watched):
    """The same for adaptive methods, which say what becomes of a step."""

    def callback_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        self.run.attempt()

    def callback_accept_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        self.run.accepted += 1

    def callback_reject_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        self.run.rejected += 1
