"""R(z) of a method at many z, from few steps: what the pictures of filters and of stability regions draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import AAA

from solvers import Diagonal, Integrator, LinearFlow, Problem, StabilityFunction, method_named, stability_function

from .canvas import numbers

Methods = str | Integrator | Sequence[str | Integrator] | Mapping[str, str | Integrator]

_SAMPLES = 56  # of a rational R, which fix its few coefficients
_TOLERANCE = 1e-8


def labelled_methods(methods: Methods) -> dict[str, Integrator]:
    """Label -> integrator, for one method, several, or a mapping.

    Raises:
        ValueError: there is none.
        UnknownName: a method that does not exist.
    """
    if isinstance(methods, Mapping):
        found = {label: method_named(method) for label, method in methods.items()}
    else:
        several = [methods] if isinstance(methods, str | Integrator) else list(methods)
        named = [(one if isinstance(one, str) else one.name, method_named(one)) for one in several]
        found = {}
        for label, method in named:
            count, key = 1, label
            while key in found:
                count += 1
                key = f"{label} ({count})"
            found[key] = method
    if not found:
        raise ValueError('no method to draw: methods is empty; expected a name such as "rk4", several, or {label: method}')
    return found


def amplification(method: Integrator, z: NDArray[np.complex128] | NDArray[np.float64]) -> NDArray[np.complex128]:
    """`R(z)`, in the shape of z.

    An explicit step is taken at every z at once; a stabilised one then takes the stages that the largest needs (for complex z
    each takes its own). An implicit one costs a linear solve each: R is rational, so it is taken
    at a few z, continued as a rational function, and compared at others; where that fails it is taken at every z.

    Raises:
        TypeError: the method has no stability function.

    Reference: Nakatsukasa, Sete & Trefethen (2018), The AAA algorithm for rational approximation.
    """
    function, flat = stability_function(method), z.reshape(-1)
    if method.explicit and not np.iscomplexobj(z) and not math.isfinite(method.real_stability or 0.0):
        return _together(method, flat.real).reshape(z.shape)
    if method.explicit or flat.size <= 2 * _SAMPLES:
        return _values(function, flat).reshape(z.shape)
    order = np.argsort(np.abs(flat) + 1e-3 * np.angle(flat + 1e-300))
    picked = order[np.linspace(0, flat.size - 1, _SAMPLES).astype(int)]
    held = order[np.linspace(1, flat.size - 2, 9).astype(int)]
    continued = AAA(flat[picked], _values(function, flat[picked]), rtol=1e-12)
    known = _values(function, flat[held])
    with np.errstate(all="ignore"):
        off = np.abs(continued(flat[held]) - known)
        if np.isfinite(off).all() and (off <= _TOLERANCE * (1 + np.abs(known))).all():
            return np.asarray(continued(flat), dtype=np.complex128).reshape(z.shape)
    return _values(function, flat).reshape(z.shape)


def _values(function: StabilityFunction, z: NDArray[np.complex128] | NDArray[np.float64]) -> NDArray[np.complex128]:
    return np.asarray(function(torch.from_numpy(z.copy())).numpy(), dtype=np.complex128)


def _together(method: Integrator, z: NDArray[np.float64]) -> NDArray[np.complex128]:
    """One step on the diagonal of all z: what a solve does, whose stages the largest eigenvalue sets."""
    problem = Problem(LinearFlow(Diagonal(torch.from_numpy(z.copy()))), rtol=1e-13, atol=1e-15, error_control=False)
    y = torch.ones(len(z), 1, dtype=torch.float64)
    with torch.no_grad():
        state, _ = method.init(problem, 0.0, y)
        step = method.step(problem, 0.0, 1.0, y, state)
    if step.status != "ok":
        raise ValueError(f"{method.name} could not take a step on y' = z y: {step.message or step.status}")
    return numbers(step.y).ravel().astype(np.complex128)
