"""How to integrate, as verbs that solve an equation take it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SolverOptions:
    """How to integrate.

    Args:
        method: Integrator by name (`neuralpde info methods`), or auto.
        dt: Fixed step size; without it steps follow the tolerance.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
    """

    method: str = "auto"
    dt: float | None = None
    rtol: float | None = None
    atol: float | None = None
