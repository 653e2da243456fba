"""The errors of `odeint`: those of this package, which handlers written for torchdiffeq's AssertionErrors catch too."""

from __future__ import annotations

from .errors import IntegrationError


class OdeintError(IntegrationError, AssertionError):
    """A solve by `odeint` that could not reach its end; see `IntegrationError` for `status` and `solution`."""


class OdeintValueError(ValueError, AssertionError):
    """Input of `odeint` with a value that cannot be meant."""


class OdeintTypeError(TypeError, AssertionError):
    """Input of `odeint` of a type that cannot be meant."""
