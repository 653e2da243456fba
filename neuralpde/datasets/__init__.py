"""Real graphs: bundled ones that need no network, and published ones from raw files that are already there."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
