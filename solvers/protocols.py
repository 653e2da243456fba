"""What a solver is handed: a vector field, the structure that it may offer, and the problem made of it.

A field is any callable `f(t, y)`, deterministic for the length of a solve. The protocols below are optional structure;
every method that can use one does, and a method that needs one says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .operator import LinearOperator
from .space import Plain, Space


class VectorField(Protocol):
    """`dy/dt = f(t, y)`; `t` is a scalar tensor, the result has the shape of `y`.

    A field may offer `into(t, y, out)`, which writes dy/dt to `out`, without a gradient and without a state of its own.
    """

    def __call__(self, t: Tensor, y: Tensor, /) -> Tensor: ...


@runtime_checkable
class Semilinear(Protocol):
    """`y' = L(t, y) y + g(t, y)`: implicit, IMEX and exponential methods use `L`."""

    def __call__(self, t: Tensor, y: Tensor) -> Tensor: ...
    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator: ...
    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor: ...


@runtime_checkable
class Partitioned(Protocol):
    """`y = stack((q, p))`: `q' = velocity(t, p)`, `p' = force(t, q) - damping p`; damping is 0 where there is none.

    A field that says `unit_mass = True` promises that velocity(t, p) is p. It may offer `kicks(y, dt, keep, count)`: so many
    steps `p <- keep p + dt force(q)`, `q <- q + dt p` at once, or None where it would take them one by one; and
    `undone_kicks`, likewise, from their end: what stands for the start, the end as a function of it, and a list to which the
    way back through that function adds the start.
    """

    damping: Tensor | float

    def __call__(self, t: Tensor, y: Tensor) -> Tensor: ...
    def velocity(self, t: Tensor, p: Tensor) -> Tensor: ...
    def force(self, t: Tensor, q: Tensor) -> Tensor: ...


class Callback(Protocol):
    """Watches or changes a solve.

    Attributes:
        times: times at which `after` is called (with the solution there), or None for every accepted step.
            In both cases it is first called at the initial time, with `dt = 0`.
    """

    @property
    def times(self) -> Sequence[float] | None: ...
    def before(self, t: float, y: Tensor, dt: float) -> None: ...
    def after(self, t: float, y: Tensor, dt: float) -> Tensor | None:
        """A returned state replaces the current one and re-initialises the method (only if `times` is None)."""
        ...

    def rejected(self, t: float, y: Tensor, dt: float) -> None: ...


@dataclass(frozen=True, eq=False)
class LinearFlow:
    """`y' = A y + s`, autonomous and linear; `s` constant or absent. The field to hand a solver for a linear equation."""

    operator: LinearOperator
    source: Tensor | None = None

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        out = self.operator.matvec(y)
        return out if self.source is None else out + self.source

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return self.operator

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y) if self.source is None else self.source.expand_as(y)


def linear_flow(f: object) -> LinearFlow | None:
    """The field as `A y + s` if it is linear and autonomous: a `LinearFlow`, or a field whose `flow` attribute is one."""
    if isinstance(f, LinearFlow):
        return f
    flow = getattr(f, "flow", None)
    return flow if isinstance(flow, LinearFlow) else None


def semilinear(f: object) -> Semilinear | None:
    """The field as `L(t, y) y + g(t, y)` if it offers both parts; a linear flow does, also as a field's `flow`."""
    return f if isinstance(f, Semilinear) else linear_flow(f)


@dataclass(frozen=True)
class Work:
    """What a step or a solve cost.

    Attributes:
        evaluations: calls of the field.
        products: products with a linear operator or a Jacobian, those inside linear solves included.
        linear_iterations: iterations of linear solvers.
    """

    evaluations: int = 0
    products: int = 0
    linear_iterations: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.evaluations + other.evaluations,
            self.products + other.products,
            self.linear_iterations + other.linear_iterations,
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """What `init`, `step` and every linear solve receive.

    Args:
        field: the vector field.
        space: how reductions over the state are done.
        rtol, atol: tolerances of the solve; inner (linear, nonlinear) solves derive theirs from them.
        error_control: whether anybody looks at a step's error; a method whose estimate is not free leaves it out if not.
    """

    field: VectorField
    space: Space = dataclasses.field(default_factory=Plain)
    rtol: float = 1e-6
    atol: float = 1e-9
    error_control: bool = True
    _room: list[Tensor] = dataclasses.field(default_factory=list, repr=False)  # scratch for `error_ratio`

    def f(self, t: float, y: Tensor) -> Tensor:
        """The field at time `t`, a number."""
        return self.at(torch.full((), t, dtype=y.real.dtype if y.is_complex() else y.dtype, device=y.device), y)

    def at(self, t: Tensor, y: Tensor) -> Tensor:
        """The field at a time tensor: a scalar, or one that is broadcastable to the state (a time per node)."""
        out = self.field(t, y)
        if out.shape != y.shape or out.dtype != y.dtype or out.device != y.device:
            raise ValueError(
                f"the field returned {_kind(out)} for a state {_kind(y)} at t = {_when(t)}; "
                "dy/dt must have the state's shape, dtype and device"
            )
        return out

    def with_field(self, new: VectorField) -> Problem:
        return replace(self, field=new)

    def error_ratio(self, error: Tensor, y0: Tensor, y1: Tensor) -> float:
        """`rms(error / (atol + rtol max(|y0|, |y1|)))`, the largest over the groups: a step is accepted if it is <= 1."""
        if error.requires_grad or y0.requires_grad or y1.requires_grad:
            error, y0, y1 = error.detach(), y0.detach(), y1.detach()
        scale, other = self._two_like(y0)
        torch.maximum(torch.abs(y0, out=scale), torch.abs(y1, out=other), out=scale).mul_(self.rtol).add_(self.atol)
        sizes = self.space.rms(error / scale if error.is_complex() else torch.div(error, scale, out=scale))
        return float(sizes if self.space.groups == 1 else sizes.amax())

    def _two_like(self, y: Tensor) -> list[Tensor]:
        room = self._room
        dtype = y.real.dtype if y.is_complex() else y.dtype
        if not room or room[0].shape != y.shape or room[0].dtype != dtype or room[0].device != y.device:
            room[:] = (torch.empty_like(y, dtype=dtype) for _ in range(2))
        return room


def _when(t: Tensor) -> str:
    return f"{t.item():.6g}" if t.numel() == 1 else f"{t.reshape(-1)[0].item():.6g} (first node)"


def _kind(x: Tensor) -> str:
    return f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')} on {x.device}"


def as_time(t: float, y: Tensor) -> Tensor:
    """A number as the scalar tensor that fields expect: real, of the state's precision, on its device."""
    return torch.full((), t, dtype=y.real.dtype if y.is_complex() else y.dtype, device=y.device)
