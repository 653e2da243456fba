"""The adjoint equation solved backwards along the forward solution, whose recorded steps give the state at any time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .adjoint_equation import LastStep, ParameterIntegral, adjoint_field
from .controllers import Controller
from .errors import IntegrationError
from .held import StandIns
from .integrators.base import Integrator
from .loop import integrate
from .protocols import Problem
from .replay import Recorded, differentiate
from .structure import rebind
from .trajectory import Trajectory

_STEPS = (10, 1000)  # backward steps allowed: so many per forward step, and so many more


class Along:
    """The way back on which the state is that of the forward solve.

    Args:
        run: the forward solve.
        y0: its initial state.
        held: the values of the tensors theta.
        method: solves the adjoint equation.
        rtol, atol: its tolerances.
    """

    def __init__(self, run: Recorded, y0: Tensor, held: Sequence[Tensor], method: Integrator, rtol: float, atol: float) -> None:
        base = run.task.problem
        values = [h.detach() for h in held]
        self._run, self._method = run, method
        self._path = Trajectory(run, y0)
        self._stand = StandIns(base.field, run.held, [v.clone().requires_grad_() for v in values])
        frozen = base.with_field(rebind(base.field, list(run.held), values))
        self._problem = Problem(adjoint_field(frozen, self._path), base.space, rtol, atol)

    @torch.no_grad()
    def interval(
        self, span: tuple[float, float], control: Controller, y_end: Tensor, y_begin: Tensor, a: Tensor, g: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From one output back to the one before."""
        method, steps = LastStep(self._method), self._run.solutions[0].stats.steps
        sums = [torch.zeros_like(h) for h in self._run.held]
        integral = ParameterIntegral(self._problem, method, self._path, self._stand, sums)
        most = _STEPS[0] * steps + _STEPS[1]
        try:
            done = integrate(self._problem, method, control, a, span, save="final", callbacks=[integral], max_steps=most)
        except IntegrationError as error:
            raise IntegrationError(
                f'gradient="{self._run.gradient}" could not solve the adjoint equation between t = {span[0]:.6g} and '
                f't = {span[1]:.6g}: {error} gradient="checkpoint" differentiates the steps themselves, in as little memory.',
                "adjoint",
            ) from error
        more = [s.reshape(-1).to(g.dtype) for s in sums]
        return done.y[-1], g + torch.cat(more) if more else g


def second_derivatives(
    run: Recorded, y0: Tensor, held: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor | None, list[Tensor | None]]:
    """The gradients as functions that can be differentiated again: those of the recorded steps, in one graph."""
    crossings = len(run.solutions[0].crossings)
    return differentiate(run, y0, held, torch.cat([grad, grad.new_zeros(crossings, *grad.shape[1:])]))
