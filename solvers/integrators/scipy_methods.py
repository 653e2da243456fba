"""scipy's methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import integrate, sparse
from torch import Tensor

from ..errors import IntegrationError
from ..protocols import Problem, linear_flow
from .back_end import BackEnd, Span

_NAMES = ("Radau", "BDF", "LSODA", "DOP853", "RK45", "RK23")
_WITHOUT = (
    "and something here requires one: call it under torch.no_grad() or detach, or take a method with a gradient "
    "(dopri5, trbdf2, torchdiffeq:dopri5)"
)


@dataclass(frozen=True)
class ScipyMethod(BackEnd):
    """scipy's `Radau`, `BDF`, `LSODA`, `DOP853`, `RK45` or `RK23`, on the flattened state in float64 (or complex128).

    Order: the back end's. There is no gradient. Radau and BDF build their Jacobian, `[entries, entries]`: sparse and exact
    for a linear field, dense and by differences (one evaluation an entry) for any other. Rejected steps are not reported.

    Args:
        solver: the class in `scipy.integrate`.
        max_step: no step is larger.
        min_step: no step is smaller (LSODA only).

    Reference: Virtanen et al. (2020) Nature Methods 17, 261; LSODA: Petzold (1983) SIAM J. Sci. Stat. Comput. 4, 136.
    """

    solver: str = "Radau"
    max_step: float = float("inf")
    min_step: float = 0.0
    adaptive = True
    presets: ClassVar = {f"scipy:{s}": {"solver": s} for s in _NAMES}

    @property
    def name(self) -> str:
        return f"scipy:{self.solver}"

    def span(self, run: Span, y: Tensor) -> None:
        self.refuse_fixed(run.dt, needed=False)
        wide = torch.complex128 if y.is_complex() else torch.float64
        if y.is_complex() and self.solver == "LSODA":
            raise ValueError("scipy:LSODA takes real states only; scipy:BDF takes complex ones")

        def back(flat: np.ndarray) -> Tensor:
            return torch.from_numpy(flat.copy()).view(y.shape).to(y)

        def field(t: float, flat: np.ndarray) -> np.ndarray:
            if not np.isfinite(t):  # scipy would go on with it for ever
                raise run.failure(self, "the step size is not a number")
            out = run.f(float(t), back(flat))
            if out.requires_grad:
                raise ValueError(f"{self.name} has no gradient {_WITHOUT}")
            return out.to("cpu", wide).reshape(-1).numpy()

        if y.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{self.name} has no gradient {_WITHOUT}")
        flat = y.detach().to("cpu", wide).reshape(-1).numpy()
        tolerances: dict[str, Any] = {"rtol": run.problem.rtol, "atol": run.problem.atol, **self._jacobian(run.problem, y)}
        tolerances["max_step"] = self.max_step
        if self.solver == "LSODA":
            tolerances["min_step"] = self.min_step
        run.states = []
        try:
            solver = getattr(integrate, self.solver)(field, run.times[0], flat, run.times[-1], **tolerances)
            _advance(solver, run, lambda found: run.states.append(back(found)))  # type: ignore[attr-defined]
        except (np.linalg.LinAlgError, RuntimeError, _Failed) as error:
            raise error if isinstance(error, IntegrationError) else run.failure(self, str(error).strip().rstrip(".")) from error

    def _jacobian(self, problem: Problem, y: Tensor) -> dict[str, object]:
        flow = linear_flow(problem.field)
        if flow is None or not flow.operator.columnwise or y.dim() > 2 or self.solver not in ("Radau", "BDF"):
            return {}
        columns = y.shape[1] if y.dim() == 2 else 1
        return {"jac": sparse.kron(flow.operator.to_scipy().astype("float64"), sparse.eye_array(columns), format="csc")}


class _Failed(Exception):
    """What a back end says when it gives up."""


def _advance(solver: integrate.OdeSolver, run: Span, save: Callable[[np.ndarray], None]) -> None:
    """Step to the end, reading outputs from the solver's interpolant."""
    stops, direction, reached = run.times[1:], 1.0 if run.times[-1] > run.times[0] else -1.0, 0
    while solver.status == "running":
        run.attempt()
        message = solver.step()
        if solver.status == "failed":
            raise _Failed(message or "no reason given")
        run.accepted += 1
        while reached < len(stops) and direction * (stops[reached] - solver.t) <= 0:
            at_end = stops[reached] == solver.t
            save(solver.y if at_end else solver.dense_output()(stops[reached]))
            reached += 1
