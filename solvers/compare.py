"""Work and precision: the same problem by many methods, with the error against a float64 reference beside the cost."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from scipy.sparse.linalg import expm_multiply
from torch import Tensor

from .errors import IntegrationError, StabilityError
from .integrators.base import Integrator
from .lookup import method_named
from .protocols import VectorField, linear_flow
from .solution import Stats
from .solve import check_structure, solve
from .space import Plain, Space


@dataclass(frozen=True)
class Run:
    """One entry of a comparison: a method with a fixed step `dt`, or with a tolerance `rtol` (and `atol`, as in `solve`)."""

    method: str | Integrator
    dt: float | None = None
    rtol: float | None = None
    atol: float | None = None


@dataclass(frozen=True)
class Row:
    """What one run gave.

    Attributes:
        method: its name.
        dt, rtol: how it was run.
        error: `|y(T) - reference| / |reference|`, Euclidean; nan if there is no result.
        steps, rejected, evaluations, products, linear_iterations: what it cost.
        seconds: wall time of the solve.
        status: "ok", "refused" (a stability limit), or why it failed.
        note: the reason in words, with the limit where a step was refused.
    """

    method: str
    dt: float | None
    rtol: float | None
    error: float
    steps: int
    rejected: int
    evaluations: int
    products: int
    linear_iterations: int
    seconds: float
    status: str
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """The rows of a comparison, in the order in which they were asked for."""

    rows: Sequence[Row]

    def cheapest(self, below: float) -> Row | None:
        """The fastest run whose error is below a bound, or None."""
        good = [r for r in self.rows if r.status == "ok" and r.error < below]
        return min(good, key=lambda r: r.seconds) if good else None

    def records(self) -> list[dict[str, object]]:
        """One dictionary per row."""
        return [asdict(r) for r in self.rows]

    def to_csv(self, path: str | Path) -> None:
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Row)])
            writer.writeheader()
            writer.writerows(self.records())

    def __str__(self) -> str:
        head = f"{'method':<18} {'dt / rtol':>12} {'error':>9} {'steps':>6} {'evals':>7} {'linear':>7} {'seconds':>8}  note"
        return "\n".join([head, *map(_line, self.rows)])


def compare(
    field: VectorField,
    y0: Tensor,
    t: float | Sequence[float],
    runs: Sequence[Run | str],
    *,
    reference: Tensor | None = None,
    space: Space | None = None,
    max_steps: int = 100_000,
    each: Callable[[Row], None] | None = None,
) -> Comparison:
    """Solve one problem by every run and measure its error at the final time.

    Args:
        field, y0, t: as in `solve`.
        runs: what to run; a name alone runs adaptively with the default tolerance.
        reference: the exact final state; computed by `reference_solution` if not given.
        space: how norms are taken.
        max_steps: as in `solve`.
        each: called with every row as soon as it is there (for progress).

    Returns:
        A `Comparison`. A run that is refused or fails is a row with its reason, never an exception; a method that
        does not exist, or that needs structure which the field lacks, is an exception before anything runs.
    """
    asked = [Run(r) if isinstance(r, str) else r for r in runs]
    methods = [method_named(r.method) for r in asked]
    for method in methods:
        check_structure(method, field)
    space = Plain() if space is None else space
    reference = reference_solution(field, y0, t) if reference is None else reference
    rows = []
    for run, method in zip(asked, methods, strict=True):
        rows.append(_measure(field, y0, t, run, method, reference, space, max_steps))
        if each is not None:
            each(rows[-1])
    return Comparison(rows)


def reference_solution(field: VectorField, y0: Tensor, t: float | Sequence[float]) -> Tensor:
    """The final state to about ten digits: the action of the matrix exponential if the field is linear and homogeneous
    (scipy, Al-Mohy & Higham 2011), else dopri5 with a tolerance of 1e-11; in float64 (the field must accept it)."""
    times = [0.0, float(t)] if isinstance(t, int | float) else [float(s) for s in t]
    flow, y0 = linear_flow(field), y0.detach().double()
    if flow is not None and flow.source is None and y0.dim() <= 2:
        matrix = flow.operator.to_scipy().astype("float64") * (times[-1] - times[0])
        return torch.from_numpy(expm_multiply(matrix, y0.cpu().numpy())).to(y0.device)
    with torch.no_grad():
        return solve(field, y0, times, "dopri5", rtol=1e-11, atol=1e-13, save="final", max_steps=1_000_000).y[-1]


def _measure(
    field: VectorField,
    y0: Tensor,
    t: float | Sequence[float],
    run: Run,
    method: Integrator,
    reference: Tensor,
    space: Space,
    max_steps: int,
) -> Row:
    name = run.method if isinstance(run.method, str) else method.name
    start = time.perf_counter()
    try:
        with torch.no_grad():
            s = solve(
                field, y0, t, method, dt=run.dt, rtol=run.rtol, atol=run.atol, save="final", space=space, max_steps=max_steps
            )
    except StabilityError as error:
        return Row(name, run.dt, run.rtol, float("nan"), 0, 0, 0, 0, 0, 0.0, "refused", str(error))
    except IntegrationError as error:
        seconds, done = time.perf_counter() - start, error.solution
        cost = (0, 0, 0, 0, 0) if done is None else _cost(done.stats)
        return Row(name, run.dt, run.rtol, float("nan"), *cost, seconds, error.status, str(error))
    seconds = time.perf_counter() - start
    gap = float(space.norm(s.y[-1].to(reference.dtype) - reference).amax() / space.norm(reference).amax())
    return Row(name, run.dt, run.rtol, gap, *_cost(s.stats), seconds, s.status)


def _cost(stats: Stats) -> tuple[int, int, int, int, int]:
    return stats.steps, stats.rejected, stats.evaluations, stats.products, stats.linear_iterations


def _line(r: Row) -> str:
    setting = f"dt {r.dt:.4g}" if r.dt is not None else "default" if r.rtol is None else f"rtol {r.rtol:.0e}"
    error = f"{r.error:9.1e}" if r.status == "ok" else f"{r.status:>9}"
    counts = f"{r.steps:6d} {r.evaluations:7d} {r.linear_iterations:7d} {r.seconds:8.3f}"
    return f"{r.method:<18} {setting:>12} {error} {counts}  {r.note.split('. ')[0]}"
