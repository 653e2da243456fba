"""Symplectic methods for fields with positions and momenta: q' = velocity(t, p), p' = force(t, q) - damping p.

The state is `stack((q, p))`, `[2, ...]`. An evaluation is one force (with the velocity that goes with it). On q'' = -K q
both methods are stable for `dt sqrt(lambda_max(K)) <= 2`; a field that offers `stiffness`, the operator K, is held to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..protocols import Partitioned, Problem, Work, as_time
from ..transformed import may_be_transformed
from .base import Integrator, Step, Undone
from .kick import kick_and_drift


@dataclass(frozen=True, eq=False)
class ForceState:
    """The force at the current positions, if it is known already."""

    force: Tensor | None = None


@dataclass(frozen=True)
class Leapfrog(Integrator):
    """Leapfrog (Stormer-Verlet), kick-drift-kick, order 2; damping exactly, before the first kick and after the last.

        p* = exp(-damping dt/2) p_n + dt/2 force(t_n, q_n)
        q_{n+1} = q_n + dt velocity(t_n + dt/2, p*)
        p_{n+1} = exp(-damping dt/2) (p* + dt/2 force(t_{n+1}, q_{n+1}))

    One evaluation a step. Symmetric (a step back undoes a step), symplectic without damping, and with constant damping
    conformally symplectic: areas shrink by exactly exp(-damping dt).

    Reference: Hairer, Lubich & Wanner (2003) Acta Numerica 12, 399; McLachlan & Perlmutter (2001) J. Geom. Phys. 39, 276.
    """

    order = 2
    needs = "partitioned"
    imaginary_stability = 2.0

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[ForceState, Work]:
        _partitioned(problem, y, self.name)
        return ForceState(), Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, ForceState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        field: Partitioned = problem.field  # type: ignore[assignment]
        (q, p), known = y.unbind(0), state.force is not None
        before = state.force if state.force is not None else _force(field, t, q)
        decay = _decay(field.damping, dt / 2)
        p = torch.add(p if decay is None else decay * p, before, alpha=dt / 2)
        q = torch.add(q, _velocity(field, t + dt / 2, p), alpha=dt)
        after = _force(field, t + dt, q)
        p = torch.add(p, after, alpha=dt / 2)
        return Step(
            torch.stack((q, p if decay is None else decay * p)),
            state=ForceState(after),
            retry=ForceState(before),
            work=Work(evaluations=1 if known else 2),
        )

    def undo(self, problem: Problem, t: float, dt: float, y: Tensor) -> Tensor:
        """The state a step before: a step back."""
        return self.step(problem, t + dt, -dt, y, ForceState()).y

    def loss(self, damping: float, dt: float) -> float:
        return damping * dt


@dataclass(frozen=True)
class SymplecticEuler(Integrator):
    """Symplectic Euler in the order of GraphCON (and by the name `graphcon`), order 1: momenta first, damping explicit.

        p_{n+1} = p_n + dt (force(t_n, q_n) - damping p_n)
        q_{n+1} = q_n + dt velocity(t_{n+1}, p_{n+1})

    One evaluation a step. Symplectic without damping. On q'' = -gamma q - damping q' it is stable for
    `0 <= damping dt <= 2` and `gamma dt^2 <= 4 - 2 damping dt`.

    Reference: Rusch, Chamberlain, Rowbottom, Mishra & Bronstein (2022) "Graph-Coupled Oscillator Networks", ICML.
    """

    order = 1
    presets: ClassVar = {"symplectic_euler": {}, "graphcon": {}}
    needs = "partitioned"
    imaginary_stability = 2.0

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[None, Work]:
        _partitioned(problem, y, self.name)
        return None, Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        field: Partitioned = problem.field  # type: ignore[assignment]
        if getattr(field, "unit_mass", False) and not isinstance(field.damping, Tensor):
            return Step(kick_and_drift(y, _force(field, t, y[0]), dt, 1 - dt * field.damping), work=Work(evaluations=1))
        q, p = y.unbind(0)
        new = torch.add(p, _force(field, t, q), alpha=dt)
        if _is_damped(field.damping):
            new = torch.add(new, field.damping * p, alpha=-dt)
        q = torch.add(q, _velocity(field, t + dt, new), alpha=dt)
        return Step(torch.stack((q, new)), work=Work(evaluations=1))

    def several(self, problem: Problem, t: float, dt: float, count: int, y: Tensor, state: object) -> Step | None:
        field, damping = problem.field, getattr(problem.field, "damping", None)
        kicks = getattr(field, "kicks", None) if getattr(field, "unit_mass", False) else None
        if kicks is None or isinstance(damping, Tensor) or may_be_transformed(y):
            return None
        new = kicks(y, dt, 1 - dt * field.damping, count)  # type: ignore[union-attr]
        return None if new is None else Step(new, work=Work(evaluations=count))

    def undo(self, problem: Problem, t: float, dt: float, y: Tensor) -> Tensor:
        """The state a step before: `q_n = q_{n+1} - dt velocity`, `p_n = (p_{n+1} - dt force) / (1 - damping dt)`."""
        field: Partitioned = problem.field  # type: ignore[assignment]
        q, p = y.unbind(0)
        q = torch.sub(q, _velocity(field, t + dt, p), alpha=dt)
        p = torch.sub(p, _force(field, t, q), alpha=dt)
        return torch.stack((q, p / (1 - field.damping * dt) if _is_damped(field.damping) else p))

    def retrace(
        self, problem: Problem, t: float, dt: float, count: int, y: Tensor, a: Tensor, theta: Sequence[Tensor], again: bool
    ) -> Undone:
        """Undo steps by the force that their gradient needs anyway; many at once where the field can."""
        field: Partitioned = problem.field  # type: ignore[assignment]
        undone = getattr(field, "undone_kicks", None) if getattr(field, "unit_mass", False) and count > 1 else None
        with torch.enable_grad():
            keep = 1 - dt * field.damping
            found = None if undone is None or isinstance(keep, Tensor) else undone(y, dt, keep, count)
            if found is not None:
                leaf, end, start = found
                a, *g = torch.autograd.grad(end, [leaf, *theta], a, retain_graph=again, allow_unused=True)
                return Undone(count, start[0], a, g)
            q, p = y.unbind(0)
            q = torch.sub(q, _velocity(field, t + dt, p), alpha=dt).detach().requires_grad_()
            force = _force(field, t, q)
            p = (torch.sub(p, force, alpha=dt) / keep).detach().requires_grad_()
            new = torch.add(keep * p, force, alpha=dt)
            end = (torch.add(q, _velocity(field, t + dt, new), alpha=dt), new)
            to_q, to_p, *g = torch.autograd.grad(end, [q, p, *theta], a.unbind(0), retain_graph=again, allow_unused=True)
        return Undone(1, torch.stack((q.detach(), p.detach())), torch.stack((to_q, to_p)), g)

    def loss(self, damping: float, dt: float) -> float:
        kept = abs(1 - damping * dt)
        return -math.log(kept) if kept else math.inf


def _partitioned(problem: Problem, y: Tensor, name: str) -> None:
    if not isinstance(problem.field, Partitioned):
        raise TypeError(
            f"{name} needs a field with velocity(t, p), force(t, q) and damping; {type(problem.field).__name__} has none. "
            "Offer them, or take a method for any field such as dopri5."
        )
    if y.dim() == 0 or y.shape[0] != 2:
        raise ValueError(f"{name} got a state of shape {tuple(y.shape)}; expected stack((q, p)), of shape (2, ...)")


def _is_damped(damping: Tensor | float) -> bool:
    return isinstance(damping, Tensor) or damping != 0


def _decay(damping: Tensor | float, dt: float) -> Tensor | float | None:
    """`exp(-damping dt)`, or None for no damping."""
    if not _is_damped(damping):
        return None
    return torch.exp(damping * -dt) if isinstance(damping, Tensor) else math.exp(-damping * dt)


def _force(field: Partitioned, t: float, q: Tensor) -> Tensor:
    return _like("force", field.force(as_time(t, q), q), q, t)


def _velocity(field: Partitioned, t: float, p: Tensor) -> Tensor:
    return _like("velocity", field.velocity(as_time(t, p), p), p, t)


def _like(what: str, value: Tensor, given: Tensor, t: float) -> Tensor:
    if value.shape != given.shape or value.dtype != given.dtype:
        raise ValueError(
            f"{what} returned {tuple(value.shape)} {value.dtype} for {tuple(given.shape)} {given.dtype} at t = {t:.6g}; "
            "it must have the shape and dtype of what it was given"
        )
    return value
