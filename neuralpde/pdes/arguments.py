"""What an object was made with, remembered, so that a checkpoint can make it again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps


def remembering(init: Callable[..., None]) -> Callable[..., None]:
    """`__init__` that also keeps the arguments that it was called with, for `arguments_of`; a subclass's own count first."""
    signature = inspect.signature(init)

    @wraps(init)
    def wrapper(self: object, *args: object, **kwargs: object) -> None:
        if "_made_with" not in self.__dict__:
            given = signature.bind(self, *args, **kwargs).arguments
            object.__setattr__(self, "_made_with", _named(signature, given))
        init(self, *args, **kwargs)

    return wrapper


def _named(signature: inspect.Signature, given: dict[str, object]) -> dict[str, object]:
    named = {}
    for name, value in list(given.items())[1:]:
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD and isinstance(value, dict):
            named.update(value)
        else:
            named[name] = value
    return named


def arguments_of(obj: object) -> dict[str, object] | None:
    """The arguments given to the constructor, by name; None if the object does not remember them."""
    return obj.__dict__.get("_made_with") if hasattr(obj, "__dict__") else None
