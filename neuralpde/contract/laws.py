"""Tests of what a field and its equation declare: structure, operators, laws of conservation and of energy, stability."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers import LinearOperator, Partitioned, Semilinear, linear_flow, spectral_radius

from .report import Row
from .trial import Trial, noise, relative_difference


def _operator(trial: Trial) -> tuple[LinearOperator, Tensor] | None:
    """The operator that the field shows, and a state for it."""
    stiffness = getattr(trial.field, "stiffness", None)
    if isinstance(stiffness, LinearOperator):
        return stiffness, trial.y[0]
    if isinstance(trial.field, Semilinear):
        return trial.field.linear_part(torch.zeros((), dtype=trial.y.dtype), trial.y), trial.y
    return None


def parts_add_up(trial: Trial) -> Row | None:
    y, t, field = trial.y, torch.zeros((), dtype=trial.y.dtype), trial.field
    out, misses = trial.f(y), []
    flow = linear_flow(field)
    if flow is not None:
        misses.append(relative_difference(out, flow(t, y)))
    if isinstance(field, Semilinear):
        misses.append(relative_difference(out, field.linear_part(t, y).matvec(y) + field.nonlinear_part(t, y)))
    if isinstance(field, Partitioned):
        q, p = y.unbind(0)
        misses.append(relative_difference(out, torch.stack([field.velocity(t, p), field.force(t, q) - field.damping * p])))
    stiffness = getattr(field, "stiffness", None)
    if isinstance(stiffness, LinearOperator) and isinstance(field, Partitioned):
        misses.append(relative_difference(field.force(t, y[0]), -stiffness.matvec(y[0])))
    if not misses:
        return None
    advice = "f = L y + g (linear_part, nonlinear_part), f = stack((velocity, force - damping p)), force = -K q (stiffness)"
    return Row("structure adds up to f", max(misses) <= 1e-12, max(misses), 1e-12, advice)


def adjoint_of_the_operator(trial: Trial) -> Row | None:
    found = _operator(trial)
    if found is None:
        return None
    operator, like = found
    x, z = noise(like, 4), noise(like, 5)
    with torch.no_grad():
        ax, az = operator.matvec(x), operator.adjoint.matvec(z)
        miss = abs(float((ax * z).sum() - (x * az).sum())) / max(float(ax.norm() * z.norm()), 1e-300)
        if operator.symmetric:
            miss = max(miss, relative_difference(operator.matvec(z), az))
    return Row("<Ax, z> = <x, A'z>", miss <= 1e-12, miss, 1e-12, "symmetric or adjoint of the operator is wrong")


def conservation(trial: Trial) -> Row | None:
    law = getattr(trial.pde, "conserved", None)
    mass = law(trial.graph) if callable(law) else None
    if not isinstance(mass, Tensor) or trial.y.dim() != 2:
        return None
    flux = mass.to(trial.y).unsqueeze(1) * trial.f(trial.y).detach()
    space = trial.graph.space
    miss = float((space.total(flux).abs() / space.total(flux.abs()).clamp_min(1e-300)).max())
    return Row(
        "conserves sum m u", miss <= 1e-12, miss, 1e-12, "sum_i m_i f_i(u) must vanish, or `conserved` declares too much"
    )


def energy_law(trial: Trial) -> Row | None:
    law, energy = getattr(trial.pde, "energy_law", None), getattr(trial.field, "energy", None)
    if law is None or not callable(energy):
        return None
    space, y = trial.graph.space, trial.y.clone().requires_grad_()
    value = energy(torch.zeros((), dtype=y.dtype), y, space)
    (slope,) = torch.autograd.grad(value.sum(), y)  # type: ignore[attr-defined]
    rate = slope * trial.f(trial.y).detach()
    change = space.total(rate) / space.total(rate.abs()).clamp_min(1e-300)
    miss = float((change.abs() if law == "constant" else change).max())
    return Row(f"energy is {law}", miss <= 1e-12, miss, 1e-12, "dE/dt = <grad E, f> has the wrong sign, or is not zero")


def stability_limit(trial: Trial) -> Row | None:
    found = _operator(trial)
    if found is None or not found[0].symmetric:
        return None
    operator, like = found
    upper = max(abs(b) for b in operator.bounds())
    lower = spectral_radius(operator, like, trial.graph.space)
    second = isinstance(getattr(trial.field, "stiffness", None), LinearOperator)
    limit = 2 / lower**0.5 if second and lower > 0 else 2 / max(lower, 1e-300)
    what = "leapfrog" if second else "euler"
    measured = f"lambda_max = {lower:.4g}: {what} needs dt <= {limit:.4g}"
    advice = "bounds() must contain the spectrum; Lanczos iteration found an eigenvalue outside"
    return Row("stability limit", lower <= upper * (1 + 1e-9), measured, f"lambda_max <= {upper:.4g}", advice)
