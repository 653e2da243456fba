"""Step sizes of many graphs at once: the arithmetic of `PID`, one number per graph.

The formulas are those of `controllers`; all tensors are float64 on the CPU, `[graphs]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .controllers import PID
from .protocols import Problem


@dataclass(frozen=True, eq=False)
class Sizes:
    """What control knows about every graph.

    Attributes:
        dt: the proposed next step size, positive.
        before, earlier: error ratios of the last two accepted steps.
    """

    dt: Tensor
    before: Tensor
    earlier: Tensor

    @classmethod
    def first(cls, dt: Tensor) -> Sizes:
        """No step has been taken."""
        return cls(dt, torch.ones_like(dt), torch.ones_like(dt))

    def next(self, pid: PID, h: Tensor, ratio: Tensor, order: int) -> tuple[Tensor, Sizes]:
        """Which steps are accepted, and the sizes after them.

        Args:
            pid: the gains and limits.
            h: sizes of the steps that were tried; one below `dt` was shortened to land, which says nothing about accuracy.
            ratio: errors over tolerances.
            order: order of the error estimate.
        """
        p, finite = 1.0 / (order + 1), torch.isfinite(ratio)
        k_i, k_p, k_d = pid.integral * p, pid.proportional * p, pid.derivative * p
        new = ratio.clamp(min=1e-10)
        factor = pid.safety * new ** -(k_i + k_p + k_d) * self.before ** (k_p + 2 * k_d) * self.earlier**-k_d
        accept = finite & ((new <= 1.0) | (h <= pid.min_dt))
        factor = factor.clamp(min=pid.shrink)
        factor = torch.where(accept, factor.clamp(max=pid.grow), factor.clamp(max=min(1.0, pid.safety)))
        proposal = torch.where(finite, (h * factor).clamp(max=pid.max_dt).clamp(min=pid.min_dt), 0.25 * h)
        dt = torch.where(accept & (h < self.dt), torch.maximum(proposal, self.dt), proposal)
        return accept, Sizes(dt, torch.where(accept, new, self.before), torch.where(accept, self.before, self.earlier))

    def kept(self, where: Tensor, old: Sizes) -> Sizes:
        """These sizes for the graphs named by a mask, the old ones for the others."""
        pairs = ((self.dt, old.dt), (self.before, old.before), (self.earlier, old.earlier))
        return Sizes(*(torch.where(where, a, b) for a, b in pairs))


def per_node(problem: Problem, c: Tensor, y: Tensor) -> Tensor:
    """One number per graph as one per node, broadcastable to the state, real, of its precision and on its device."""
    return problem.space.spread(c.to(y.device, y.real.dtype if y.is_complex() else y.dtype), y)


def per_graph(c: Tensor) -> Tensor:
    """A reduction over the state as float64 on the CPU: the one synchronisation of a step."""
    return c.detach().to("cpu", torch.float64)


def first_steps(problem: Problem, pid: PID, order: float, t: float, y: Tensor, span: float) -> tuple[Tensor, int]:
    """The first step size of every graph, and the evaluations that finding them took.

    Reference: Hairer, Norsett & Wanner (1993) Solving Ordinary Differential Equations I, II.4.
    """
    groups, space, length = problem.space.groups, problem.space, abs(span)
    if pid.first_dt is not None:
        return torch.full((groups,), min(pid.first_dt, pid.max_dt), dtype=torch.float64), 0
    direction, start = 1.0 if span >= 0 else -1.0, torch.full((groups,), t, dtype=torch.float64)
    with torch.no_grad():
        scale = y.abs().mul(problem.rtol).add_(problem.atol)
        f0 = problem.at(per_node(problem, start, y), y)
        d0, d1 = per_graph(space.rms(y / scale)), per_graph(space.rms(f0 / scale))
        tiny = torch.full_like(d0, 1e-6)
        h0 = torch.where((d0 < 1e-5) | (d1 < 1e-5), tiny, 0.01 * d0 / d1).clamp(max=length)
        near = y + per_node(problem, direction * h0, y) * f0
        f1 = problem.at(per_node(problem, start + direction * h0, y), near)
        d2 = per_graph(space.rms((f1 - f0) / scale)) / h0
        top = torch.maximum(d1, d2)
        h1 = torch.where(top <= 1e-15, torch.maximum(tiny, h0 * 1e-3), (0.01 / top) ** (1.0 / (order + 1)))
        return torch.minimum(100 * h0, h1).clamp(max=min(length, pid.max_dt)), 2
