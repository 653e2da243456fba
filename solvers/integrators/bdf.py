"""Backward differentiation of variable order with variable steps, in quasi-constant step form.

With the backward differences D_j of the last states, the prediction `p = sum_{j<=k} D_j` and `d = y_new - p = D_{k+1}`:

    (1 - kappa_k) gamma_k d + sum_{j=1}^k gamma_j D_j = dt f(t + dt, p + d),    gamma_j = sum_{i=1}^j 1/i

kappa_k = 0 is BDF; the values here are those of the numerical differentiation formulas, which make a quarter longer steps at
orders 1 to 3 with little less stability. A change of the step size interpolates the differences. Error of order k:
`(kappa_k gamma_k + 1/(k + 1)) d`; the orders below and above are judged by D_k and D_{k+2} alike.

Reference: Shampine & Reichelt (1997) SIAM J. Sci. Comput. 18, 1; Byrne & Hindmarsh (1975) ACM TOMS 1, 71.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from ..protocols import Problem, Work
from .base import Step
from .bdf_differences import advanced, inside, of_states, rescaled, weighted
from .implicit_stage import ImplicitMethod, ImplicitState
from .radau import RadauIIA5

_GAMMA = (0.0, 1.0, 1.5, 11 / 6, 25 / 12, 137 / 60)
_KAPPA = (0.0, -0.1850, -1 / 9, -0.0823, -0.0415, 0.0)
_ALPHA = tuple((1 - kappa) * gamma for kappa, gamma in zip(_KAPPA, _GAMMA, strict=True))
_ERROR = (*(kappa * gamma + 1 / (k + 1) for k, (kappa, gamma) in enumerate(zip(_KAPPA, _GAMMA, strict=True))), 1 / 7)
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0
_AFTER_FAILURE = 0.5  # ratio of step sizes after a nonlinear or linear solve that failed


@dataclass(frozen=True, eq=False)
class BDFState:
    """What the method keeps.

    Attributes:
        dt: the distance in time of the states whose differences are kept.
        order: of the next step.
        steps: steps taken with this order and this dt.
        rows: the differences, `[order + 2 or more, *state]`; None before the first step and while starting values are made.
        past: starting values, newest first (fixed order).
        solver: what is prepared for linear fields.
        starter: state of the method that makes starting values.
    """

    dt: float = 0.0
    order: int = 1
    steps: int = 0
    rows: Tensor | None = None
    past: tuple[Tensor, ...] = ()
    solver: ImplicitState = field(default_factory=ImplicitState)
    starter: object = None


@dataclass(frozen=True)
class BDF(ImplicitMethod):
    """Variable-step variable-order BDF of orders 1 to 5 (as NDF), A-stable up to order 2, A(74), A(51) and so on above.

    Under error control it starts at `min_order` and chooses order and step size for itself. With `dt=`, or if `min_order`
    is `max_order`, the order is `max_order` throughout: starting values are then made by Radau IIA of order 5.

    Args:
        max_order: the highest order, 1 to 5; choose 2 for eigenvalues near the imaginary axis.
        min_order: the lowest.
        linear_solver, linear_rtol, max_newton: see `ImplicitMethod`.

    Reference: Shampine & Reichelt (1997) SIAM J. Sci. Comput. 18, 1.
    """

    max_order: int = 5
    min_order: int = 1
    adaptive = True
    dense_output = True
    real_stability = float("inf")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.min_order <= self.max_order <= 5:
            got = f"min_order = {self.min_order}, max_order = {self.max_order}"
            raise ValueError(f"{got}; expected 1 <= min_order <= max_order <= 5")

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.max_order

    @property
    def dense_order(self) -> int:  # type: ignore[override]
        return self.order

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[BDFState, Work]:  # type: ignore[override]
        fixed = self.min_order == self.max_order or not problem.error_control
        return BDFState(order=self.max_order if fixed else self.min_order), Work()

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, BDFState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        work = Work()
        rows = state.rows
        if rows is None:
            if state.order > 1:
                return self._start(problem, t, dt, y, state)
            rows = torch.stack((y, dt * problem.f(t, y), torch.zeros_like(y)))
            state, work = replace(state, rows=rows, dt=dt), Work(evaluations=1)
        step = self._advance(problem, t, dt, y, state, rows)
        return replace(step, work=step.work + work)

    def _start(self, problem: Problem, t: float, dt: float, y: Tensor, state: BDFState) -> Step:
        """A step by Radau IIA; as soon as there are `order + 1` states at equal distances, their differences."""
        method = RadauIIA5(self.linear_solver, self.linear_rtol, self.max_newton)
        before = method.init(problem, t, y)[0] if state.starter is None else state.starter
        step = method.step(problem, t, dt, y, before)
        if step.status != "ok":
            return replace(step, retry=state)
        past = (y, *(state.past if dt == state.dt else ()))
        after = BDFState(dt, state.order, past=past, starter=step.state)
        if len(past) == state.order:
            rows = of_states((step.y, *past))
            after = BDFState(dt, state.order, rows=torch.cat((rows, torch.zeros_like(rows[:1]))))
        good = step.error is not None and problem.error_ratio(step.error, y, step.y) <= 1
        return replace(step, state=after, retry=state, factor=1.0 if good else None)

    def _advance(self, problem: Problem, t: float, dt: float, y: Tensor, state: BDFState, rows: Tensor) -> Step:
        k, steps = state.order, state.steps
        if dt == state.dt:
            now, earlier = rows[: k + 1], rows[k + 1]
        else:
            now, earlier, steps = rescaled(rows[: k + 1], dt / state.dt), torch.zeros_like(y), 0
        predicted = weighted([1.0] * (k + 1), now)
        b = weighted([1 - _GAMMA[j] / _ALPHA[k] for j in range(k + 1)], now)
        solved = self.stage(problem, t + dt, dt / _ALPHA[k], b, predicted, state.solver)
        retry = replace(state, solver=solved.state)
        if solved.failed is not None:
            return replace(solved.failed, retry=retry, factor=_AFTER_FAILURE)
        d = solved.y - predicted
        rows = advanced(now, solved.y, d, earlier)
        error, factor, order = None, None, k
        if problem.error_control:
            error = _ERROR[k] * d.detach()
            factor, order = self._control(problem, y, solved.y, error, rows, k, steps + 1)
        chosen = factor is not None and factor != 1.0
        after = BDFState(dt, order, 0 if chosen else steps + 1, rows, solver=solved.state)
        dense = partial(inside, rows[: k + 1])
        return Step(solved.y, error, k, "ok", factor, after, retry, dense, solved.work)

    @torch.no_grad()
    def _control(
        self, problem: Problem, y: Tensor, new: Tensor, error: Tensor, rows: Tensor, k: int, steps: int
    ) -> tuple[float, int]:
        """The ratio of step sizes and the order of the next step: the one that allows the largest step."""
        sizes = {k: problem.error_ratio(error, y, new)}
        if not sizes[k] <= 1:
            return (max(_SHRINK, _SAFETY * _ratio(sizes[k], k)) if sizes[k] < float("inf") else _SHRINK), k
        if steps <= k:  # the differences are not yet those of equal steps
            return 1.0, k
        if k > self.min_order:
            sizes[k - 1] = problem.error_ratio(_ERROR[k - 1] * rows[k], y, new)
        if k < self.max_order:
            sizes[k + 1] = problem.error_ratio(_ERROR[k + 1] * rows[k + 2], y, new)
        best = max(sizes, key=lambda order: _ratio(sizes[order], order))
        return min(_GROW, _SAFETY * _ratio(sizes[best], best)), best


def _ratio(size: float, order: int) -> float:
    """The ratio of step sizes at which an error of this size, relative to the tolerance, becomes 1."""
    return max(size, 1e-10) ** (-1 / (order + 1))
