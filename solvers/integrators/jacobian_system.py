"""Linear systems with the Jacobian of a field at one point, `(I - h J) x = b`, as a differentiable function of everything.

The Jacobian depends on the state and on what the field holds, and the solution with it: with `x` solved outside autograd and
`r = x - h J x - b` recorded, the implicit function theorem gives `dx = -(I - h J)^-1 dr`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import IntegrationError
from ..implicit_root import Implicit
from ..linear.default import default_solver
from ..linear.field_jacobian import FieldJacobian
from ..linear.jacobian import Jacobian, linearise
from ..linear.solver import LinearSolver, Prepared, Solve
from ..nonlinear import TOLERANCE, weights
from ..operator import LinearOperator
from ..protocols import Problem
from ..shifted import Shifted
from ..structure import rebind, requiring_grad


@dataclass(frozen=True, eq=False)
class JacobianSystem:
    """`I - h J` at one `(t, y)`.

    Args:
        problem: holds the field.
        t, y: where J is taken.
        prepared: how it is solved.
        jacobian: J; recorded on the state itself where `tracked`.
        h: step.
        tracked: whether the solution needs a gradient.
        unit: what an error of size 1 is, entry by entry.
        linear_rtol: relative residual of the solves; None for one at which the error is of size 1.
        backward_rtol: relative residual of the solves for gradients.
    """

    problem: Problem
    t: float
    y: Tensor
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
        return cls(problem, t, y, prepared, jacobian, h, tracked, weights(problem, y), rtol, backward)

    def solve(self, b: Tensor) -> Solve:
        """The solution, connected to the graph if it is tracked."""
        eps = torch.finfo(b.dtype).eps
        with torch.no_grad():
            size = self.prepared.space.rms(b.detach() / self.unit)
            rtol = self.linear_rtol or size.clamp_min(1.0).reciprocal().clamp(50 * eps, 0.1)
        solved = self.prepared.iterate(b.detach(), None, rtol)
        if not self.tracked or not solved.converged:
            return solved
        x, _ = _Stage(self._inverse, self.problem, self.t, self.h, self).connected(solved.x, b)
        return replace(solved, x=x)

    def _inverse(self, system: LinearOperator) -> Callable[[Tensor], Tensor]:
        prepared = self.prepared.solver.prepare(system, self.prepared.space)

        def solve(g: Tensor) -> Tensor:
            solved = prepared.solve(g, rtol=self.backward_rtol)
            if not solved.converged:
                why = f"the gradient of a linearly implicit step needs a linear solve: {solved.message}"
                raise IntegrationError(why, "linear")
            return solved.x

        return solve

    def product(self, x: Tensor) -> Tensor:
        """`J x` as a function of the state and of what the field holds."""
        image, probe = self.jacobian.image, self.jacobian.probe
        if image is None or probe is None:
            return torch.zeros_like(x)
        (product,) = torch.autograd.grad(image, probe, x, create_graph=True, allow_unused=True)
        return torch.zeros_like(x) if product is None else product


@dataclass(frozen=True, eq=False)
class _Stage(Implicit):
    """`r = x - h J(y) x - b`."""

    system: JacobianSystem

    def point(self, x: Tensor) -> Tensor:
        return self.system.y

    def residual(self, x: Tensor, b: Tensor) -> Tensor:
        return x - self.h * self.system.product(x) - b

    def held(self) -> list[Tensor]:
        y = self.system.y
        return [*([y] if y.requires_grad else []), *requiring_grad(self.problem.field)]

    def pulled_back(self, x: Tensor, held: Sequence[Tensor], cotangent: Tensor) -> list[Tensor | None]:
        aliases = [theta.view_as(theta) for theta in held]
        image = rebind(FieldJacobian(self.problem, self.t, self.system.y), list(held), aliases).matvec(x)
        if not (aliases and image.requires_grad):
            return [None] * len(aliases)
        return list(torch.autograd.grad(image, aliases, self.h * cotangent, create_graph=True, allow_unused=True))


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
