"""What a graph, and a solve on it, do to information: sensitivity, resistance, bottlenecks, curvature, what refinement sees."""

from solvers import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
