"""`method="auto"`: a method by the structure that the field offers, and the reason in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .integrators.base import Integrator
from .lookup import method_named
from .operator import LinearOperator
from .protocols import LinearFlow, Partitioned, VectorField, as_time, linear_flow, semilinear

_STIFF = 500.0  # lambda_max times the interval: explicit steps would be set by stability, 150 of them or more
_SHORT = 3.0  # lambda_max times dt that explicit methods of order 5 bear


def choose(
    field: VectorField, y0: Tensor, times: Sequence[float], dt: float | None, *, between: bool = False
) -> tuple[Integrator, str]:
    """The method for a field, and why.

    Args:
        field: looked at for `LinearFlow`, positions and momenta, a linear part.
        y0: initial state.
        times: output times.
        dt: the fixed step, if one is given.
        between: whether the solution is needed between the outputs (events), so that there must be steps.
    """
    flow = linear_flow(field)
    if isinstance(field, Partitioned) and dt is not None:
        name, why = "leapfrog", "the field has positions and momenta and dt is given"
    elif flow is not None and y0.dim() > 0 and not (between and dt is None):
        name, why = _of_linear(flow, forward=times[-1] > times[0])
    else:
        name, why = _of_semilinear(field, y0, times, dt)
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


def _of_semilinear(field: VectorField, y0: Tensor, times: Sequence[float], dt: float | None) -> tuple[str, str]:
    found = semilinear(field)
    if found is None:
        return "dopri5", "nothing is known of the field's structure"
    with torch.no_grad():
        largest = size(found.linear_part(as_time(times[0], y0), y0))
    stiff = largest * abs(times[-1] - times[0]) > _STIFF if dt is None else largest * dt > _SHORT
    kind = "linear" if linear_flow(field) is not None else "semilinear"
    if not math.isfinite(largest):
        return "trbdf2", f"the field is {kind} with a linear part of unknown size: implicit steps are safe"
    if not stiff:
        return "dopri5", f"the field is {kind} and not stiff: |lambda| <= {largest:.4g}"
    if kind == "linear":
        return "trbdf2", f"the field is linear and stiff, |lambda| up to {largest:.4g}, and steps are needed"
    return "kencarp3", f"the linear part is stiff, |lambda| up to {largest:.4g}: it is taken implicitly, the rest explicitly"


def size(L: LinearOperator) -> float:
    """The largest absolute end of the bounds of an operator."""
    return max(abs(b) for b in L.bounds())
