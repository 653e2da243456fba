"""Tuples, lists and dicts of tensors as states: made one tensor at the door of `solve` and `odeint`, restored on the way out.

The structure has the norm `max over parts of rms(part)`, so that no part hides behind a larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .events import Event
from .norms import Normed
from .protocols import Callback, VectorField
from .solution import Solution
from .space import Plain, Space


@dataclass(frozen=True, eq=False)
class Packing:
    """How a structure of tensors is one tensor.

    Args:
        tree: the structure, with shapes in the place of tensors.
        shapes: the shapes, in the order of the entries.
        nodes: entries are put side by side along the last axis, so that the node axis stays -2; else everything is
            one long row.
    """

    tree: Any
    shapes: tuple[torch.Size, ...]
    nodes: bool

    @classmethod
    def of(cls, state: Any, nodes: bool = False) -> Packing:
        """The packing of a state; `nodes` asks for the layout with a node axis.

        Raises:
            TypeError: for an entry that is no tensor.
            ValueError: for entries of different dtypes or devices, for no entries, or if there is no common node axis.
        """
        parts = list(_leaves(state))
        shapes = tuple(p.shape for p in parts)
        if not parts:
            raise ValueError("y0 has no entries; expected a tensor, or a tuple, list or dict of tensors")
        if len({(p.dtype, p.device) for p in parts}) > 1:
            kinds = ", ".join(f"{str(p.dtype).removeprefix('torch.')} on {p.device}" for p in parts)
            raise ValueError(f"the entries of y0 are {kinds}; expected one dtype and device for all")
        if nodes and (any(len(s) < 2 for s in shapes) or len({s[:-1] for s in shapes}) > 1):
            found = ", ".join(str(tuple(s)) for s in shapes)
            raise ValueError(f"y0 has entries of shapes {found}; with space= all must be [..., nodes, channels_i]")
        return cls(_shapes(state), shapes, nodes)

    def pack(self, state: Any, whose: str = "the state") -> Tensor:
        """The structure as one tensor."""
        parts = list(_matched(self.tree, state, whose))
        got = [tuple(p.shape) for p in parts]
        if got != [tuple(s) for s in self.shapes]:
            raise ValueError(f"{whose} has entries of shapes {got}; expected {[tuple(s) for s in self.shapes]}")
        return torch.cat(parts, -1) if self.nodes else torch.cat([p.reshape(-1) for p in parts])

    def unpack(self, x: Tensor) -> Any:
        """The structure again; leading axes (times) are kept in front of every entry."""
        sizes = [s[-1] if self.nodes else s.numel() for s in self.shapes]
        parts = iter(x.split(sizes, -1))
        if self.nodes:
            return _fill(self.tree, parts)
        lead = x.shape[:-1]
        return _fill(self.tree, (p.reshape((*lead, *s)) for p, s in zip(parts, self.shapes, strict=True)))

    def leaves(self, x: Tensor) -> list[Tensor]:
        """The entries of a packed state, in order."""
        return list(_leaves(self.unpack(x)))

    def map(self, state: Any, change: Callable[[Tensor], Tensor]) -> Any:
        """A structure of the same form with every entry changed."""
        return _fill(self.tree, iter([change(p) for p in _leaves(state)]))

    def space(self, norm: Callable[[Any], Tensor | float] | None = None) -> Space:
        """The norm over the structure: `norm(structure)`, or the largest root mean square of an entry."""
        return Normed(lambda x: (norm or _largest_rms)(self.unpack(x)))


@dataclass(frozen=True, eq=False)
class Flattened:
    """A field of structures as a field of tensors."""

    field: Callable[[Tensor, Any], Any]
    packing: Packing

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.packing.pack(self.field(t, self.packing.unpack(y)), "what the field returned")


@dataclass(frozen=True, eq=False)
class _Watching:
    """A callback that sees structures."""

    callback: Callback
    packing: Packing

    @property
    def times(self) -> Sequence[float] | None:
        return self.callback.times

    def before(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.before(t, self.packing.unpack(y), dt)

    def after(self, t: float, y: Tensor, dt: float) -> Tensor | None:
        new = self.callback.after(t, self.packing.unpack(y), dt)
        return None if new is None else self.packing.pack(new, "what the callback returned")

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        self.callback.rejected(t, self.packing.unpack(y), dt)


def flatten_event(event: Event, packing: Packing) -> Event:
    """An event function of structures as one of tensors."""
    function = event.function
    return replace(event, function=lambda t, y: function(t, packing.unpack(y)))


def flatten_all(
    field: VectorField, y0: Any, events: Sequence[Event], callbacks: Sequence[Callback], space: Space | None
) -> tuple[VectorField, Tensor, list[Event], list[Callback], Space, Packing]:
    """Everything that `solve` takes and that sees the state, in terms of one tensor."""
    if not callable(field):
        raise TypeError(f"field is a {type(field).__name__}; expected a callable f(t, y)")
    packing = Packing.of(y0, nodes=space is not None and not isinstance(space, Plain))
    flat_events = [flatten_event(e, packing) for e in events]
    watching: list[Callback] = [_Watching(c, packing) for c in callbacks]
    return Flattened(field, packing), packing.pack(y0), flat_events, watching, space or packing.space(), packing


def restore(solution: Solution, packing: Packing) -> Solution:
    """The solution in terms of structures."""
    y_event = None if solution.y_event is None else packing.unpack(solution.y_event)
    crossings = [replace(c, y=packing.unpack(c.y)) for c in solution.crossings]
    y = packing.unpack(solution.y)
    return replace(solution, y=y, y_event=y_event, crossings=crossings, restore=packing.unpack)


def _leaves(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple | list):
        for part in state:
            yield from _leaves(part)
    elif isinstance(state, Mapping):
        for part in state.values():
            yield from _leaves(part)
    else:
        raise TypeError(f"a state is a torch.Tensor, or a tuple, list or dict of them; found a {type(state).__name__}")


def _matched(tree: Any, state: Any, whose: str) -> Iterator[Tensor]:
    """The entries of `state` in the order of `tree`; dicts are matched by key."""
    if isinstance(tree, torch.Size):
        if not isinstance(state, Tensor):
            raise TypeError(f"{whose} has a {type(state).__name__} where a tensor of shape {tuple(tree)} is expected")
        yield state
    elif isinstance(tree, Mapping):
        if not isinstance(state, Mapping) or set(state) != set(tree):
            found = sorted(state) if isinstance(state, Mapping) else f"a {type(state).__name__}"
            raise ValueError(f"{whose} has {found}; expected a dict with the keys {sorted(tree)}")
        for key, part in tree.items():
            yield from _matched(part, state[key], whose)
    else:
        if not isinstance(state, tuple | list) or len(state) != len(tree):
            found = f"{len(state)} entries" if isinstance(state, tuple | list) else f"a {type(state).__name__}"
            raise ValueError(f"{whose} is {found}; expected {len(tree)} entries, as in y0")
        for part, entry in zip(tree, state, strict=True):
            yield from _matched(part, entry, whose)


def _shapes(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.shape
    if isinstance(state, Mapping):
        return {k: _shapes(v) for k, v in state.items()}
    return _like(state, [_shapes(v) for v in state])


def _fill(tree: Any, parts: Iterator[Tensor]) -> Any:
    if isinstance(tree, torch.Size):
        return next(parts)
    if isinstance(tree, Mapping):
        return {k: _fill(v, parts) for k, v in tree.items()}
    return _like(tree, [_fill(v, parts) for v in tree])


def _like(sequence: Any, parts: list[Any]) -> Any:
    if isinstance(sequence, tuple):
        return type(sequence)(*parts) if hasattr(sequence, "_fields") else tuple(parts)
    return parts


def _largest_rms(state: Any) -> Tensor:
    return torch.stack([p.abs().square().mean().sqrt() for p in _leaves(state) if p.numel()]).amax()
