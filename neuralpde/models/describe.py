"""A model as plain data, and back: the class's name and the arguments that it was made with.

An equation remembers its arguments; any other class keeps each as an attribute (or property) of the same name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

import solvers

from .. import models, operators, pdes, transforms
from ..errors import CheckpointError
from ..pdes.arguments import arguments_of

_PLAIN = (bool, int, float, str, type(None))
_SOURCES = (models, pdes, operators, transforms, solvers)


def describe(obj: object) -> Any:
    """`obj` as plain data: `{"class": name, argument: value, ...}` for an object, itself for a number, a text or a tensor.

    Args:
        obj: a model, an equation, an integrator, or a value; sequences and mappings of these.

    Raises:
        CheckpointError: a constructor argument of some part is not kept.
    """
    if isinstance(obj, nn.Parameter | Tensor):
        return obj.detach().cpu().clone()
    if isinstance(obj, _PLAIN):
        return obj
    if isinstance(obj, list | tuple | nn.ModuleList | nn.ParameterList):
        return [describe(value) for value in obj]
    if isinstance(obj, Mapping):
        return {str(key): describe(value) for key, value in obj.items()}
    if inspect.isroutine(obj) or inspect.isclass(obj):
        raise CheckpointError(f"{obj!r} cannot be written as plain data")
    return {"class": type(obj).__name__, **{name: describe(value) for name, value in _arguments(obj)}}


def _arguments(obj: object) -> Iterator[tuple[str, object]]:
    remembered = arguments_of(obj)
    if remembered is not None:
        yield from remembered.items()
        return
    for name, parameter in inspect.signature(type(obj)).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL or not hasattr(obj, name):
            raise CheckpointError(
                f"{type(obj).__name__} keeps no attribute {name!r} for its constructor argument {name!r}, so it cannot be "
                f"rebuilt; set self.{name} in __init__"
            )
        value = getattr(obj, name)
        yield from value.items() if parameter.kind is parameter.VAR_KEYWORD else [(name, value)]


def rebuild(plain: Any, known: Sequence[type] = ()) -> Any:
    """The inverse of `describe`, with fresh parameters.

    Args:
        plain: what `describe` gave.
        known: classes beside those that `neuralpde` and `solvers` export.

    Raises:
        CheckpointError: a class is not known.
    """
    if isinstance(plain, list):
        return [rebuild(value, known) for value in plain]
    if not isinstance(plain, dict):
        return plain
    arguments = {key: rebuild(value, known) for key, value in plain.items() if key != "class"}
    return _class(plain["class"], known)(**arguments) if "class" in plain else arguments


def _class(name: str, known: Sequence[type]) -> type:
    for cls in known:
        if cls.__name__ == name:
            return cls
    for source in _SOURCES:
        if name in source.__all__ and inspect.isclass(found := getattr(source, name)):
            return found
    raise CheckpointError(f"neuralpde has no class {name}; if it is yours, pass it: neuralpde.load(path, known=[{name}])")


def differences(first: Any, second: Any) -> tuple[str, str]:
    """Where two descriptions differ, in words: `("hidden=64, pde=GRAND", "hidden=32, pde=GraphCON")`; empty if nowhere."""
    a, b = dict(_flat(first)), dict(_flat(second))
    keys = [key for key in {**a, **b} if key not in a or key not in b or not _same(a[key], b[key])]
    classes = [key for key in keys if key.endswith(".class")]  # another class: its arguments say nothing more
    keys = [key for key in keys if key in classes or not any(key.startswith(c.removesuffix("class")) for c in classes)]
    return _words(a, keys), _words(b, keys)


def _flat(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(plain, dict):
        for key, value in plain.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, plain


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape
    return bool(a == b)


def _words(flat: dict[str, Any], keys: Sequence[str]) -> str:
    def value(x: Any) -> str:
        return f"tensor{tuple(x.shape)}" if isinstance(x, Tensor) else str(x)

    return ", ".join(f"{key.removesuffix('.class')}={value(flat[key])}" for key in keys if key in flat)
