"""One step as a function of the field's eigenvalues: the stability function R(z), and the spectral filter R(dt lambda).

A one-step method with constant coefficients turns `y' = lambda y` into `y_{n+1} = R(dt lambda) y_n`, and so `y' = A y` into
`y_{n+1} = R(dt A) y_n`: a step is a filter on the spectrum of A. On a graph, with P = D^-1 W and A = P - I:

    explicit Euler    R(z) = 1 + z           (1 - dt) I + dt P: a layer of a graph convolution
    implicit Euler    R(z) = 1 / (1 - z)     alpha sum_k (1 - alpha)^k P^k, alpha = 1 / (1 + dt): personalised PageRank
    exact flow        R(z) = exp(z)          the heat kernel

R is found by taking a step, so that it is what the code does and not what a book says that it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from .integrators.base import Integrator
from .linear.stored import Dense, Diagonal
from .lookup import method_named
from .protocols import LinearFlow, Problem

_RTOL, _ATOL = 1e-13, 1e-15  # of the solves inside a step
_PROBE, _STEPS = -0.3, 8  # where, and for how many steps, R^n is compared with what the method does


@dataclass(frozen=True)
class StabilityFunction:
    """`R(z)` of one method; made by `stability_function`."""

    method: Integrator

    def __call__(self, z: Tensor | Sequence[complex] | complex) -> Tensor:
        """R at every z.

        Args:
            z: numbers of any shape, real or complex.

        Returns:
            `R(z)` in the shape of z: float64 for real z, complex128 for complex z.
        """
        given = _numbers(z)
        flat = given.reshape(-1)
        if _same_for_all(self.method):
            found = _all_at_once(self.method, flat)
        else:
            found = torch.tensor([_one(self.method, v) for v in flat.tolist()], dtype=flat.dtype)
        return found.reshape(given.shape)


@dataclass(frozen=True)
class StepFilter:
    """`R(dt lambda)`, what one step of size dt does to the eigenvector of lambda; made by `filter_of`."""

    function: StabilityFunction
    dt: float

    def __call__(self, eigenvalues: Tensor | Sequence[complex]) -> Tensor:
        """The factors of one step.

        Args:
            eigenvalues: of the operator A in `y' = A y` (for diffusion `-L u` they are `<= 0`), of any shape.

        Returns:
            `R(dt lambda)`, float64 or complex128, of that shape.
        """
        return self.function(self.dt * _numbers(eigenvalues))


def stability_function(method: str | Integrator) -> StabilityFunction:
    """The stability function of a one-step method: `y_{n+1} = R(dt lambda) y_n` on `y' = lambda y`.

    Args:
        method: a name or an integrator. A stabilised method without a number of stages takes those that each z needs.

    Raises:
        TypeError: for a multistep method (its step depends on more than the last state), and for a method for positions
            and momenta (its step is a 2 x 2 matrix).

    Reference: Hairer & Wanner (1996) Solving Ordinary Differential Equations II, IV.2.
    """
    method = method_named(method)
    if method.needs == "partitioned":
        raise TypeError(
            f"{method.name} has no stability function: on q'' = -k q a step is a 2 x 2 matrix, not a factor. Its limit is "
            f"imaginary_stability = {method.imaginary_stability}; take a method for any field for a filter."
        )
    if not _is_one_step(method):
        raise TypeError(
            f"{method.name} has no stability function: its step depends on more than the last state. "
            "Its limits are real_stability and imaginary_stability; take a one-step method such as rk4 or trbdf2."
        )
    return StabilityFunction(method)


def filter_of(method: str | Integrator, dt: float) -> StepFilter:
    """One step of size dt as a spectral filter, `filter_of(method, dt)(eigenvalues) = R(dt eigenvalues)`.

    Args:
        method: a name or an integrator, one-step.
        dt: step size; negative for a step back in time.

    Raises:
        TypeError: see `stability_function`.
        ValueError: for a step size that is not finite.
    """
    if not math.isfinite(dt):
        raise ValueError(f"dt = {dt}; expected a finite step size")
    return StepFilter(stability_function(method), float(dt))


def _numbers(z: Tensor | Sequence[complex] | complex) -> Tensor:
    given = z.detach().cpu() if isinstance(z, Tensor) else torch.from_numpy(np.asarray(z))
    return given.to(torch.complex128 if given.is_complex() else torch.float64)


def _same_for_all(method: Integrator) -> bool:
    """Whether a step is one polynomial whatever z is, so that many z can be stacked into one state."""
    return method.explicit and method.needs is None and math.isfinite(method.real_stability or 0.0)


def _all_at_once(method: Integrator, z: Tensor) -> Tensor:
    factors = z.unsqueeze(1)
    problem = Problem(lambda t, y: factors * y, rtol=_RTOL, atol=_ATOL, error_control=False)
    with torch.no_grad():
        return _advance(method, problem, torch.ones_like(factors), 1)[0].squeeze(1)


def _one(method: Integrator, z: complex | float) -> complex | float:
    return _powers(method, z, 1)[0]


def _powers(method: Integrator, z: complex | float, steps: int) -> list[complex] | list[float]:
    """The solution after 1, 2, ... steps of size 1 from y = 1; a complex z as a real 2 x 2 matrix."""
    twisted = isinstance(z, complex)
    if twisted:
        operator = Dense(torch.tensor([[z.real, -z.imag], [z.imag, z.real]], dtype=torch.float64))
    else:
        operator = Diagonal(torch.tensor([z], dtype=torch.float64))
    problem = Problem(LinearFlow(operator), rtol=_RTOL, atol=_ATOL, error_control=False)
    y = torch.eye(operator.shape[0], dtype=torch.float64)[:, :1]
    with torch.no_grad():
        states = [state.flatten().tolist() for state in _advance(method, problem, y, steps)]
    return [complex(*s) for s in states] if twisted else [s[0] for s in states]


def _advance(method: Integrator, problem: Problem, y: Tensor, steps: int) -> list[Tensor]:
    state, _ = method.init(problem, 0.0, y)
    states = []
    for n in range(steps):
        step = method.step(problem, float(n), 1.0, y, state)
        if step.status != "ok":
            raise ValueError(f"{method.name} could not take a step on y' = z y: {step.message or step.status}")
        y, state = step.y, step.state
        states.append(y)
    return states


@cache
def _is_one_step(method: Integrator) -> bool:
    """Whether n steps are the n-th power of the first."""
    first, *rest = _powers(method, _PROBE, _STEPS)
    return all(abs(value - first ** (n + 2)) < 1e-9 for n, value in enumerate(rest))
