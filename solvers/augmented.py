"""The state of the adjoint equation, `[y, a, g]` in one row: its field and its norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .protocols import VectorField
from .space import Space
from .structure import rebind, tensors


@dataclass(frozen=True, eq=False)
class AugmentedField:
    """`[y, a, g]' = [f, -(df/dy)^H a, -(df/dtheta)^H a]`, with f evaluated on stand-ins for theta.

    The stand-ins have no history, so that a theta which was computed from another is not counted in both. For second
    derivatives they are fresh aliases at every evaluation: y itself then depends on theta, but not on the aliases.

    Args:
        inner: the field f.
        shape: shape of y and a.
        held: the tensors theta, as the field or a closure holds them.
        values: their values, with the graph to be used for second derivatives.
        again: keep the graph, for second derivatives.
    """

    inner: VectorField
    shape: torch.Size
    held: Sequence[Tensor]
    values: Sequence[Tensor]
    again: bool

    def __post_init__(self) -> None:
        if self.again and not all(self._visible):
            raise ValueError(
                'second derivatives by gradient="adjoint" need a field that shows its tensors (an nn.Module or a frozen '
                'dataclass), not a closure with params=; or gradient="backprop"'
            )

    @cached_property
    def _visible(self) -> list[bool]:
        shown = {id(h) for h in tensors(self.inner)}
        return [id(h) in shown for h in self.held]

    @cached_property
    def _detached(self) -> tuple[VectorField, list[Tensor]]:
        if all(h.is_leaf for h in self.held):
            return self.inner, list(self.held)  # the field itself: what it counts or keeps on the way back stays with it
        return self._with([h.detach().requires_grad_() for h in self.values])

    def _with(self, leaves: list[Tensor]) -> tuple[VectorField, list[Tensor]]:
        """The field on the stand-ins, and the tensors to differentiate by: what a closure hides stays itself."""
        by = [new if seen else old for old, new, seen in zip(self.held, leaves, self._visible, strict=True)]
        return rebind(self.inner, list(self.held), leaves), by

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        n, again = self.shape.numel(), self.again
        y, a = x[:n].view(self.shape), x[n : 2 * n].view(self.shape)
        with torch.enable_grad():
            field, theta = self._with([h.view_as(h) for h in self.values]) if again else self._detached
            y = y.view_as(y) if again and y.requires_grad else y.detach().requires_grad_()
            f = field(t, y)
            if f.shape != self.shape:
                raise ValueError(f"the field returned {tuple(f.shape)} for a state {tuple(self.shape)} in the backward solve")
            if f.requires_grad:
                grads = torch.autograd.grad(f, (y, *theta), a, create_graph=again, allow_unused=True)
            else:
                grads = (None,) * (1 + len(theta))
        parts = [f if again else f.detach()]
        for gradient, of in zip(grads, (y, *theta), strict=True):
            parts.append(torch.zeros_like(of) if gradient is None else -gradient)
        return torch.cat([p.reshape(-1).to(x.dtype) for p in parts])


@dataclass(frozen=True, eq=False)
class AugmentedSpace(Space):
    """Reductions over `[y, a, g]` that see y and a, and not the parameter integrals g.

    Args:
        base: the space of y and of a.
        shape: their shape.
        theta: the parameters (their shapes are used).
        norm_of: a norm of `(0, y, a, *g)` in place of the largest of those of y and a.
    """

    base: Space
    shape: torch.Size
    theta: Sequence[Tensor] = ()
    norm_of: Callable[[tuple[Any, ...]], Tensor | float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", self.base.groups)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n = self.shape.numel()
        return x[:n].view(self.shape), x[n : 2 * n].view(self.shape)

    def total(self, x: Tensor) -> Tensor:
        y, a = self._parts(x)
        return self.base.total(y) + self.base.total(a)

    def max(self, x: Tensor) -> Tensor:
        y, a = self._parts(x)
        return torch.maximum(self.base.max(y), self.base.max(a))

    def size(self, x: Tensor) -> Tensor | int:
        return 2 * self.base.size(self._parts(x)[0])

    def spread(self, c: Tensor, like: Tensor) -> Tensor:
        y, _ = self._parts(like)
        one = self.base.spread(c, y).expand(self.shape).reshape(-1)
        rest = like.numel() - 2 * one.numel()
        other = c.all() if c.dtype == torch.bool else c.mean()
        return torch.cat([one, one, other.to(one.dtype).expand(rest)])

    def dot(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        parts = [(self._parts(u), self._parts(v)) for u, v in pairs]
        return self.base.dot([(u[0], v[0]) for u, v in parts]) + self.base.dot([(u[1], v[1]) for u, v in parts])

    def rms(self, x: Tensor) -> Tensor:
        y, a = self._parts(x)
        if self.norm_of is None:
            return torch.maximum(self.base.rms(y), self.base.rms(a))
        n = self.shape.numel()
        rest = x[2 * n :].split([p.numel() for p in self.theta]) if self.theta else ()
        g = [r.view(p.shape) for r, p in zip(rest, self.theta, strict=True)]
        return torch.as_tensor(self.norm_of((x.new_zeros(()), y, a, *g)), dtype=torch.float64).reshape(1)
