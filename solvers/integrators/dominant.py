"""How stiff a field is: an estimate of the spectral radius of its Jacobian, for methods that choose their stages by it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..protocols import Problem, Work, linear_flow
from ..stability import spectral_radius

_LANCZOS = 20  # products for a symmetric operator without bounds
_LANCZOS_SAFETY = 1.05
_MOST = 50  # evaluations of a power iteration
_SETTLED = 0.01  # relative change at which a power iteration ends
_POWER_SAFETY = 1.2


@dataclass(frozen=True, eq=False)
class Dominant:
    """An estimate of the spectral radius.

    Attributes:
        radius: the estimate, with its safety factor; the largest over the groups of the space.
        direction: the direction in which the field changed most, a warm start for the next estimate.
        constant: whether the Jacobian is the same everywhere, so that the estimate stays true.
    """

    radius: float
    direction: Tensor | None = None
    constant: bool = False


def estimate_dominant(
    problem: Problem, t: float, y: Tensor, slope: Tensor | None, before: Dominant | None
) -> tuple[Dominant, Tensor | None, Work]:
    """The spectral radius of the Jacobian at `(t, y)`: an upper bound, a Lanczos estimate, or a power iteration.

    A symmetric linear flow with bounds costs nothing and is certain; one without costs 20 products. For any other field
    the iteration is `v <- f(t, y + eps v) - f(t, y)`, scaled in every group, until the growth settles to 1 %.

    Args:
        problem: the problem.
        t, y: where the field is linearised.
        slope: `f(t, y)` if it is known, else it is evaluated where it is needed.
        before: an earlier estimate to start from.

    Returns:
        The estimate, `f(t, y)` if it is known now, and what was spent.

    Reference: Sommeijer, Shampine & Verwer (1997) J. Comp. Appl. Math. 88, 315, section 3.
    """
    flow = linear_flow(problem.field)
    if flow is not None and flow.operator.symmetric:
        upper = max(abs(b) for b in flow.operator.bounds())
        if math.isfinite(upper):
            return Dominant(upper, constant=True), slope, Work()
        found = _LANCZOS_SAFETY * spectral_radius(flow.operator, y, problem.space, _LANCZOS)
        return Dominant(found, constant=True), slope, Work(products=_LANCZOS)
    count = 0 if slope is not None else 1
    slope = problem.f(t, y) if slope is None else slope
    with torch.no_grad():
        radius, direction, spent = _power_iteration(
            problem, t, y.detach(), slope.detach(), None if before is None else before.direction
        )
    return Dominant(_POWER_SAFETY * radius, direction, flow is not None), slope, Work(evaluations=count + spent)


@dataclass(frozen=True)
class Spectrum:
    """What a probe found.

    Attributes:
        radius: the size of the dominant eigenvalue of the Jacobian; where the probe ended early, the growth of a random
            direction, which is of the size of a typical eigenvalue.
        cosine: between a direction v that has been multiplied by the Jacobian J many times, and J v: -1 for a real negative
            dominant eigenvalue, 1 for a positive one, 0 for an imaginary pair; the largest over the groups. None where the
            probe ended early.
        evaluations: what it cost.
    """

    radius: float
    cosine: float | None
    evaluations: int


def probe_spectrum(problem: Problem, t: float, y: Tensor, worth: float) -> Spectrum:
    """The dominant eigenvalue of the Jacobian at `(t, y)`: its size, and whether it is real and negative.

    Args:
        worth: two evaluations tell the growth of a random direction; if it is smaller than this the probe ends there.
    """
    with torch.no_grad():
        y = y.detach()
        slope = problem.f(t, y)
        radius, v, _ = _power_iteration(problem, t, y, slope, None, most=1)
        if not worth <= radius < math.inf:
            return Spectrum(radius, None, 2)
        radius, v, spent = _power_iteration(problem, t, y, slope, v)
        _, after, _ = _power_iteration(problem, t, y, slope, v, most=1)
        both = problem.space.norm(v) * problem.space.norm(after)
        cosine = problem.space.dot([(v, after)])[0].real / both.clamp_min(torch.finfo(both.dtype).tiny)
        return Spectrum(radius, max(torch.where(both > 0, cosine, -1.0).tolist()), spent + 3)


def _power_iteration(
    problem: Problem, t: float, y: Tensor, slope: Tensor, v: Tensor | None, most: int = _MOST
) -> tuple[float, Tensor, int]:
    space = problem.space
    if v is None:
        generator = torch.Generator().manual_seed(0)
        v = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
    tiny = torch.finfo(y.dtype).tiny
    length = torch.finfo(y.dtype).eps ** 0.5 * space.norm(y)
    length = torch.where(length > 0, length, torch.full_like(length, torch.finfo(y.dtype).eps ** 0.5))
    growth, last, size = 0.0, 0.0, space.norm(v)
    for n in range(1, most + 1):
        change = problem.f(t, y + v * space.spread(length / size.clamp_min(tiny), v)) - slope
        size = space.norm(change)
        last, growth = growth, max((size / length).tolist())  # over the groups
        if n >= 2 and not abs(growth - last) > _SETTLED * growth:
            return growth, (change if growth > 0 else v), n
        v = torch.where(space.spread(size > 0, v), change, v)
    return max(growth, last), v, most
