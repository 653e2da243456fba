"""`method="auto"`: a method by the structure that the field offers, and the reason in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .integrators.base import Integrator
from .integrators.dominant import probe_spectrum
from .lookup import method_named
from .operator import LinearOperator
from .per_graph_check import steps_alone
from .protocols import LinearFlow, Partitioned, Problem, Semilinear, VectorField, as_time, linear_flow, semilinear
from .space import Plain, Space

_STIFF = 500.0  # lambda_max times the interval: explicit steps would be set by stability, 150 of them or more
_SHORT = 3.0  # lambda_max times dt that explicit methods of order 5 bear
_WORTH = 50.0  # growth of a random direction times the interval, from which on a probe goes on
_REAL = -0.9  # cosine between v and J v of the dominant direction, below which its eigenvalue counts as real and negative
_MANY = 1e4  # with a tight tolerance explicit steps of order 5 cost less up to here than implicit ones
_STIFFEST = 1e6  # a stabilised method would take hundreds of stages a step beyond
_TIGHT = 1e-6  # tolerance from which on implicit steps of order 5 cost less than those of order 2 (van der Pol: a half)


def choose(
    field: VectorField,
    y0: Tensor,
    times: Sequence[float],
    dt: float | None,
    *,
    between: bool = False,
    rtol: float | None = None,
    space: Space | None = None,
) -> tuple[Integrator, str]:
    """The method for a field, and why.

    Args:
        field: looked at for `LinearFlow`, positions and momenta, a linear part; one that offers nothing is probed with two
            evaluations, and with some more if these say that it may be stiff.
        y0: initial state.
        times: output times.
        dt: the fixed step, if one is given.
        between: whether the solution is needed between the outputs (events), so that there must be steps.
        rtol: the relative tolerance, None for the default of the state's precision.
        space: how reductions over the state are done.
    """
    if rtol is None:
        rtol = 1e-6 if torch.finfo(y0.dtype).eps < 1e-10 else 1e-4
    flow = linear_flow(field)
    if isinstance(field, Partitioned) and dt is not None:
        name, why = "leapfrog", "the field has positions and momenta and dt is given"
    elif flow is not None and y0.dim() > 0 and not (between and dt is None):
        name, why = _of_linear(flow, forward=times[-1] > times[0])
    elif (split := semilinear(field)) is not None:
        name, why = _of_semilinear(split, y0, times, dt, rtol)
    elif dt is None and y0.dim() > 0 and callable(field) and not steps_alone(space) and len(times) > 1:
        name, why = _of_probe(field, y0, times, rtol, Plain() if space is None else space)
    else:
        name, why = "dopri5", "nothing is known of the field's structure"
    return method_named(name), f"; chosen because {why}"


def _of_linear(flow: LinearFlow, forward: bool) -> tuple[str, str]:
    A = flow.operator
    with torch.no_grad():
        bounds = A.bounds()
        if A.symmetric and A.columnwise and all(map(math.isfinite, bounds)):
            where = f"[{bounds[0]:.4g}, {bounds[1]:.4g}]"
            return "chebyshev_exp", f"the field is linear and symmetric with eigenvalues in {where}: an expansion of its flow"
        if A.metzler and A.columnwise and forward and A.diagonal() is not None:
            return "uniformization", "the field is linear without negative entries off the diagonal: its flow is a positive sum"
    return "krylov_exp", "the field is linear: its flow in a Krylov space"


def _of_probe(field: VectorField, y0: Tensor, times: Sequence[float], rtol: float, space: Space) -> tuple[str, str]:
    """By the dominant eigenvalue of the Jacobian at the start: of a field that offers no structure."""
    span = times[-1] - times[0]
    found = probe_spectrum(Problem(field, space), times[0], y0, _WORTH / abs(span))
    stiffness = found.radius * abs(span)
    if found.cosine is None or not stiffness > _STIFF:
        return "dopri5", "nothing is known of the field's structure, and it is not stiff at the start"
    size, spent = f"|lambda| about {found.radius:.3g}", f"{found.evaluations} evaluations at the start"
    if found.cosine * math.copysign(1.0, span) > _REAL:
        return "dopri5", f"{spent} find no real negative dominant eigenvalue ({size})"
    kind = f"{spent} find a real negative dominant eigenvalue, {size}"
    if stiffness <= _STIFFEST and rtol >= _TIGHT:
        return "rock2", f"{kind}: stabilised explicit steps need no solve"
    if stiffness <= _MANY:
        return "dopri5", f"{kind}: small enough for explicit steps at a tight tolerance"
    name, order = _implicit(rtol)
    return name, f"{kind}: implicit steps, of order {order} for this tolerance"


def _implicit(rtol: float) -> tuple[str, int]:
    return ("kvaerno5", 5) if rtol <= _TIGHT else ("trbdf2", 2)


def _of_semilinear(found: Semilinear, y0: Tensor, times: Sequence[float], dt: float | None, rtol: float) -> tuple[str, str]:
    with torch.no_grad():
        largest = size(found.linear_part(as_time(times[0], y0), y0))
    stiff = largest * abs(times[-1] - times[0]) > _STIFF if dt is None else largest * dt > _SHORT
    kind = "linear" if linear_flow(found) is not None else "semilinear"
    implicit, order = ("trbdf2", 2) if dt is not None else _implicit(rtol)
    if not math.isfinite(largest):
        return implicit, f"the field is {kind} with a linear part of unknown size: implicit steps are safe"
    if not stiff:
        return "dopri5", f"the field is {kind} and not stiff: |lambda| <= {largest:.4g}"
    if kind == "linear":
        return implicit, (
            f"the field is linear and stiff, |lambda| up to {largest:.4g}, and steps are needed: "
            f"implicit, of order {order} for this tolerance"
        )
    name = "kencarp4" if rtol < _TIGHT and dt is None else "kencarp3"
    return name, f"the linear part is stiff, |lambda| up to {largest:.4g}: it is taken implicitly, the rest explicitly"


def size(L: LinearOperator) -> float:
    """The largest absolute end of the bounds of an operator."""
    return max(abs(b) for b in L.bounds())
