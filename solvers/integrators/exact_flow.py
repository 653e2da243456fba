"""What the exact flows of a linear field share: all output times from one recurrence, a step of any size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from ..errors import IntegrationError
from ..failure import CAUSE
from ..host import host_may_look
from ..protocols import LinearFlow, Problem, Work, linear_flow
from .base import Integrator, Step, StepStatus


class ExactFlow(Integrator):
    """`y(t) = exp(t A) y_0 + t phi_1(t A) s` for a field `y' = A y + s`, to the tolerance, whatever the step: order infinite.

    There is no error estimate, and none is needed: rtol (relative to the size of the initial state, in the Euclidean
    norm) says where the expansion is cut off.
    """

    order = float("inf")  # type: ignore[assignment]
    needs = "linear"
    explicit = False
    exact: ClassVar[Literal[True]] = True

    @abstractmethod
    def states(self, problem: Problem, flow: LinearFlow, spans: Sequence[float], y: Tensor) -> tuple[Tensor, Work]:
        """The states after the spans of time (monotone, of one sign), `[spans, *state]`.

        Raises:
            ValueError: if the operator is not one for this method.
            IntegrationError: if the numbers cannot be computed.
        """

    def flow(self, problem: Problem, times: Sequence[float], y: Tensor) -> tuple[Tensor, Work]:
        """The states at `times[1:]`, starting from y at `times[0]`, `[times - 1, *state]`, from one recurrence."""
        flow = linear_flow(problem.field)
        if flow is None:
            raise TypeError(f"{self.name} needs a LinearFlow(operator, source); {type(problem.field).__name__} is not one")
        check_state_fits(flow, y)
        out, work = self.states(problem, flow, [t - times[0] for t in times[1:]], y)
        with torch.no_grad():
            if host_may_look(out) and not bool(torch.isfinite(problem.space.max(out.detach()[-1].abs())).all()):
                raise IntegrationError(f"{self.name}: {CAUSE['nonfinite']} at t = {times[-1]:.6g}", "nonfinite")
        return out, work

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        try:
            out, work = self.flow(problem, [t, t + dt], y)
        except IntegrationError as error:
            return Step(y, status=cast(StepStatus, error.status), message=str(error))

        def dense(theta: float) -> Tensor:
            return y if theta == 0 else self.flow(problem, [t, t + theta * dt], y)[0][-1]

        return Step(out[-1], dense=dense, work=work)


def check_state_fits(flow: LinearFlow, y: Tensor) -> None:
    """Raise ValueError unless the operator acts on states of this shape and the source has it too."""
    rows = y.shape[-2] if y.dim() > 1 else y.shape[0] if y.dim() else 0
    size = y.numel() if not flow.operator.columnwise else rows
    stacked = y.numel() // y.shape[-1] if y.dim() > 2 and y.shape[-1] else size  # blocks over one another, as stack((q, p))
    if tuple(flow.operator.shape) not in ((size, size), (stacked, stacked)):
        raise ValueError(
            f"the operator has shape {tuple(flow.operator.shape)} and the state {tuple(y.shape)}; expected a square operator "
            f"on the {size} rows of axis -2"
        )
    if torch.promote_types(flow.operator.dtype, y.dtype) != y.dtype:
        raise ValueError(f"the operator is {flow.operator.dtype} and the state {y.dtype}; expected the state's type for both")
    if flow.source is not None and not _fits(flow.source.shape, y.shape):
        raise ValueError(f"the source has shape {tuple(flow.source.shape)}; expected one that fits {tuple(y.shape)}")


def _fits(shape: torch.Size, state: torch.Size) -> bool:
    return len(shape) <= len(state) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(state), strict=False))
