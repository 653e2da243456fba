"""What monitors cost: a reading in operator products, and recording at 50 times beside the solve that it watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from neuralpde import GRAND, Diffusion, GraphPDE, simulate
from neuralpde.monitors import (
    MAD,
    ConsensusDistance,
    DirichletEnergy,
    EffectiveRank,
    EnergyOverVariance,
    Hamiltonian,
    Monitor,
    MoransI,
    Norm,
    Observable,
    PDirichletEnergy,
    PolyakovEnergy,
    RayleighQuotient,
)

from ..graphs import Sample, cora, pubmed
from ..measure import OURS, interleave, spread
from ..plan import Plan
from ..row import Row

READING, RECORDING, RECORDS = "a monitor's reading", "50 records of the Dirichlet energy", 50
_LIMIT, _REAL = 2.785, 0.9  # of rk4 on the negative axis, and how much of it the steps take
OBSERVABLES: tuple[Observable, ...] = (
    DirichletEnergy(),
    DirichletEnergy("sym_loops"),
    RayleighQuotient(),
    EnergyOverVariance(),
    ConsensusDistance(),
    Norm(),
    MAD(),
    MoransI(),
    PDirichletEnergy(),
    PolyakovEnergy(),
    Hamiltonian(),
    EffectiveRank(),
)


def run(plan: Plan) -> Iterator[Row]:
    """Readings, then recordings."""
    with torch.no_grad():
        for sample in (cora(plan), pubmed(plan)):
            yield from readings(sample, plan)
        for sample in (cora(plan), pubmed(plan)):
            yield from recordings(sample, plan)


def readings(sample: Sample, plan: Plan) -> Iterator[Row]:
    """Seconds of a reading over seconds of `A x` in float32, of as many channels, within a round."""
    operator, x = sample.operator(), sample.state()
    work: dict[str, Callable[[], object]] = {"product": lambda: operator.matvec(x)}
    for one in OBSERVABLES:
        reading, state = one.on(sample.graph), torch.stack([x, x]) if one.whole_state else x
        work[one.name] = lambda reading=reading, state=state: reading(0.0, state)
    seconds = interleave(work, plan)
    for one in OBSERVABLES:
        found = spread([a / b for a, b in zip(seconds[one.name], seconds["product"], strict=True)])
        ours, theirs = (1e3 * spread(seconds[name]).median for name in (one.name, "product"))
        yield Row(READING, sample.name, one.name, "products", found.median, found.low, found.high, found.rounds, ours, theirs)


def recordings(sample: Sample, plan: Plan) -> Iterator[Row]:
    """50 readings over a solve by rk4: heat of D - A to T = 30 in steps of 0.9 of the limit, and GRAND-nl in 100 of 1."""
    torch.manual_seed(0)
    largest = float(sample.graph.degree.max()) + 1  # of D - A, from below
    dt = _REAL * _LIMIT / largest
    timed = plan.pick(60, 30, 5)
    yield recording(sample, "heat", Diffusion(), dt, round(30.0 / dt), timed, plan)
    yield recording(sample, "GRAND-nl", GRAND(sample.channels, attention="recomputed"), 1.0, 100, timed // 5, plan)


def recording(sample: Sample, name: str, pde: GraphPDE, dt: float, steps: int, timed: int, plan: Plan) -> Row:
    """The share of 50 records in the solve without them.

    Readings and steps are timed apart: a difference of two solves would be noise. Of the solve the first `timed` steps are
    run, and taken for all: every step is the same work.
    """
    x = sample.state()
    monitor = Monitor(DirichletEnergy()).attach(sample.graph, pde.on(sample.graph, x), (0.0, dt * steps), pde.read)

    def record() -> None:
        monitor.clear()
        for i in range(RECORDS):
            monitor.after(float(i), x, dt)

    def solved() -> object:
        return simulate(pde, sample.graph, x, dt * timed, "rk4", dt=dt, save="final", stability_check=False)

    seconds = interleave({OURS: record, "solve": solved}, plan)
    shares = [a / (b * steps / timed) for a, b in zip(seconds[OURS], seconds["solve"], strict=True)]
    found, ours, solve = spread(shares), spread(seconds[OURS]).median, spread(seconds["solve"]).median * steps / timed
    note = f"{steps} steps, {sample.channels} channels; below 5 % from {round(found.median / 0.05 * steps)} steps on"
    return Row(
        RECORDING,
        sample.name,
        name,
        "part",
        found.median,
        found.low,
        found.high,
        found.rounds,
        1e3 * ours,
        1e3 * solve,
        note=note,
    )
