"""Tests of gradients: they reach everything, and both ways of computing them agree."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from solvers import solve

from .report import Row
from .trial import Trial, noise, relative_difference


def _loss(trial: Trial, u0: Tensor, gradient: str) -> Tensor:
    """A number that depends on the state at a short time."""
    pde, graph = trial.pde, trial.graph
    y0 = pde.lift(graph, u0)
    out = solve(
        pde.on(graph, u0),
        y0,
        trial.time,
        "dopri5",
        rtol=1e-10,
        atol=1e-12,
        gradient=gradient,
        save="final",
        max_steps=2000,
        space=graph.space,
    ).y[-1]
    return (out * noise(out, 3)).sum()


def _gradients(trial: Trial, gradient: str) -> dict[str, Tensor | None]:
    u0 = trial.u0.clone().requires_grad_()
    named = {"u0": u0, **{k: p for k, p in trial.pde.named_parameters() if p.requires_grad}}
    loss = _loss(trial, u0, gradient)
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return dict(zip(named, grads, strict=True))


def gradients_reach_every_parameter(trial: Trial) -> Row:
    grads = _gradients(trial, "backprop")
    dead = [k for k, g in grads.items() if g is None or not bool(torch.isfinite(g).all()) or not bool(g.any())]
    measured = f"none, zero or not finite: {', '.join(dead)}" if dead else f"all {len(grads) - 1} and u0"
    advice = "a parameter without a gradient is not used, detached, or cancels; remove it or use it"
    return Row("gradients reach every parameter", not dead, measured, "all", advice)


def adjoint_is_backprop(trial: Trial) -> Row:
    """The adjoint equation and backprop through the steps give the same gradients.

    A kink (of ReLU) that is crossed on the way spoils backprop, so shorter and shorter times are tried; what the adjoint does
    not see is missing at all of them.
    """
    worst = 1.0
    for shrink in (1.0, 0.1, 0.01, 0.001):
        short = replace(trial, time=trial.time * shrink)
        worst = min(worst, _disagreement(_gradients(short, "backprop"), _gradients(short, "adjoint")))
        if worst <= 1e-6:
            break
    advice = "let the field be a frozen dataclass that holds every tensor it uses, so that the adjoint can see them"
    return Row("adjoint = backprop", worst <= 1e-6, worst, 1e-6, advice)


def _disagreement(first: dict[str, Tensor | None], second: dict[str, Tensor | None]) -> float:
    worst = 0.0
    for name, a in first.items():
        b = second[name]
        like = a if a is not None else b
        if like is not None:
            zero = torch.zeros_like(like)
            worst = max(worst, relative_difference(zero if a is None else a, zero if b is None else b))
    return worst
