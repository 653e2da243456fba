"""The ways to a gradient, by name; adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from .adjoint import solve_by_adjoint, solve_by_backsolve, solve_by_interpolation
from .checkpoint import solve_by_checkpoint
from .integrators.base import Integrator
from .per_graph import integrate_alone
from .resolve import unknown
from .reversible import check_reversible, solve_by_reversal
from .solution import Solution
from .task import Task


def solve_by_backprop(task: Task) -> Solution:
    """Integrate; the steps leave their graph where something needs a gradient."""
    return integrate_alone(
        task.problem,
        task.method,
        task.control,
        task.y0,
        task.times,
        save=task.save,
        callbacks=task.callbacks,
        events=task.events,
        max_steps=task.max_steps,
    )


@dataclass(frozen=True)
class Gradient:
    """A way to a gradient.

    Args:
        solve: the solve, with a solution that autograd can differentiate.
        check: raises for a method that it is not for, whether a gradient is needed or not.
    """

    solve: Callable[[Task], Solution]
    check: Callable[[Integrator], None] = lambda method: None

    def __call__(self, task: Task) -> Solution:
        """Solve; where no gradient can be asked for, by plain steps."""
        return self.solve(task) if torch.is_grad_enabled() else solve_by_backprop(task)


GRADIENTS: Mapping[str, Gradient] = {
    "backprop": Gradient(solve_by_backprop),
    "adjoint": Gradient(solve_by_adjoint),
    "backsolve": Gradient(solve_by_backsolve),
    "interpolating": Gradient(solve_by_interpolation),
    "checkpoint": Gradient(solve_by_checkpoint),
    "reversible": Gradient(solve_by_reversal, check_reversible),
}


def gradient_named(name: str) -> Gradient:
    """The way to a gradient of that name; ValueError with the nearest ones if there is none."""
    if name not in GRADIENTS:
        raise unknown("gradient", name, tuple(GRADIENTS))
    return GRADIENTS[name]
