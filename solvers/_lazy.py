"""Lazy exports (PEP 562): the names of a package are the import lines of the `.pyi` file beside its `__init__.py`.

A stub line `from .explicit import Dopri5 as Dopri5` is the registration: it exports `Dopri5`, tells type checkers where it
is, and loads `explicit` on first use only.
"""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path


def lazy_exports(package: str, init_file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return `(__getattr__, __dir__, __all__)` of a package, read from the stub beside its `__init__.py`.

    Args:
        package: the package's `__name__`.
        init_file: the package's `__file__`.

    Raises:
        AttributeError: from the returned `__getattr__`, for a name that the stub does not export.
    """
    origins: dict[str, tuple[str, str | None]] = {}
    for node in ast.parse(Path(init_file).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            for alias in node.names:
                name = alias.asname or alias.name
                origins[name] = (f"{package}.{node.module}", alias.name) if node.module else (f"{package}.{name}", None)
    names = sorted(origins)

    def load(name: str) -> object:
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = origins[name]
        loaded = importlib.import_module(module)
        _uncover(package, origins)
        return loaded if attribute is None else getattr(loaded, attribute)

    return load, lambda: names, names


def _uncover(package: str, origins: dict[str, tuple[str, str | None]]) -> None:
    """Importing `package/solve.py` binds the name `solve` to the module; bind it to the exported function again."""
    for name, (module, attribute) in origins.items():
        if attribute is not None and module == f"{package}.{name}" and module in sys.modules:
            setattr(sys.modules[package], name, getattr(sys.modules[module], attribute))
