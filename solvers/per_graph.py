"""Every graph of a block-diagonal batch at its own pace: explicit Runge-Kutta steps of sizes dt_g, g = 1 .. graphs.

    y_new = y + dt_g sum_i b_i k_i,   k_i = f(t_g + c_i dt_g, y + dt_g sum_{j<i} a_ij k_j),   node by node with g = batch(node)

All graphs try a step together (one evaluation of the field for each stage); error, acceptance, step size and output are each
graph's own, so that its accepted steps are those that it takes alone. A graph that has arrived, or failed, keeps its state
(its dt is 0) until the last one arrives. The field gets a time per node, broadcastable to the state. No graph may act on
another: an operator stored densely turns a NaN of one graph into NaN for all. Step sizes are constants for gradients.

Reference: Lienen & Gunnemann (2022) torchode: a parallel ODE solver for PyTorch (independent steps for a batch of systems).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .controllers import PID, Controller
from .errors import IntegrationError
from .events import Event
from .failure import ADVICE, CAUSE
from .integrators.base import Integrator
from .integrators.tableau import ExplicitRungeKutta
from .loop import integrate
from .per_graph_check import check_watchers, steps_alone
from .per_graph_control import Sizes, first_steps, per_graph, per_node
from .per_graph_output import Outputs, Stretch, weighted
from .plan import Plan
from .protocols import Callback, Problem
from .solution import PerGraphSteps, Solution, Stats

_MERGE = 1e-9  # a remainder below this share of a step is merged into the step
_GIVE_UP = 40  # rejections in a row for a state that is not finite


def integrate_alone(
    problem: Problem,
    method: Integrator,
    controller: Controller,
    y0: Tensor,
    times: Sequence[float],
    *,
    save: str = "times",
    callbacks: Sequence[Callback] = (),
    events: Sequence[Event] = (),
    max_steps: int = 100_000,
) -> Solution:
    """Integrate from `times[0]` to `times[-1]`, each graph by its own steps; if that is not asked for, by common steps.

    `stats` counts what the graphs did together: steps tried, those at which a graph advanced, those at which none did. Of
    callbacks, `after` is called at their times, once the last graph has passed.

    Raises:
        IntegrationError: if a graph fails, after the others have finished; see `Solution.per_graph`.
        TypeError, ValueError: for a method or options that allow no steps of one's own.
    """
    if not steps_alone(problem.space):
        return integrate(
            problem, method, controller, y0, times, save=save, callbacks=callbacks, events=events, max_steps=max_steps
        )
    check_watchers(events, callbacks)
    if not isinstance(method, ExplicitRungeKutta) or not isinstance(controller, PID):
        raise TypeError(f"{method.name} under {type(controller).__name__} cannot step each graph by itself")
    plan = Plan(times, save, callbacks, events, max_steps)
    loop = _Loop.start(problem, method, controller, plan, y0)
    while loop.active.any():
        loop.advance()
    return loop.solution()


@dataclass
class _Loop:
    """One solve: what is fixed, then everything that changes; numbers per graph are on the CPU, `[graphs]`."""

    problem: Problem
    method: ExplicitRungeKutta
    pid: PID
    plan: Plan
    outputs: Outputs
    y: Tensor
    t: Tensor
    sizes: Sizes
    accepted: Tensor
    rejected: Tensor
    in_a_row: Tensor  # rejections since the last accepted step
    active: Tensor
    status: list[str]
    evaluations: int
    slope: Tensor | None = None  # the field at (t, y), where it is known
    history: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # times after an attempt, and who advanced

    @classmethod
    def start(cls, problem: Problem, method: ExplicitRungeKutta, pid: PID, plan: Plan, y0: Tensor) -> _Loop:
        groups = problem.space.groups
        dt, spent = first_steps(problem, pid, method.order, plan.start, y0, plan.end - plan.start)
        t, none = torch.full((groups,), plan.start, dtype=torch.float64), torch.zeros(groups, dtype=torch.long)
        outputs = Outputs(problem, plan, method.tableau, none.clone(), method.inner)
        outputs.start(y0)
        active, status = torch.ones(groups, dtype=torch.bool), ["ok"] * groups
        history = [(t, active)]
        sizes = Sizes.first(dt)
        return cls(problem, method, pid, plan, outputs, y0, t, sizes, none, none, none, active, status, spent, history=history)

    def advance(self) -> None:
        """Let every graph that is on its way try one step."""
        plan, sign = self.plan, self.plan.direction
        self._stop(self.active & (self.accepted + self.rejected >= plan.max_steps), "max_steps")
        if not self.active.any():
            return
        target = self.outputs.targets()
        left = sign * (target - self.t)
        lands = self.sizes.dt >= left * (1 - _MERGE)
        h = torch.where(self.active, torch.where(lands, left, self.sizes.dt), 0.0)
        stages, new, ratio = self._attempt(h)
        finite = torch.isfinite(ratio)
        if torch.is_grad_enabled() and not finite[self.active].all():
            # what is not finite must not enter the graph of gradients, where 0 * nan is nan
            stages, new, _ = self._attempt(torch.where(finite, h, 0.0))
        accept, sizes = self.sizes.next(self.pid, h, ratio, self.method.tableau.error_order)
        accept = accept & self.active
        self.sizes = sizes.kept(self.active, self.sizes)
        after = torch.where(accept, torch.where(lands, target, self.t + sign * h), self.t)
        self.outputs.collect(Stretch(self.t, after, sign * h, accept, self.y, new, stages))
        self._move(accept, after, new, stages)
        self._reject(self.active & ~accept, finite)
        self.active = self.active & (self.outputs.reached < len(plan.stops))
        self.outputs.report(torch.tensor([s == "ok" for s in self.status]))

    def _attempt(self, h: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Stages, new state, and error over tolerance, `[graphs]`; not finite where the new state is not."""
        problem, tab, y, h = self.problem, self.method.tableau, self.y, self.plan.direction * h
        if self.slope is None:
            self.slope = problem.at(per_node(problem, self.t, y), y)
            self.evaluations += 1
        k, dt, new = [self.slope], per_node(problem, h, y), y
        for i in range(1, len(tab.c)):
            new = y + dt * weighted(tab.a[i], k)
            k.append(problem.at(per_node(problem, self.t + tab.c[i] * h, y), new))
        self.evaluations += len(tab.c) - 1
        if not tab.first_same_as_last:
            new = y + dt * weighted(tab.b, k)
        with torch.no_grad():
            scale = torch.maximum(y.abs(), new.abs()).mul_(problem.rtol).add_(problem.atol)
            error = problem.space.rms(dt * weighted(tab.error or (), k) / scale)
            ratio, size = per_graph(torch.stack((error, problem.space.max(new.abs()))))
        return k, new, torch.where(size < torch.inf, ratio, torch.nan)

    def _move(self, accept: Tensor, after: Tensor, new: Tensor, stages: list[Tensor]) -> None:
        where = self.problem.space.spread(accept.to(new.device), new)
        self.y = torch.where(where, new, self.y)
        if self.method.tableau.first_same_as_last:
            self.slope = torch.where(where, stages[-1], stages[0])
        elif accept.any():
            self.slope = None
        self.t, self.accepted = after, self.accepted + accept
        self.history.append((after, accept))

    def _reject(self, failed: Tensor, finite: Tensor) -> None:
        self.rejected = self.rejected + failed
        self.in_a_row = torch.where(failed, self.in_a_row + 1, 0)
        extent = self.t.abs().clamp(min=abs(self.plan.end))
        too_small = failed & (self.sizes.dt < 16 * extent * torch.finfo(torch.float64).eps)
        self._stop(failed & ~finite & (too_small | (self.in_a_row > _GIVE_UP)), "nonfinite")
        self._stop(too_small & finite, "dt_min")

    def _stop(self, which: Tensor, status: str) -> None:
        for g in which.nonzero().flatten().tolist():
            self.status[g] = status
        self.active = self.active & ~which

    def solution(self) -> Solution:
        """The states at the times that were asked for.

        Raises:
            IntegrationError: naming the graphs that failed, with the same solution, NaN where they did not come.
        """
        t, moved = (torch.stack(rows) for rows in zip(*self.history, strict=True))
        times = [at[m] for at, m in zip(t.unbind(1), moved.unbind(1), strict=True)]
        steps, advanced = len(self.history) - 1, sum(bool(m.any()) for _, m in self.history[1:])
        per = PerGraphSteps(self.accepted, self.rejected, tuple(self.status), tuple(times))
        failed = [g for g, s in enumerate(self.status) if s != "ok"]
        status = self.status[failed[0]] if failed else "ok"
        message = f"{self.method.name}: each graph by its own steps, {steps} tried together"
        if failed:
            message = self._failure(failed)
        stats = Stats(steps, advanced, steps - advanced, self.evaluations + self.outputs.evaluations)
        at, y = self.outputs.saved(self.y)
        found = Solution(at, y, stats, status, message, self.method.name, per_graph=per)
        if failed:
            raise IntegrationError(message, status, found)
        return found

    def _failure(self, failed: list[int]) -> str:
        status = self.status[failed[0]]
        named = [f"graph {g} at t = {float(self.t[g]):.6g} ({CAUSE[self.status[g]]})" for g in failed[:4]]
        more = f" and {len(failed) - 4} more" if len(failed) > 4 else ""
        more += "; the others finished" if len(failed) < len(self.status) else ""
        return (
            f"{self.method.name} stopped on {len(failed)} of {len(self.status)} graphs before t = {self.plan.end:.6g}: "
            f"{', '.join(named)}{more}. {ADVICE[status]} What was computed is in .solution: a stopped "
            "graph's states are NaN at the times that it did not reach, and .solution.per_graph has its status and steps."
        )
