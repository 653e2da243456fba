"""Tensors that a field merely holds: finding them, and putting others in their place.

A vector field is a frozen dataclass, an operator, a module, or a nest of these. Gradients with respect to what it holds
(attention weights, conductivities, parameters) need the list of those tensors and a copy of the field that holds others.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


def tensors(obj: object) -> list[Tensor]:
    """Every tensor that `obj` holds, each once, in a fixed order: through dataclasses, modules, tuples, lists, mappings.

    Functions and bound methods of other objects are opaque: see `is_opaque`.
    """
    found: dict[int, Tensor] = {}

    def note(t: Tensor) -> Tensor:
        found.setdefault(id(t), t)
        return t

    _walk(obj, note)
    return list(found.values())


def rebind(obj: T, old: list[Tensor], new: list[Tensor]) -> T:
    """A copy of `obj` in which each tensor of `old` (by identity) is replaced by its partner in `new`; rest is shared."""
    partner = {id(a): b for a, b in zip(old, new, strict=True)}
    return _walk(obj, lambda t: partner.get(id(t), t))  # type: ignore[return-value]


def is_opaque(obj: object) -> bool:
    """Whether tensors may hide in `obj` where `tensors` cannot see them (a plain function or closure)."""
    if isinstance(obj, nn.Module) or dataclasses.is_dataclass(obj):
        return False
    if hasattr(obj, "__func__"):
        return is_opaque(obj.__self__)  # type: ignore[attr-defined]
    return True


def _walk(obj: object, visit: Callable[[Tensor], Tensor]) -> object:
    if isinstance(obj, Tensor):
        return visit(obj)
    if isinstance(obj, nn.Module):
        return _walk_module(obj, visit)
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return _walk_dataclass(obj, visit)
    if isinstance(obj, tuple):
        parts = [_walk(v, visit) for v in obj]
        if all(a is b for a, b in zip(parts, obj, strict=True)):
            return obj
        return obj._make(parts) if hasattr(obj, "_make") else tuple(parts)  # type: ignore[attr-defined]
    if isinstance(obj, list):
        parts = [_walk(v, visit) for v in obj]
        return obj if all(a is b for a, b in zip(parts, obj, strict=True)) else parts
    if isinstance(obj, Mapping):
        items = {k: _walk(v, visit) for k, v in obj.items()}
        return obj if all(items[k] is obj[k] for k in items) else items
    if hasattr(obj, "__func__") and hasattr(obj, "__self__"):  # a bound method: its tensors are its object's
        owner = _walk(obj.__self__, visit)  # type: ignore[attr-defined]
        return obj if owner is obj.__self__ else obj.__func__.__get__(owner)  # type: ignore[attr-defined]
    return obj


def _walk_dataclass(obj: object, visit: Callable[[Tensor], Tensor]) -> object:
    changed: dict[str, object] = {}
    for field in dataclasses.fields(obj):  # type: ignore[arg-type]
        value = getattr(obj, field.name)
        other = _walk(value, visit)
        if other is not value:
            changed[field.name] = other
    if not changed:
        return obj
    names = {f.name for f in dataclasses.fields(obj)}  # type: ignore[arg-type]
    twin = copy.copy(obj)
    for name in list(vars(twin)):
        if name not in names and isinstance(getattr(type(twin), name, None), cached_property):
            del twin.__dict__[name]  # computed from the tensors that are replaced
    for name, value in changed.items():
        object.__setattr__(twin, name, value)
    return twin


def _walk_module(module: nn.Module, visit: Callable[[Tensor], Tensor]) -> nn.Module:
    """Parameters, buffers and plain tensor attributes, through all submodules; the copy shares everything unchanged."""
    changed: dict[str, dict[str, object]] = {}
    for store in ("_parameters", "_buffers", "_modules"):
        for name, value in getattr(module, store).items():
            other = value if value is None else _walk(value, visit)
            if other is not value:
                changed.setdefault(store, {})[name] = other
    plain: dict[str, object] = {}
    for name, value in vars(module).items():
        if name.startswith("_") and name not in module.__dict__.get("_held", ()):
            continue
        other = _walk(value, visit) if isinstance(value, Tensor) or dataclasses.is_dataclass(value) else value
        if other is not value:
            plain[name] = other
    if not changed and not plain:
        return module
    twin = copy.copy(module)
    for store in ("_parameters", "_buffers", "_modules"):
        twin.__dict__[store] = dict(getattr(module, store))
    for store, values in changed.items():
        for name, value in values.items():
            if store == "_parameters" and not isinstance(value, nn.Parameter):
                del twin.__dict__[store][name]
                twin.__dict__[name] = value  # a graph tensor cannot be a Parameter; a plain attribute reads the same
            else:
                twin.__dict__[store][name] = value
    twin.__dict__.update(plain)
    return twin


def requiring_grad(obj: object) -> list[Tensor]:
    """The tensors of `obj` that need a gradient."""
    return [t for t in tensors(obj) if t.requires_grad] if torch.is_grad_enabled() else []
