"""What is promised of every equation, one test per function; `neuralpde.check` runs them."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
