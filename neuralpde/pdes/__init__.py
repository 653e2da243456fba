"""Differential equations on graphs: one equation, or one paper, per file."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
