"""From the arguments of `odeint` to a `Run`: checks, packing, tolerances, the way back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from .backsolve import Backward
from .controllers import Controller, Fixed
from .errors import IntegrationError
from .events import Event
from .flatten import Flattened, Packing, flatten_event, restore
from .integrators.scipy_methods import ScipyMethod
from .norms import Normed
from .odeint_callbacks import FieldCallbacks
from .odeint_errors import OdeintTypeError, OdeintValueError
from .odeint_options import Way
from .odeint_run import Run
from .pieces import Piecewise
from .protocols import Problem
from .solve import check_state, check_structure
from .space import Plain, Space
from .structure import requiring_grad
from .times import read_times

Tolerance = float | Tensor | Sequence[float | Tensor]


class AdjointWay:
    """What `odeint_adjoint` adds: the way back.

    Args:
        way: how the adjoint equation is solved.
        held: the tensors that get a gradient.
        tolerances: rtol and atol of the backward solve.
        norm: the user's norm of `(t, y, a, *held)`, or None.
    """

    def __init__(self, way: Way, held: list[Tensor], tolerances: tuple[Tolerance, Tolerance], norm: Any):
        self.way, self.held, self.tolerances, self.norm = way, held, tolerances, norm

    def backward(self, func: object, like: Tensor, packing: Packing | None) -> Backward:
        """The backward solve of a state like `like`.

        Raises:
            OdeintValueError: for a tolerance that is not a number.
        """
        for name, value in zip(("adjoint_rtol", "adjoint_atol"), self.tolerances, strict=True):
            number = value.dim() == 0 if isinstance(value, Tensor) else isinstance(value, Real)
            if not number:
                raise OdeintValueError(f"the backward solve has one tolerance for all entries; pass {name}= as a number")
        rtol, atol = (float(v) for v in self.tolerances)  # type: ignore[arg-type]
        callbacks = FieldCallbacks.of(func, self.way.method, lambda x: self._parts(x, like.shape), "_adjoint")
        method, _ = callbacks.watch(self.way.method, Fixed(1.0))

        def control(span: Sequence[float]) -> Controller:
            return callbacks.watch(self.way.method, self.way.control(list(span)))[1]

        return Backward(method, control, rtol, atol, self._norm_of(packing), switches=True)

    def _norm_of(self, packing: Packing | None) -> Callable[[tuple[Tensor, ...]], Any] | None:
        if self.norm is None or packing is None:
            return self.norm

        def norm(parts: tuple[Tensor, ...]) -> Any:
            t, y, a, *g = parts
            return self.norm((t, *packing.leaves(y), *packing.leaves(a), *g))

        return norm

    def _parts(self, x: Tensor, shape: torch.Size) -> tuple[Tensor, ...]:
        """The state of the backward solve as callbacks see it."""
        n = shape.numel()
        y, a, *g = x.split([n, n, *(p.numel() for p in self.held)])
        theta = (part.view(p.shape) for part, p in zip(g, self.held, strict=True))
        return (x.new_zeros(()), y.view(shape), a.view(shape), *theta)


def prepare(
    func: Any,
    y0: Any,
    t: Any,
    tolerances: tuple[Any, Any],
    how: Way,
    event_fn: Any = None,
    adjoint: AdjointWay | None = None,
) -> tuple[Run, Tensor, Packing | None]:
    """The run, the state as one tensor, and how it was packed (None if it is a tensor).

    Raises:
        OdeintTypeError, OdeintValueError, TypeError, ValueError: for input that cannot be meant.
    """
    if not callable(func):
        raise OdeintTypeError(f"func is a {type(func).__name__}; expected a callable f(t, y)")
    if isinstance(func, Piecewise):
        raise TypeError("odeint does not land on the knots of a Piecewise field; solve(field, y0, t, method) does")
    _check_times(t, event_fn is not None)
    packing = None if isinstance(y0, Tensor) else Packing.of(y0)
    flat = y0 if packing is None else packing.pack(y0)
    check_state(flat)
    field: Any = func if packing is None else Flattened(func, packing)
    check_structure(how.method, field)
    if isinstance(how.method, ScipyMethod) and adjoint is None:
        _say_no_gradient(func, flat, t)
    rtol, atol = (_tolerance(n, v, packing, flat) for n, v in zip(("rtol", "atol"), tolerances, strict=True))
    problem = Problem(field, _space(packing, how), rtol, atol)
    events = [] if event_fn is None else [Event(event_fn) if packing is None else flatten_event(Event(event_fn), packing)]
    backward = None if adjoint is None else adjoint.backward(func, flat, packing)
    held = [] if adjoint is None else adjoint.held
    callbacks = FieldCallbacks.of(func, how.method, (lambda y: y) if packing is None else packing.unpack)
    return Run(problem, how, t, events, callbacks, backward, held), flat, packing


@contextmanager
def restored(packing: Packing | None) -> Iterator[None]:
    """What was computed before a failure, in the structure of the state."""
    try:
        yield
    except IntegrationError as error:
        if packing is not None and error.solution is not None:
            error.solution = restore(error.solution, packing)
        raise


def _check_times(t: Any, event: bool) -> None:
    if not isinstance(t, Tensor) or t.dim() != 1 or not t.is_floating_point():
        found = f"{tuple(t.shape)} {t.dtype}" if isinstance(t, Tensor) else type(t).__name__
        raise OdeintTypeError(f"t is {found}; expected a floating tensor with one dimension")
    if event and len(t) != 2:
        raise OdeintValueError(f"t has {len(t)} entries; with event_fn it has two: the initial time, and one in the direction")
    if len(t) != 1:
        try:
            read_times(t)
        except ValueError as error:
            raise OdeintValueError(str(error)) from None


def _say_no_gradient(func: object, y0: Tensor, t: Tensor) -> None:
    if torch.is_grad_enabled() and (y0.requires_grad or t.requires_grad or requiring_grad(func)):
        warnings.warn(
            "scipy's solvers have no gradient: the result is detached. Take odeint_adjoint, or a method such as dopri5",
            stacklevel=5,
        )


def _space(packing: Packing | None, how: Way) -> Space:
    norm = how.options.get("norm")
    if packing is not None:
        return packing.space(norm)
    return Plain() if norm is None else Normed(norm)


def _tolerance(name: str, value: Any, packing: Packing | None, like: Tensor) -> Any:
    """A number, or a tensor with one entry for each of the state."""
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise OdeintValueError(f"{name} requires a gradient; tolerances are constants: {name}.detach()")
        return float(value) if value.dim() == 0 else value.to(like.real.dtype if like.is_complex() else like.dtype)
    if packing is None or len(value) != len(packing.shapes):
        count = 1 if packing is None else len(packing.shapes)
        raise OdeintValueError(f"{name} has {len(value)} entries for a state of {count}; give a number, or one for each entry")
    real = like.real.dtype if like.is_complex() else like.dtype
    parts = [torch.as_tensor(v, dtype=real).expand(s.numel()) for v, s in zip(value, packing.shapes, strict=True)]
    return torch.cat(parts)
