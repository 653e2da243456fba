"""Integrals along the way of a solve, differentiable: kinetic energy, and the size of the Jacobian.

They are taken from the solve's own states at the nodes of a quadrature, so that any method and any way to a gradient will
do, and the states and the field are the very ones of the solve.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from solvers import BackEnd, Integrator, Space, VectorField, method_named

_NODES = 17  # of Clenshaw-Curtis: exact for polynomials of degree 16, and dense where an equation begins


class Quadrature(ABC):
    """Something to integrate along a solution: `integral from 0 to T of g(t, y(t)) dt`."""

    @abstractmethod
    def density(self, field: VectorField, t: Tensor, y: Tensor, probe: Tensor, space: Space) -> Tensor:
        """g, one number per graph, `[graphs]`.

        Args:
            field: of the solve.
            t: a scalar.
            y: the state.
            probe: random signs of the shape of the state, the same for the whole solve.
            space: how sums over the state are done.
        """


@dataclass(frozen=True)
class KineticEnergy(Quadrature):
    """`integral of |f(t, y)|^2 dt / n`, with n the number of entries of the state: the shorter and straighter, the smaller.

    Reference: C. Finlay, J.-H. Jacobsen, L. Nurbekyan, A. Oberman, How to train your neural ODE (2020), eq. 10.
    """

    def density(self, field: VectorField, t: Tensor, y: Tensor, probe: Tensor, space: Space) -> Tensor:
        f = field(t, y)
        return space.total((f.conj() * f).real) / space.size(f)


@dataclass(frozen=True)
class JacobianNorm(Quadrature):
    """`integral of |e' df/dy|^2 dt / n` with random signs e: its mean over e is that of `|df/dy|_F^2 / n`.

    Reference: Finlay et al. (2020), eq. 11; M. Hutchinson (1990) for the random signs.
    """

    def density(self, field: VectorField, t: Tensor, y: Tensor, probe: Tensor, space: Space) -> Tensor:
        y = y if y.requires_grad else y.detach().requires_grad_()
        f = field(t, y)
        if not f.requires_grad:
            return space.total(torch.zeros_like(f.real))
        (row,) = torch.autograd.grad(f, y, probe, create_graph=True, allow_unused=True)
        row = torch.zeros_like(y) if row is None else row
        return space.total((row.conj() * row).real) / space.size(row)


QUADRATURES: dict[str, Quadrature] = {"kinetic": KineticEnergy(), "jacobian": JacobianNorm()}
"""By the names that `FitConfig.regularisation` has for them."""


def clenshaw_curtis(count: int, end: float) -> tuple[list[float], list[float]]:
    """Nodes `end (1 - cos(pi j / m)) / 2`, j = 0 .. m = count - 1 (even), and weights for integrals from 0 to `end`.

    Exact for polynomials of degree m.

    Reference: C. Clenshaw, A. Curtis, A method for numerical integration on an automatic computer (1960).
    """
    m = count - 1
    nodes = [end * (1 - math.cos(math.pi * j / m)) / 2 for j in range(m)] + [end]
    weights = []
    for j in range(count):
        terms = ((1 if 2 * k == m else 2) / (4 * k * k - 1) * math.cos(2 * math.pi * j * k / m) for k in range(1, m // 2 + 1))
        weights.append((1 if j in (0, m) else 2) / m * (1 - math.fsum(terms)) * end / 2)
    return nodes, weights


def step_times(dt: float, end: float, most: int) -> list[float]:
    """At most about so many multiples of dt from 0 to `end`, the last of them `end` itself."""
    steps = max(1, math.ceil(end / dt * (1 - 1e-9)))
    stride = -(-steps // most)
    return [k * dt for k in range(0, steps, stride)] + [end]


def nodes_and_weights(method: str | Integrator, dt: float | None, end: float) -> tuple[list[float], list[float] | None]:
    """Where the states of a solve are integrated from, so that asking for them does not change its steps.

    Clenshaw-Curtis nodes with their weights; for a fixed-step method without an interpolant, which would land on them, ends
    of its steps and None.
    """
    if dt is not None and not _reads_inside_steps(method):
        return step_times(dt, end, _NODES - 1), None
    return clenshaw_curtis(_NODES, end)


def _reads_inside_steps(method: str | Integrator) -> bool:
    found = None if method == "auto" else method_named(method)
    return found is not None and (isinstance(found, BackEnd) or found.dense_output)


def integrate_along(
    quadratures: Sequence[Quadrature],
    field: VectorField,
    times: Sequence[float],
    weights: Sequence[float] | None,
    states: Tensor,
    space: Space,
) -> list[Tensor]:
    """The integral of each quadrature, `[graphs]`, with its gradient.

    Args:
        quadratures: what to integrate.
        field: of the solve.
        times: of the nodes.
        weights: theirs; None for Simpson's rule from node to node, with a state between by the cubic through both.
        states: of the solve at the nodes, `[nodes, *state]`.
        space: how sums over the state are done.
    """
    probe = torch.randint(0, 2, states.shape[1:], device=states.device).mul_(2).sub_(1).to(states.dtype)
    nodes = list(zip(times, states, strict=True))
    if weights is None:
        nodes, weights = _with_middles(field, nodes)
    totals: list[Tensor | None] = [None] * len(quadratures)
    for (t, y), w in zip(nodes, weights, strict=True):
        for i, q in enumerate(quadratures):
            part, before = w * q.density(field, _as_time(t, y), y, probe, space), totals[i]
            totals[i] = part if before is None else before + part
    return [total for total in totals if total is not None]


def _with_middles(field: VectorField, nodes: Sequence[tuple[float, Tensor]]) -> tuple[list[tuple[float, Tensor]], list[float]]:
    """The nodes and what lies halfway, `(y0 + y1) / 2 + h (f0 - f1) / 8`, with the weights h (1, 4, 1) / 6."""
    slopes = [field(_as_time(t, y), y) for t, y in nodes]
    found, weights = [nodes[0]], [0.0]
    for ((t0, y0), f0), ((t1, y1), f1) in pairwise(zip(nodes, slopes, strict=True)):
        h = t1 - t0
        found += [((t0 + t1) / 2, (y0 + y1) / 2 + h / 8 * (f0 - f1)), (t1, y1)]
        weights[-1] += h / 6
        weights += [4 * h / 6, h / 6]
    return found, weights


def _as_time(t: float, y: Tensor) -> Tensor:
    return torch.full((), t, dtype=y.real.dtype, device=y.device)
