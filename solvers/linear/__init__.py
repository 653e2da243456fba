"""Linear operators and the solvers of A x = b: matrix-free, many right-hand sides at once."""

from .._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
