"""Differential equations on graphs: written once, solved by any integrator, watched by monitors, trained as a layer."""

from pathlib import Path as _Path

import solvers as _solvers

if not hasattr(_solvers, "lazy_exports"):
    raise ImportError(
        f"neuralpde needs the package `solvers` that is distributed with it, but found another one at "
        f"{getattr(_solvers, '__file__', None) or list(getattr(_solvers, '__path__', []))}. "
        f"Rename or uninstall that one, or put {_Path(__file__).resolve().parent.parent} before it on sys.path."
    )

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = _solvers.lazy_exports(__name__, __file__)
