"""Oscillators that a coupling drives: the field of GraphCON, and its stiffness where the force is linear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers import LinearFlow, LinearOperator, Space

from ..operators.base import GraphOperator
from ..operators.dense import goes_through_onednn
from .convolved_force import NAMES, convolved_force
from .convolved_kicks import ConvolvedKicks, Kicks, UndoneKicks, run
from .coupling import Convolution, GraphAttention
from .coupling_attention import DotAttention, HeldAttention
from .coupling_residual import Residual


@dataclass(frozen=True, eq=False)
class CoupledOscillators:
    """`q' = p`, `p' = sigma(F(t, q)) - gamma q - damping p`: a partitioned field.

    Args:
        coupling: F.
        damping: alpha, a number or a scalar tensor.
        gamma: restoring force, likewise.
        activation: sigma, or None for the identity.
        stiffness: K, where the force is `-K q` with K symmetric; None where it is not.
        flow: the same field as one linear first-order system, where the force is linear and not symmetric; else None.
    """

    coupling: Convolution | GraphAttention | DotAttention | HeldAttention | Residual
    damping: float | Tensor = 0.0
    gamma: float | Tensor = 1.0
    activation: Callable[[Tensor], Tensor] | None = None
    stiffness: LinearOperator | None = None
    flow: LinearFlow | None = None
    unit_mass: ClassVar[bool] = True

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(0)
        return torch.stack((p, _less(self.force(t, q), self.damping, p)))

    def into(self, t: Tensor, y: Tensor, out: Tensor) -> None:
        """dy/dt written to `out`, without a gradient."""
        (q, p), (to_q, to_p) = y.unbind(0), out.unbind(0)
        to_q.copy_(p)
        force, damping = self.force(t, q), self.damping
        if isinstance(damping, Tensor) or not damping:
            to_p.copy_(_less(force, damping, p))
        else:
            torch.sub(force, p, alpha=damping, out=to_p)

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        if isinstance(self.coupling, Convolution):
            fixed, gathered = 0.0 if isinstance(self.gamma, Tensor) else self.gamma, self.coupling.adjacency.matvec(q)
            force = convolved_force(gathered, q, *self.coupling.weights(t), self.activation, fixed)
            return _less(force, self.gamma, q) if isinstance(self.gamma, Tensor) else force
        push = self.coupling(t, q)
        if self.activation is not None:
            push = self.activation(push)
        return _less(push, self.gamma, q)

    def kicks(self, y: Tensor, dt: float, keep: float, count: int) -> Tensor | None:
        """`count` steps `p <- keep p + dt force(q)`, `q <- q + dt p` at once, or None where that is slower or not possible.

        It is for a graph convolution with the same weights in all of them.
        """
        how = self._kicks(y, dt, keep, count)
        if how is None:
            return None
        adjacency, (weight, bias) = self.coupling.adjacency, self.coupling.weights(0.0)  # type: ignore[union-attr]
        if torch.is_grad_enabled() and any(v is not None and v.requires_grad for v in (y, weight, bias)):
            return ConvolvedKicks.apply(y, weight, bias, adjacency, how)  # type: ignore[return-value]
        out = y.detach().clone(memory_format=torch.contiguous_format)
        run(out, weight.detach(), None if bias is None else bias.detach(), adjacency, how, keep=False)
        return out

    def undone_kicks(self, y: Tensor, dt: float, keep: float, count: int) -> tuple[Tensor, Tensor, list[Tensor]] | None:
        """The same steps from their end y, or None likewise: what stands for the start, the end as a function of it, and a
        list to which the way back through that function adds the start."""
        how = self._kicks(y, dt, keep, count)
        if how is None:
            return None
        leaf, start = y.detach().requires_grad_(), list[Tensor]()
        end = UndoneKicks.apply(leaf, *self.coupling.weights(0.0), self.coupling.adjacency, how, start)  # type: ignore[union-attr]
        return leaf, end, start  # type: ignore[return-value]

    def _kicks(self, y: Tensor, dt: float, keep: float, count: int) -> Kicks | None:
        coupling, gamma, name = self.coupling, self.gamma, NAMES.get(self.activation)
        if not isinstance(coupling, Convolution) or coupling.weight.dt is not None or name is None or y.dim() != 3:
            return None
        adjacency, (weight, bias) = coupling.adjacency, coupling.weights(0.0)
        fixed = isinstance(adjacency, GraphOperator) and not adjacency.matrix.values.requires_grad
        if isinstance(gamma, Tensor) or not fixed or not goes_through_onednn(y[0], weight, *(() if bias is None else (bias,))):
            return None
        return Kicks(count, dt, keep, float(gamma), name)

    def energy(self, t: Tensor | float, y: Tensor, space: Space) -> Tensor:
        """`H = 1/2 |p|^2 + gamma/2 |q|^2 - 1/2 <q, A q W>`, `[graphs]`, for a linear force with symmetric W.

        Raises:
            TypeError: the force is not the gradient of a potential of that kind.
        """
        if self.stiffness is None:
            raise TypeError(
                'this GraphCON has no energy: its force is not a gradient. It has one with coupling="gcn", activation=None, '
                "bias=False, shared weights and a symmetric weight matrix; Wave always has one."
            )
        q, p = y.unbind(0)
        kinetic, potential = space.dot([(p, p), (q, self.stiffness.matvec(q))])
        return (kinetic + potential) / 2


@dataclass(frozen=True, eq=False)
class CouplingStiffness(LinearOperator):
    """`K q = gamma q - A q W`: symmetric for symmetric A and W; it mixes channels."""

    adjacency: LinearOperator
    weight: Tensor
    gamma: float | Tensor
    symmetric = True
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.adjacency.shape

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.weight.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.weight.device

    def matvec(self, x: Tensor) -> Tensor:
        return self.gamma * x - self.adjacency.matvec(x) @ self.weight

    @property
    def adjoint(self) -> LinearOperator:
        return self

    def bounds(self) -> tuple[float, float]:
        lo, hi = self.adjacency.bounds()
        size = max(abs(lo), abs(hi)) * float(torch.linalg.eigvalsh(self.weight.detach()).abs().max())
        gamma = float(self.gamma.detach()) if isinstance(self.gamma, Tensor) else self.gamma
        return gamma - size, gamma + size


@dataclass(frozen=True, eq=False)
class AttentionStiffness(LinearOperator):
    """`K q = gamma q - A q`, with attention A that is held: linear, and not symmetric."""

    attention: LinearOperator
    gamma: float | Tensor

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.attention.shape

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.attention.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.attention.device

    def matvec(self, x: Tensor) -> Tensor:
        return self.gamma * x - self.attention.matvec(x)

    @property
    def adjoint(self) -> LinearOperator:
        return AttentionStiffness(self.attention.adjoint, self.gamma)


def _less(x: Tensor, rate: float | Tensor, y: Tensor) -> Tensor:
    """`x - rate y`."""
    if isinstance(rate, Tensor):
        return x - rate * y
    return torch.sub(x, y, alpha=rate) if rate else x
