"""Second-order fields: positions and momenta on the nodes, `y = stack((q, p))`, `[2, nodes, channels]`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers import LinearFlow, LinearOperator, Space


@dataclass(frozen=True, eq=False)
class LinearOscillator:
    """`q' = p`, `p' = -K q - damping p`: a partitioned field with a linear force.

    Its energy H = 1/2 |p|^2 + 1/2 <q, K q> obeys dH/dt = -<p, damping p>.

    Args:
        stiffness: K, symmetric and positive semidefinite.
        damping: a rate per time: a number, or `[N, 1]`.
    """

    stiffness: LinearOperator
    damping: Tensor | float = 0.0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(0)
        return torch.stack((p, self.force(t, q) - self.damping * p))

    def into(self, t: Tensor, y: Tensor, out: Tensor) -> None:
        """dy/dt written to `out`, without a gradient."""
        (q, p), (to_q, to_p) = y.unbind(0), out.unbind(0)
        to_q.copy_(p)
        torch.neg(self.stiffness.matvec(q), out=to_p)
        if isinstance(self.damping, Tensor) or self.damping:
            to_p.sub_(self.damping * p)

    @cached_property
    def flow(self) -> LinearFlow:
        """The same as one linear first-order system: an implicit step is then one linear solve, without Newton."""
        return LinearFlow(FirstOrder(self.stiffness, self.damping))

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return -self.stiffness.matvec(q)

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return self.flow.operator

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def energy(self, t: Tensor | float, y: Tensor, space: Space) -> Tensor:
        """H of a state, `[graphs]`."""
        q, p = y.unbind(0)
        kinetic, potential = space.dot([(p, p), (q, self.stiffness.matvec(q))])
        return (kinetic + potential) / 2


@dataclass(frozen=True, eq=False)
class FirstOrder(LinearOperator):
    """The matrix `[[0, I], [-K, -damping]]` of `q'' = -K q - damping q'` as a first-order system.

    It acts on `[..., 2, n, c]`, the shape of a state, and on `[..., 2 n, c]`, the same with q above p.

    Args:
        stiffness: K, n x n.
        damping: a number, or `[n, 1]`.
    """

    stiffness: LinearOperator
    damping: Tensor | float = 0.0
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return 2 * self.stiffness.shape[0], 2 * self.stiffness.shape[1]

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.stiffness.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.stiffness.device

    def matvec(self, x: Tensor) -> Tensor:
        n = self.stiffness.shape[0]
        if x.dim() == 1:
            return self.matvec(x.unsqueeze(1)).squeeze(1)
        if x.dim() > 2 and tuple(x.shape[-3:-1]) == (2, n):
            return self._blocks(x)
        if x.shape[-2] != 2 * n:
            raise ValueError(f"operand has shape {tuple(x.shape)}; expected (..., 2, {n}, c) or (..., {2 * n}, c)")
        return self._blocks(x.unflatten(-2, (2, n))).flatten(-3, -2)

    def _blocks(self, x: Tensor) -> Tensor:
        q, p = x.unbind(-3)
        if self.transposed:
            return torch.stack((-self.stiffness.adjoint.matvec(p), q - self.damping * p), -3)
        return torch.stack((p, -self.stiffness.matvec(q) - self.damping * p), -3)

    @property
    def adjoint(self) -> LinearOperator:
        return FirstOrder(self.stiffness, self.damping, not self.transposed)

    def bounds(self) -> tuple[float, float]:
        """Real parts lie in [-max damping, 0], for K positive semidefinite and a damping that is not negative."""
        d = self.damping
        least, most = (float(d.detach().min()), float(d.detach().max())) if isinstance(d, Tensor) else (float(d), float(d))
        if not self.stiffness.semidefinite or least < 0:
            return super().bounds()
        return -most, 0.0
