"""Pictures: each function takes data, draws on a new figure or on the axes that it is given, and returns the figure."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
