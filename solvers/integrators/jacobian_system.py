"""Linear systems with the Jacobian of a field at one point, `(I - h J) x = b`, as a differentiable function of everything.

The Jacobian depends on the state and on what the field holds, and the solution with it: with `x` solved outside autograd and
`r = x - h J x - b` recorded, the implicit function theorem gives `dx = -(I - h J)^-1 dr`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import IntegrationError
from ..linear.default import default_solver
from ..linear.jacobian import Jacobian, linearise
from ..linear.solver import LinearSolver, Prepared, Solve
from ..nonlinear import TOLERANCE, weights
from ..operator import Shifted
from ..protocols import Problem


@dataclass(frozen=True, eq=False)
class JacobianSystem:
    """`I - h J` at one `(t, y)`.

    Args:
        prepared: how it is solved.
        jacobian: J; recorded on the state itself where `tracked`.
        h: step.
        tracked: whether the solution needs a gradient.
        unit: what an error of size 1 is, entry by entry.
        linear_rtol: relative residual of the solves; None for one at which the error is of size 1.
        backward_rtol: relative residual of the solves for gradients.
    """

    prepared: Prepared
    jacobian: Jacobian
    h: float
    tracked: bool
    unit: Tensor
    linear_rtol: float | None
    backward_rtol: float

    @classmethod
    def at(
        cls, problem: Problem, t: float, h: float, y: Tensor, tracked: bool, solver: LinearSolver | None, rtol: float | None
    ) -> JacobianSystem:
        """The system at `(t, y)`, one evaluation."""
        jacobian = _recorded(problem, t, y) if tracked else linearise(problem, t, y)
        system = Shifted(jacobian, 1.0, -h)
        prepared = (solver or default_solver(system, problem.space)).prepare(system, problem.space)
        backward = max(min(rtol or 1.0, TOLERANCE * problem.rtol), 50 * torch.finfo(y.dtype).eps)
        return cls(prepared, jacobian, h, tracked, weights(problem, y), rtol, backward)

    def solve(self, b: Tensor) -> Solve:
        """The solution, connected to the graph if it is tracked."""
        eps = torch.finfo(b.dtype).eps
        with torch.no_grad():
            size = self.prepared.space.rms(b.detach() / self.unit)
            rtol = self.linear_rtol or size.clamp_min(1.0).reciprocal().clamp(50 * eps, 0.1)
        solved = self.prepared.iterate(b.detach(), None, rtol)
        if not self.tracked or not solved.converged:
            return solved
        defect = solved.x - self.h * self._product(solved.x) - b
        x = _Solved.apply(self, solved.x, defect)
        return Solve(x, solved.iterations, solved.products, solved.residual, solved.status)  # type: ignore[arg-type]

    def _product(self, x: Tensor) -> Tensor:
        """`J x` as a function of the state and of what the field holds."""
        image, probe = self.jacobian.image, self.jacobian.probe
        if image is None or probe is None:
            return torch.zeros_like(x)
        (product,) = torch.autograd.grad(image, probe, x, create_graph=True, allow_unused=True)
        return torch.zeros_like(x) if product is None else product


class _Solved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, system: JacobianSystem, x: Tensor, defect: Tensor) -> Tensor:
        ctx.system = system
        return x.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor):
        solved = ctx.system.prepared.adjoint().iterate(g, None, ctx.system.backward_rtol)
        if not solved.converged:
            raise IntegrationError(f"the gradient of a linearly implicit step needs a linear solve: {solved.message}", "linear")
        return None, None, -solved.x


def _recorded(problem: Problem, t: float, y: Tensor) -> Jacobian:
    """The Jacobian with a record that leads on to the state and to what the field holds."""
    with torch.enable_grad():
        state = y if y.requires_grad else y.detach().clone().requires_grad_()
        output = problem.f(t, state)
        probe = torch.ones_like(output).requires_grad_()
        (image,) = torch.autograd.grad(output, state, probe, create_graph=True, allow_unused=True)
        if image is not None and not image.requires_grad:
            image = None
        return Jacobian(state, output.detach(), output, probe, image)
