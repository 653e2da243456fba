"""What every time-stepping method is: `init` makes its state, `step` takes one step and returns everything about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

from torch import Tensor

from ..protocols import Problem, Work

SCRATCH: Mapping[str, bool] = {"scratch": True}  # metadata of a field of a method's state that holds no information

StepStatus = Literal["ok", "nonlinear", "linear", "nonfinite"]


@dataclass(frozen=True, eq=False)
class Step:
    """The outcome of one attempted step.

    Attributes:
        y: the state at `t + dt`.
        error: an estimate of the local error, or None.
        order: the order in dt at which `error` falls, plus one is the exponent: error = O(dt^(order + 1)).
        status: "ok", or why the step cannot be used.
        factor: the method's own wish for the ratio of step sizes, or None.
        state: the method's state if the step is accepted.
        retry: the method's state if it is rejected.
        dense: `dense(theta)` for theta in [0, 1], the solution at `t + theta dt`; valid until the next step, or None.
        work: what the step cost.
    """

    y: Tensor
    error: Tensor | None = None
    order: int = 0
    status: StepStatus = "ok"
    factor: float | None = None
    state: object = None
    retry: object = None
    dense: Callable[[float], Tensor] | None = None
    work: Work = field(default_factory=Work)
    message: str = ""


@runtime_checkable
class Reversible(Protocol):
    """A method whose steps can be undone to rounding: what `gradient="reversible"` needs."""

    def undo(self, problem: Problem, t: float, dt: float, y: Tensor) -> Tensor:
        """The state at t from which a step of size dt leads to y."""
        ...

    def loss(self, damping: float, dt: float) -> float:
        """The logarithm of the factor by which a step shrinks momenta, and undoing it amplifies rounding."""
        ...


@dataclass(frozen=True, eq=False)
class Undone:
    """Steps that were undone, with the gradients through them.

    Attributes:
        count: how many.
        y: the state before them.
        a: the gradient there.
        theta: the gradients to what the field holds; None for zero.
    """

    count: int
    y: Tensor
    a: Tensor
    theta: Sequence[Tensor | None]


@runtime_checkable
class Retracing(Reversible, Protocol):
    """A reversible method that shares evaluations of the field between undoing a step and differentiating it."""

    def retrace(
        self, problem: Problem, t: float, dt: float, count: int, y: Tensor, a: Tensor, theta: Sequence[Tensor], again: bool
    ) -> Undone:
        """Undo steps of size dt, at least one and at most `count`, of which the last starts at t and leads to y.

        Args:
            a: the gradient at y.
            theta: what the field holds, to be differentiated for.
            again: whether its graph will be used again.
        """
        ...


class Integrator(ABC):
    """A time-stepping method: a frozen dataclass of its settings.

    Attributes:
        order: order of convergence on smooth non-stiff problems; infinite for an exact flow.
        presets: names under which settings of this class are found, where its own name is not enough (`ab2`, `ab3`).
        adaptive: whether `step` returns an error estimate, so that the step size can be controlled.
        explicit: whether a step needs no solve (its stability on stiff problems is then limited).
        needs: structure that the field must offer: None, "partitioned", "linear" or "semilinear".
        dense_output: whether `step` returns an interpolant; without one the loop lands on the output times.
        dense_order: its order: the largest error inside the steps of a solve is O(dt^dense_order); None without one.
        dense_is_free: whether states inside a step cost neither evaluations nor products.
        real_stability: length of the interval [-x, 0] on which |R(z)| <= 1; inf if A-stable, None if not stated.
        imaginary_stability: half-length of the stable interval on the imaginary axis, likewise.
    """

    order: int | float
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    adaptive: ClassVar[bool] = False
    explicit: ClassVar[bool] = True
    needs: ClassVar[str | None] = None
    dense_output: ClassVar[bool] = False
    dense_order: ClassVar[int | None] = None
    dense_is_free: ClassVar[bool] = True
    real_stability: ClassVar[float | None] = None
    imaginary_stability: ClassVar[float | None] = None

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[object, Work]:
        """The method's state at the start (or after a jump), and what making it cost."""
        return None, Work()

    @abstractmethod
    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        """One step from `(t, y)` to `t + dt`: pure, no randomness, no hidden cache."""

    def several(self, problem: Problem, t: float, dt: float, count: int, y: Tensor, state: object) -> Step | None:
        """`count` equal steps between which nobody looks, as one; None where they are taken one by one."""
        return None

    @property
    def name(self) -> str:
        return type(self).__name__
