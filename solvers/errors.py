"""What goes wrong while integrating, and how it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .solution import Solution


class IntegrationError(RuntimeError):
    """A solve that could not reach the end of its interval.

    Attributes:
        status: machine-readable reason (`nonfinite`, `nonlinear`, `linear`, `max_steps`, `dt_min`).
        solution: what had been computed by then, or None.
    """

    def __init__(self, message: str, status: str = "failed", solution: Solution | None = None):
        super().__init__(message)
        self.status = status
        self.solution = solution


class StabilityError(ValueError):
    """An explicit step beyond the stability limit of the scheme on this operator, refused before the first step.

    Attributes:
        limit: the largest stable step.
        spectral_bound: the lower bound of the largest eigenvalue that it came from.
    """

    def __init__(self, message: str, limit: float = float("nan"), spectral_bound: float = float("nan")):
        super().__init__(message)
        self.limit = limit
        self.spectral_bound = spectral_bound


class UnknownName(ValueError):
    """A method or option that does not exist; the message names the nearest ones."""
