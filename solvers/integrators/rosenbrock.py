"""A linearly implicit Runge-Kutta method: one linear system a stage, with any matrix W near the Jacobian.

    (I - g dt W) u_i = g dt (f(t + a_i dt, y + sum_{j<i} A_ij u_j) + 1/dt sum_{j<i} C_ij u_j),   y_new = y + sum_i m_i u_i

with `A = alpha G^-1, C = I/g - G^-1, m = b G^-1` for the coefficients alpha, G (lower triangular with g on its diagonal) and b
of the stages `k_i = f(...) + dt W sum_j G_ij k_j`, `u = dt G k`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..operator import LinearOperator
from ..protocols import Problem, Work, linear_flow
from .base import Step
from .dirk import combine
from .implicit_stage import Stage
from .jacobian_system import JacobianSystem
from .linearly_implicit import LinearlyImplicit, Split, SplitState

Systems = Callable[[Tensor, SplitState], tuple[Stage, SplitState]]

G = 0.435866521508459
ALPHA = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [0.87173304301691801, 0.0, 0.0, 0.0],
        [0.84457060015369423, -0.11299064236484185, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
    ]
)
GAMMA = np.array(
    [
        [G, 0.0, 0.0, 0.0],
        [-0.87173304301691801, G, 0.0, 0.0],
        [-0.90338057013044082, 0.054180672388095326, G, 0.0],
        [0.24212380706095346, -1.2232505839045147, 0.54526025533510214, G],
    ]
)
B = np.array([0.24212380706095346, -1.2232505839045147, 1.5452602553351020, G])
EMBEDDED = np.array([0.37810903145819369, -0.096042292212423178, 0.5, 0.2179332607542295])
_INVERSE = np.linalg.inv(GAMMA)
_A, _C = ALPHA @ _INVERSE, np.eye(4) / G - _INVERSE
_M, _E = B @ _INVERSE, (B - EMBEDDED) @ _INVERSE
_NODES = ALPHA.sum(1)


@dataclass(frozen=True)
class RosenbrockW(LinearlyImplicit):
    """ROS34PW2, a W-method: order 3(2) with any matrix W; with the exact Jacobian L-stable and stiffly accurate; adaptive.

    Four linear systems with the same matrix a step and no Newton iteration. Time enters explicitly (no df/dt is needed).

    Args:
        linear_solver, linear_rtol: see `LinearlyImplicit`.
        matrix: W: "jacobian", by automatic differentiation (of a linear flow, its operator), or "linear_part", the L(t, y) of
            a semilinear field: cheaper products, order 3 as well, and stable as far as the rest is not stiff.

    Reference: Rang & Angermann (2005) BIT 45, 761; Hairer & Wanner (1996) IV.7 (W-methods).
    """

    matrix: Literal["jacobian", "linear_part"] = "jacobian"
    order = 3
    adaptive = True
    real_stability = imaginary_stability = float("inf")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.matrix not in ("jacobian", "linear_part"):
            raise ValueError(f"matrix = {self.matrix!r}; expected 'jacobian' or 'linear_part'")

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        given, h = self.taken(state), G * dt
        slope = problem.f(t, y)
        solve, cost = self._systems(problem, t, h, y, slope.requires_grad or y.requires_grad)
        kept, work, u = given, cost + Work(evaluations=1), []
        for i in range(len(B)):
            if i:
                slope = problem.f(t + float(_NODES[i]) * dt, _combined(y, _A[i, :i], u))
                work = work + Work(evaluations=1)
            solved, kept = solve(_combined(h * slope, G * _C[i, :i], u), kept)
            work = work + solved.work
            if solved.failed is not None:
                return replace(solved.failed, work=work, retry=given)
            u.append(solved.y)
        error = None
        if problem.error_control:
            with torch.no_grad():
                error = _combined(torch.zeros_like(y), _E, u)
        return Step(_combined(y, _M, u), error, 2, state=kept, retry=given, work=work)

    def _systems(self, problem: Problem, t: float, h: float, y: Tensor, tracked: bool) -> tuple[Systems, Work]:
        """`(b, state) -> solution of (I - h W) x = b, state`."""
        L = self._operator(problem, t, y)
        if L is not None:
            return (lambda b, state: self.linear_stage(problem, L, h, b, b, state)), Work()
        system = JacobianSystem.at(problem, t, h, y, tracked, self.linear_solver, self.linear_rtol)
        return partial(_by_jacobian, system), Work(evaluations=1)

    def _operator(self, problem: Problem, t: float, y: Tensor) -> LinearOperator | None:
        """W where it is an operator that the field offers."""
        flow = linear_flow(problem.field)
        if flow is not None:
            return flow.operator
        return Split.of(problem, f"{self.name}(matrix='linear_part')").operator(t, y) if self.matrix == "linear_part" else None


def _by_jacobian(system: JacobianSystem, b: Tensor, state: SplitState) -> tuple[Stage, SplitState]:
    solved, failed = system.solve(b), None
    if not solved.converged:
        status = "nonfinite" if solved.status == "nonfinite" else "linear"
        failed = Step(solved.x, status=status, message=solved.message)
    work = Work(products=solved.products, linear_iterations=solved.iterations)
    return Stage(solved.x, (solved.x - b) / system.h, work, state.solver, failed), state


def _combined(y: Tensor, weights: np.ndarray, stages: list[Tensor]) -> Tensor:
    return combine(y, 1.0, [float(w) for w in weights], stages)
