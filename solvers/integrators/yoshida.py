"""Yoshida's compositions of leapfrog steps: symplectic methods of order 4 and 6 for positions and momenta."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ..protocols import Problem, Work
from .base import Integrator, Step
from .symplectic import ForceState, Leapfrog

_LEAPFROG = Leapfrog()


@dataclass(frozen=True)
class Composition(Integrator):
    """Leapfrog steps of sizes `w_1 dt, w_2 dt, ...` one after another, the weights symmetric and of sum 1.

    Some weights are negative, so that the step goes back in time in between: the field is asked at
    times outside `[t, t + dt]` (by up to 0.4 dt), and damping amplifies momenta there. Forces at the seams are used
    twice: as many evaluations a step as there are weights.
    """

    weights: ClassVar[tuple[float, ...]]
    needs = "partitioned"

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[object, Work]:
        return _LEAPFROG.init(problem, t, y)

    def step(self, problem: Problem, t: float, dt: float, y: Tensor, state: object) -> Step:
        if not isinstance(state, ForceState):
            raise TypeError(f"{self.name} got a {type(state).__name__} as its state; it takes what init or step returned")
        first = step = _LEAPFROG.step(problem, t, self.weights[0] * dt, y, state)
        passed, work = self.weights[0], first.work
        for w in self.weights[1:]:
            step = _LEAPFROG.step(problem, t + passed * dt, w * dt, step.y, step.state)
            passed, work = passed + w, work + step.work
        return replace(step, retry=first.retry, work=work)

    def undo(self, problem: Problem, t: float, dt: float, y: Tensor) -> Tensor:
        """The state a step before: a step back, since the weights are symmetric."""
        return self.step(problem, t + dt, -dt, y, ForceState()).y

    def loss(self, damping: float, dt: float) -> float:
        return damping * dt


_THIRD = 2 ** (1 / 3)
_OUTER = 1 / (2 - _THIRD)


@dataclass(frozen=True)
class Yoshida4(Composition):
    """Yoshida's triple jump, order 4: leapfrog with `w dt, (1 - 2 w) dt, w dt`, `w = 1 / (2 - 2^(1/3))`.

    Three evaluations a step. Symmetric (a step back undoes a step) and symplectic; with constant damping areas shrink by
    exactly exp(-damping dt), and damping alone is solved exactly, as in Leapfrog; with a force the order is 4.

    Reference: Yoshida (1990) Phys. Lett. A 150, 262, eq. 2.11; Forest & Ruth (1990) Physica D 43, 105.
    """

    order = 4
    imaginary_stability = 1.5734019474345402
    weights = (_OUTER, -_THIRD * _OUTER, _OUTER)


_W1, _W2, _W3 = -1.17767998417887, 0.235573213359357, 0.784513610477560
_W0 = 1 - 2 * (_W1 + _W2 + _W3)


@dataclass(frozen=True)
class Yoshida6(Composition):
    """Yoshida's solution A, order 6: seven leapfrog steps `w_3, w_2, w_1, w_0, w_1, w_2, w_3` (times dt).

    Seven evaluations a step. Symmetric and symplectic; damping as in `Yoshida4`.

    Reference: Yoshida (1990) Phys. Lett. A 150, 262, table 1.
    """

    order = 6
    imaginary_stability = 2.2690579963976725
    weights = (_W3, _W2, _W1, _W0, _W1, _W2, _W3)
