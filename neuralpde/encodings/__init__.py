"""Encodings of where a node is in its graph: positions for graphs that have none."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
