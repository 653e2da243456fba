"""Gradients by the continuous adjoint equation, solved backwards in time:

    y' = f(t, y, theta),   a' = -(df/dy)^H a,   g' = -(df/dtheta)^H a,   a(t_i) += dLoss/dy_i at every output

from the last output to the first; then a = dLoss/dy_0 and g = dLoss/dtheta. Memory does not grow with the number of steps.
theta are the tensors that the field holds; the field is evaluated with others in their place, so that one that was computed
from another before the solve is not counted twice. The parameter integrals never enter the error norm.

Source: Pontryagin et al. (1962); Chen, Rubanova, Bettencourt & Duvenaud (2018) NeurIPS, appendix B; without the parameters
in the norm: Kidger, Chen & Lyons (2021) ICML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .backsolve import Adjoint, Backward, Engine
from .controllers import Controller
from .events import Event
from .held import LooksOnly, held_tensors
from .integrators.base import Integrator
from .loop import integrate
from .protocols import Callback, Problem
from .solution import Solution


def solve_by_adjoint(
    problem: Problem,
    integrator: Integrator,
    control: Controller,
    y0: Tensor,
    times: Sequence[float],
    *,
    params: Sequence[Tensor] | None = None,
    save: str = "times",
    callbacks: Sequence[Callback] = (),
    events: Sequence[Event] = (),
    max_steps: int = 100_000,
) -> Solution:
    """Integrate without a graph; gradients to `y0`, to what the field holds and to `params` by the adjoint equation.

    Args:
        params: tensors that need a gradient and that the field does not show, a closure's; `()` if there are none.

    Raises:
        TypeError: for a method that has no backward equation here (implicit, partitioned).
        ValueError: for a closure without `params`, and for `save="dense"`.
        IntegrationError: forwards as `integrate`; backwards if the state cannot be followed back.
    """
    held = held_tensors(problem.field, params, "adjoint")
    backward = Backward(integrator, lambda _: control, problem.rtol, problem.atol)
    options = {"save": save, "callbacks": callbacks, "events": events, "max_steps": max_steps}
    return solve_with(problem, integrator, control, y0, times, held, backward, **options)


def solve_with(
    problem: Problem,
    integrator: Integrator,
    control: Controller,
    y0: Tensor,
    times: Sequence[float],
    held: Sequence[Tensor],
    backward: Backward,
    *,
    save: str = "times",
    callbacks: Sequence[Callback] = (),
    events: Sequence[Event] = (),
    max_steps: int = 100_000,
) -> Solution:
    """As `solve_by_adjoint`, with the tensors that get a gradient and the backward solve stated."""
    if save == "dense":
        raise ValueError('save="dense" has no gradient by the adjoint equation; ask for times, or gradient="backprop"')
    method = backward.method
    if not method.explicit or method.needs is not None:
        raise TypeError(
            f'gradient="adjoint" solves the adjoint equation with {method.name} too, which is '
            f"{'implicit' if not method.explicit else f'for {method.needs} fields only'}. Take an explicit method such as "
            'dopri5, or gradient="backprop" (implicit steps are differentiated by one transposed solve each).'
        )
    watching: list[Callback] = [LooksOnly(c, "adjoint") for c in callbacks]

    def forward(y: Tensor) -> Solution:
        return integrate(
            problem, integrator, control, y, times, save=save, callbacks=watching, events=events, max_steps=max_steps
        )

    if not (y0.requires_grad or held):
        with torch.no_grad():
            return forward(y0)
    engine = Engine(problem, forward, times[0], backward, held)
    y: Any = Adjoint.apply(engine, y0, *held)
    solution = engine.results[0]
    if solution.status != "event":
        return replace(solution, y=y)
    last = replace(solution.crossings[-1], y=y[-1])
    return replace(solution, y=y, y_event=y[-1], crossings=[*solution.crossings[:-1], last])
