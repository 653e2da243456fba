"""GRAND's study of solvers, done again: error, work and accuracy against the step, on Cora with the constant operator.

With the order that torchdiffeq's Adams methods really had in it, and at order 4; and with an implicit method that solves
its linear systems.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from scipy.sparse.linalg import expm_multiply
from torch import Tensor, nn

from neuralpde.training import fit_blind
from neuralpde.training.ledger import Row
from solvers import RK4, AdamsBashforth, CrankNicolson, ImplicitEuler, IntegrationError, TorchdiffeqMethod, solve

from .integrators_picture import pictures, table
from .study import Point, Study
from .trained import CORA, KARATE, Data, test_accuracy, trained, without_test
from .walk import TIME, Looped, Solved, Walk

ENOUGH = 10_000
METHODS: dict[str, Any] = {
    "explicit Adams, torchdiffeq's order": TorchdiffeqMethod("explicit_adams"),
    "explicit Adams, order 4": TorchdiffeqMethod("explicit_adams", max_order=5),
    "implicit Adams, torchdiffeq's order": TorchdiffeqMethod("implicit_adams", max_iters=ENOUGH),
    "implicit Adams, order 4": TorchdiffeqMethod("implicit_adams", max_order=4, max_iters=ENOUGH),
    "RK4": RK4(),
    "dopri5": "dopri5",
    "backward Euler": ImplicitEuler(),
    "Crank-Nicolson": CrankNicolson(),
}
"""The released code sets no order (so the explicit method is of order 11, the implicit one of 12) and `max_iters` 10000."""
MORE: dict[str, Any] = {
    "implicit Adams, torchdiffeq's order, 4 iterations": TorchdiffeqMethod("implicit_adams"),
    "explicit Adams, order 4, here": AdamsBashforth(4),
}
"""In the table only: torchdiffeq's default for `max_iters`, and a last step (of 0.1) that is not taken for a whole one."""
STEPS, SMALL = (5.0, 2.0, 1.0, 0.5, 0.25, 0.1), (0.005, 0.0045, 0.004)
TOLERANCES, TIGHT = (1e-3, 1e-5), 1e-7
SEEDS, TRAINED = (0, 1, 2), (5.0, 1.0, 0.25)
TAKEN = (2e-6, 1e-4)
"""Tolerances, relative and absolute, of fixed-point iterations and linear systems: those of the released script had 1e-6
and 1e-4, and float32 shows no less than 1.2e-6."""


def points(quick: bool) -> list[Point]:
    """Errors of all methods and steps; accuracies of one model solved in all these ways, and of models trained so."""
    data, seeds = (KARATE, (0,)) if quick else (CORA, SEEDS)
    found = []
    for name, dt, rtol in (*_runs(STEPS[2:4] if quick else STEPS, quick), ("dopri5", None, TIGHT)):
        label = {**data.label(), "what": "error", "method": name, "dt": dt, "rtol": rtol}
        found.append(Point(label, lambda a=(data, name, dt, rtol): error(*a)))
    for seed in seeds:
        for name, dt, rtol in _runs(STEPS[2:3] if quick else STEPS, True):
            label = {**data.label(), "what": "evaluated", "method": name, "dt": dt, "rtol": rtol, "seed": seed}
            found.append(Point(label, lambda a=(data, name, dt, rtol, seed, quick): evaluated(*a)))
        for name, dt, rtol in _runs(TRAINED[1:2] if quick else TRAINED, True):
            if name in METHODS:
                label = {**data.label(), "what": "trained", "method": name, "dt": dt, "rtol": rtol, "seed": seed}
                found.append(Point(label, lambda a=(name, dt, rtol, quick), s=seed: trained(_recipe(*a), data, s)))
    return found


def _runs(steps: tuple[float, ...], few: bool) -> list[tuple[str, float | None, float]]:
    """Method, step, relative tolerance."""
    fixed = [name for name in (*METHODS, *MORE) if name != "dopri5"]
    small = [] if few else [(name, dt, TAKEN[0]) for name, dt in product(fixed[:1], SMALL)]
    adaptive = [("dopri5", None, rtol) for rtol in TOLERANCES]
    return [*adaptive, *((name, dt, TAKEN[0]) for name, dt in product(fixed, steps)), *small]


def _recipe(name: str, dt: float | None, rtol: float, quick: bool) -> Solved:
    atol = 100 * rtol if dt is None else TAKEN[1]
    recipe = Solved({**METHODS, **MORE}[name], dt, rtol, atol)
    return replace(recipe, config=replace(recipe.config, epochs=2)) if quick else recipe


@lru_cache(1)
def problem(data: Data) -> tuple[Walk, Any, Tensor, Tensor]:
    """Equation, graph, initial state and exact final state: alpha = 1/2, 16 channels, from a matrix exponential of scipy's."""
    graph, pde = Looped()(data.graph()), Walk().double()
    u0 = torch.randn(graph.num_nodes, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        operator = pde.on(graph, u0).operator
    exact = expm_multiply(TIME * operator.to_scipy(), u0.numpy())
    return pde, graph, u0, torch.as_tensor(exact)


def error(data: Data, name: str, dt: float | None, rtol: float) -> Row:
    """Relative error at the end, and what it cost; "products" are all products with A, those of linear solves included."""
    pde, graph, u0, exact = problem(data)
    recipe = _recipe(name, dt, rtol, False)
    began = time.perf_counter()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some fixed-point iterations do not converge
        got = solve(
            pde.on(graph, u0), u0, TIME, recipe.method, dt=dt, rtol=rtol, atol=recipe.atol, stability_check=False, save="final"
        )
    seconds, stats = time.perf_counter() - began, got.stats
    return {
        "error": float((got.y[-1] - exact).square().sum().sqrt() / exact.square().sum().sqrt()),
        "evaluations": stats.evaluations,
        "linear_iterations": stats.linear_iterations,
        "products": stats.evaluations + stats.products,
        "steps": stats.steps,
        "seconds": round(seconds, 4),
    }


@lru_cache(4)
def _accurate(data: Data, seed: int, quick: bool) -> nn.Module:
    """A model trained with dopri5 at 1e-5."""
    recipe = _recipe("dopri5", None, TOLERANCES[1], quick)
    return fit_blind(recipe, without_test(data, recipe.transform), seed).model


def evaluated(data: Data, name: str, dt: float | None, rtol: float, seed: int, quick: bool) -> Row:
    """Test accuracy of a model that was trained with an accurate solver, with this one in its place."""
    weights, recipe, seen = _accurate(data, seed, quick).state_dict(), _recipe(name, dt, rtol, quick), without_test(data, None)
    model = recipe.build(seen.graph.node["x"].shape[1], seen.classes, seed)
    model.load_state_dict(weights)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {"test_accuracy": test_accuracy(model, data, recipe.transform), "status": "ok"}
    except IntegrationError as failure:
        return {"test_accuracy": None, "status": failure.status}


STUDY = Study(
    "integrators",
    "Which solver of GRAND is stable, accurate and cheap, and does the classifier notice?",
    points,
    table,
    lambda rows: pictures(rows, [*METHODS]),
)
