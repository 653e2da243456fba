"""What `solve` and `odeint` look at before anything runs: the state, the structure of the field, tolerances, step control."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .controllers import PID, Controller, Fixed
from .events import Event
from .host import host_may_look
from .integrators.base import Integrator
from .protocols import Partitioned, VectorField, linear_flow, semilinear


def check_state(y0: Tensor) -> None:
    """Raise ValueError unless the initial state is of a floating or complex type and finite."""
    if not (y0.is_floating_point() or y0.is_complex()):
        raise ValueError(f"y0 is {str(y0.dtype).removeprefix('torch.')}; expected a floating type: y0.double() or y0.float()")
    if not host_may_look(y0) or bool(torch.isfinite(y0.detach().sum())):  # one pass; a sum may overflow, hence the second look
        return
    bad = (~torch.isfinite(y0.detach())).nonzero()
    if len(bad):
        first = tuple(int(i) for i in bad[0])
        where = f"node {first[-2]}, feature {first[-1]}" if len(first) >= 2 else f"index {first[0] if first else 0}"
        raise ValueError(f"y0 has {len(bad)} non-finite values, the first at {where}; clean the data before solving")


def check_structure(method: Integrator, field: VectorField) -> None:
    """Raise TypeError unless the field offers the structure that the method needs."""
    if not callable(field):
        raise TypeError(f"field is a {type(field).__name__}; expected a callable f(t, y)")
    if method.needs == "partitioned" and not isinstance(field, Partitioned):
        raise TypeError(
            f"{method.name} needs a field with velocity(t, p), force(t, q) and damping, and a state stack((q, p)); "
            f"{type(field).__name__} has none. Offer them, or take a method for any field such as dopri5."
        )
    if method.needs == "semilinear" and semilinear(field) is None:
        raise TypeError(
            f"{method.name} needs a field y' = L(t, y) y + g(t, y) that offers linear_part(t, y), a LinearOperator, and "
            f"nonlinear_part(t, y); {type(field).__name__} does not. Offer them, hand a linear field as LinearFlow(operator, "
            "source), or take a method for any field such as dopri5 or trbdf2."
        )
    if method.needs == "linear" and linear_flow(field) is None:
        raise TypeError(f"{method.name} needs a LinearFlow(operator, source); {type(field).__name__} is not one")


def tolerances(y0: Tensor, rtol: float | None, atol: float | None) -> tuple[float, float]:
    eps = torch.finfo(y0.dtype).eps
    if rtol is not None and 0 < rtol < 10 * eps:
        name = str(y0.dtype).removeprefix("torch.")
        raise ValueError(
            f"rtol = {rtol:g} is below what {name} can show (about {10 * eps:.1e} = 10 eps). Use rtol >= {10 * eps:.1e}"
            + ("" if y0.dtype in (torch.float64, torch.complex128) else " or y0.double().")
        )
    if (rtol == 0 and not atol) or (rtol or 0) < 0 or (atol or 0) < 0:
        raise ValueError(f"rtol = {rtol}, atol = {atol}: tolerances must not be negative and not both zero")
    default = 1e-6 if y0.dtype in (torch.float64, torch.complex128) else 1e-4
    rtol = default if rtol is None else rtol
    return rtol, rtol / 1000 if atol is None else atol


def steps_of_outputs(method: Integrator, events: Sequence[Event], times: Sequence[float]) -> Controller:
    """Steps from output to output, for methods that are exact over any of them."""
    if events:
        raise ValueError(f"{method.name} is exact over any step, and looks for events between steps: give dt=")
    return Fixed(abs(times[-1] - times[0]))


def step_control(method: Integrator, controller: Controller | None, dt: float | None) -> Controller:
    if controller is not None and dt is not None:
        raise ValueError("give dt= (fixed steps) or controller=, not both")
    if dt is not None:
        return Fixed(float(dt))
    if controller is None:
        controller = PID()
    if controller.adaptive and not method.adaptive:
        raise ValueError(f"{method.name} has no error estimate, so its step size cannot be controlled: give dt=")
    return controller
