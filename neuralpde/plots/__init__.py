"""Pictures: each function draws on a matplotlib axis and returns it."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
