"""The exponential Rosenbrock method with an embedded estimate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..linear.field_jacobian import FieldJacobian, time_derivative
from ..linear.functions import Applied, matrix_functions
from ..linear.phi import PhiSum
from ..protocols import Problem, Work, as_time
from ..structure import rebind, requiring_grad
from .base import Integrator, Step

_INNER = 0.05  # of the step's tolerance, for the matrix functions


@dataclass(frozen=True)
class ExpRB32(Integrator):
    """Exponential Rosenbrock method, order 3(2), for any field, with `J = df/dy`, `v = df/dt` and `F = f` at `(t, y)`:

        a = y + dt phi_1(dt J) F + dt^2 phi_2(dt J) v,   D = f(t + dt, a) - F - J (a - y) - dt v,
        y_new = a + 2 dt phi_3(dt J) D,   error = y_new - a

    Exact for autonomous linear fields; no nonlinear or linear system is solved, only products with J are made, so that stiff
    fields are no danger. J comes from automatic differentiation (of the time, too): the field must be differentiable twice,
    three times for gradients. The functions are taken in Krylov spaces of up to `dimension` states.

    Args:
        dimension: largest dimension of a Krylov space; where it is too small the step fails, and a smaller one is tried.

    Reference: Hochbruck, Ostermann & Schweitzer (2009) SIAM J. Numer. Anal. 47, 786, section 5 (exprb32).
    """

    dimension: int = 64
    order = 3
    adaptive = True
    explicit = False
    presets = {"exprb32": {}}  # noqa: RUF012
    real_stability = imaginary_stability = float("inf")

    def __post_init__(self) -> None:
        if self.dimension < 2:
            raise ValueError(f"dimension = {self.dimension}; expected at least 2")

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[object, Work]:
        if torch.is_grad_enabled():
            _refuse_hidden_tensors(problem, t, y)
        return None, Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        tracked = torch.is_grad_enabled() and (y.requires_grad or bool(requiring_grad(problem.field)))
        with torch.set_grad_enabled(tracked):
            return self._step(problem, t, dt, y, tracked)

    def _step(self, problem: Problem, t: float, dt: float, y: Tensor, tracked: bool) -> Step:
        J = FieldJacobian(problem, t, y)
        record = J.recorded
        F, v = (problem.f(t, y) if tracked else record.value), time_derivative(problem, t, y)
        blocks = [(F, PhiSum(((dt, 1, dt),)))] + ([] if v is None else [(v, PhiSum(((dt * dt, 2, dt),)))])
        first = self._apply(problem, J, y, blocks)
        a = y + first.y[0]
        move = a - y
        image = J.matvec(move) if tracked else record.matvec(move)
        D = problem.f(t + dt, a) - F - image
        D = D if v is None else D - dt * v
        second = self._apply(problem, J, y, [(D, PhiSum(((2 * dt, 3, dt),)))])
        change = second.y[0]
        work = Work(evaluations=3, products=first.products + second.products + 1)
        if message := first.message or second.message:
            return Step(a.detach(), status="linear", factor=0.5, work=work, message=f"{message}; take a larger dimension")
        return Step(a + change, change.detach(), 2, work=work)

    def _apply(self, problem: Problem, J: FieldJacobian, y: Tensor, blocks: list[tuple[Tensor, PhiSum]]) -> Applied:
        with torch.no_grad():
            size = problem.space.norm(y.detach())
            tolerance = _INNER * (problem.rtol * size + problem.atol)
        return matrix_functions(
            J,
            problem.space,
            [[f] for _, f in blocks],
            [b for b, _ in blocks],
            rtol=_INNER * problem.rtol,
            tolerance=tolerance,
            most=self.dimension,
            record=J.recorded,
        )


def _refuse_hidden_tensors(problem: Problem, t: float, y: Tensor) -> None:
    """The gradient of a function of J is a sum over what the field shows; a closure's tensors would be left out in silence."""
    field = problem.field
    held = requiring_grad(field)
    out = rebind(field, held, [h.detach() for h in held])(as_time(t, y), y.detach())
    if out.requires_grad:
        raise TypeError(
            f"ExpRB32 cannot see all tensors that {getattr(field, '__qualname__', type(field).__name__)} needs gradients for. "
            "Make the field an nn.Module or a frozen dataclass that holds them, or take another method such as sdirk2 or dopri5"
        )
