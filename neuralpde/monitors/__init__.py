"""Quantities watched during a solve: energies, norms, conserved quantities."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
