"""The tensors that get a gradient in a solve whose steps leave no graph, and who may watch such a solve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from .protocols import Callback, VectorField
from .structure import is_opaque, rebind, requiring_grad, tensors


def hides_tensors(field: object) -> bool:
    """Whether a field, or the one that it wraps, is a plain function in which tensors cannot be found."""
    inner = getattr(field, "field", None)
    return is_opaque(field) or (inner is not None and callable(inner) and hides_tensors(inner))


def held_tensors(field: VectorField, params: Sequence[Tensor] | None, gradient: str) -> list[Tensor]:
    """What needs a gradient: what the field holds, and `params`; each once.

    Args:
        params: tensors that need a gradient and that the field does not show, a closure's; `()` if there are none.
        gradient: the name of the gradient, for the message.

    Raises:
        ValueError: for a closure without `params`.
    """
    if params is None and hides_tensors(field):
        raise ValueError(
            f'gradient="{gradient}" cannot see which tensors {_name(field)} holds. Pass params=[...] with those that '
            "need a gradient (params=() for none), make the field an nn.Module or a frozen dataclass, or take "
            'gradient="backprop".'
        )
    found = [*requiring_grad(field), *(p for p in params or () if p.requires_grad)]
    return list({id(t): t for t in found}.values())


@dataclass(frozen=True, eq=False)
class StandIns:
    """A field with others in the place of the tensors that it holds: one computed from another is not counted in both.

    Args:
        inner: the field.
        held: its tensors theta, as it or a closure holds them.
        leaves: what takes their place.
    """

    inner: VectorField
    held: Sequence[Tensor]
    leaves: Sequence[Tensor] = field(repr=False)

    @cached_property
    def field(self) -> VectorField:
        return rebind(self.inner, list(self.held), list(self.leaves))

    @cached_property
    def hidden(self) -> bool:
        """Whether some of the tensors are a closure's, and could not be replaced."""
        shown = {id(h) for h in tensors(self.inner)}
        return any(id(h) not in shown for h in self.held)

    @cached_property
    def theta(self) -> list[Tensor]:
        """The tensors to differentiate by: what a closure hides stays itself."""
        shown = {id(h) for h in tensors(self.inner)}
        return [new if id(old) in shown else old for old, new in zip(self.held, self.leaves, strict=True)]


@dataclass(frozen=True, eq=False)
class LooksOnly:
    """A callback that may look only: a state that it replaces has no place in the gradient.

    Args:
        callback: the callback.
        gradient: the name of the gradient, for the message.
    """

    callback: Callback
    gradient: str

    @property
    def times(self) -> Sequence[float] | None:
        return self.callback.times

    def before(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.before(t, y, dt)

    def after(self, t: float, y: Tensor, dt: float) -> None:
        if self.callback.after(t, y, dt) is not None and self.times is None:
            raise ValueError(
                f'{_name(self.callback)} replaced the state at t = {t:.6g}; gradient="{self.gradient}" cannot follow jumps. '
                'Take gradient="backprop", or solve in pieces between the jumps.'
            )

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.rejected(t, y, dt)


def _name(obj: object) -> str:
    inner = getattr(obj, "field", None) or getattr(obj, "callback", None) or obj
    return getattr(inner, "__qualname__", type(inner).__name__)
