"""Integrators for dy/dt = f(t, y) in PyTorch: explicit, implicit, adaptive, multistep, symplectic; differentiable."""

from ._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
