"""Transforms of graphs: rewiring by diffusion or by nearest neighbours, weak edges dropped, the largest component."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
