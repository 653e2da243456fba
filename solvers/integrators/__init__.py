"""Time-stepping methods: one method, or one family of tableaux, per file."""

from .._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
