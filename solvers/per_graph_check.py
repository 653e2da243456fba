"""What graphs that take their own steps cannot be asked for; each refusal says why, and the way out."""

from __future__ import annotations

from collections.abc import Sequence

from .controllers import PID, Controller
from .events import Event
from .integrators.base import Integrator
from .integrators.tableau import ExplicitRungeKutta
from .protocols import Callback
from .space import PerGraph, Space


def steps_alone(space: Space | None) -> bool:
    """Whether each graph is to take its own steps."""
    return isinstance(space, PerGraph) and space.own_steps


def check_alone(method: Integrator, dt: float | None, controller: Controller | None, gradient: str, save: str) -> None:
    """Raise ValueError or TypeError unless graphs can take their own steps with these settings."""
    asked = "PerGraph(own_steps=True)"
    standard = isinstance(method, ExplicitRungeKutta) and type(method).step is ExplicitRungeKutta.step
    if not standard or not method.adaptive:
        raise TypeError(
            f"{asked} needs an explicit Runge-Kutta method with an error estimate (dopri5, tsit5, bosh3, ...); {method.name} "
            "is not one. Take one, or leave own_steps out."
        )
    if dt is not None:
        raise ValueError(f"{asked} controls each graph's step size, and dt={dt:g} is the same for all: leave one of them out")
    if controller is not None and not _is_pid(controller):
        raise TypeError(f"{asked} takes a PID controller (PID, PI, Integral); got {type(controller).__name__}")
    if gradient != "backprop":
        raise ValueError(f'{asked} has gradient="backprop" only; got {gradient!r}')
    if save not in ("times", "final"):
        raise ValueError(f'{asked} saves "times" or "final", as graphs have no steps in common; got save={save!r}')


def _is_pid(controller: Controller) -> bool:
    """Whether its arithmetic is that of PID, in which `Sizes` repeats it."""
    return isinstance(controller, PID) and type(controller).next is PID.next and type(controller).first is PID.first


def check_watchers(events: Sequence[Event], callbacks: Sequence[Callback]) -> None:
    """Raise ValueError for what follows the steps of a solve, of which graphs have none in common."""
    if events:
        raise ValueError("PerGraph(own_steps=True) has no common time at which to look for events: leave own_steps out")
    if any(c.times is None for c in callbacks):
        raise ValueError(
            "PerGraph(own_steps=True) has no common steps for callbacks without times, or progress=True, to follow: "
            "give the callbacks times, or leave own_steps out"
        )
