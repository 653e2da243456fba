"""Methods by name: `dopri5`, `crank_nicolson`, `ab4`; a name is a class's name in snake case, or one of its presets.

`scipy:NAME` and `torchdiffeq:NAME` are methods of other libraries.
"""

from __future__ import annotations

import inspect
import re
from functools import cache

from . import integrators
from .integrators.base import Integrator
from .resolve import unknown


@cache
def _table() -> dict[str, tuple[type[Integrator], dict[str, object]]]:
    table: dict[str, tuple[type[Integrator], dict[str, object]]] = {}
    for export in dir(integrators):
        cls = getattr(integrators, export)
        if inspect.isclass(cls) and issubclass(cls, Integrator) and not _is_abstract(cls):
            presets = cls.presets or {_snake(export): {}}
            table.update({name: (cls, dict(settings)) for name, settings in presets.items()})
    return table


def _is_abstract(cls: type[Integrator]) -> bool:
    return inspect.isabstract(cls) or not hasattr(cls, "order")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def available(back_end: str | None = None) -> list[str]:
    """The names of all methods, sorted; with "scipy" or "torchdiffeq" those of that library (`scipy:Radau`)."""
    return sorted(name for name in _table() if (name.partition(":")[0] if ":" in name else None) == back_end)


def method_named(method: str | Integrator) -> Integrator:
    """An integrator from its name (underscores and case do not matter); an integrator is returned as it is.

    Raises:
        UnknownName: naming the nearest methods.
        TypeError: for a class instead of an instance, or something else altogether.
    """
    if isinstance(method, Integrator):
        return method
    if inspect.isclass(method):
        name = getattr(method, "__name__", "a class")
        raise TypeError(f"method={name} is a class; pass an instance, {name}()")
    if not isinstance(method, str):
        raise TypeError(f"method is a {type(method).__name__}; expected a name such as 'dopri5' or an Integrator")
    plain = {name.lower().replace("_", ""): entry for name, entry in _table().items()}
    key = method.lower().replace("_", "").replace("-", "")
    if key not in plain:
        library = method.lower().partition(":")[0] if ":" in method else None
        raise unknown("method", method, available(library) or _table())
    cls, settings = plain[key]
    return cls(**settings)
