"""GraphCON's picture of the Dirichlet energy: 100 untrained layers on the 10 x 10 grid, alpha and dt swept.

Beside the energy stand what tells a change of scale from one of shape: Rayleigh quotient, norm and effective rank.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import product

import torch
from torch import Tensor

from neuralpde import Graph, GraphCON, Monitor, simulate
from neuralpde.monitors import DirichletEnergy, EffectiveRank, Norm, RayleighQuotient
from neuralpde.pdes.coupled_oscillators import CoupledOscillators
from neuralpde.training import seeded
from neuralpde.training.ledger import Row

from .energy_picture import pictures, table
from .study import Point, Study

CHANNELS, LAYERS, LONG, SEEDS = 16, 100, 100.0, (0, 1, 2, 3, 4)
ALPHAS, STEPS, LONG_STEPS = (0.0, 0.5, 1.0), (1.0, 0.5, 0.1, 0.05), (0.1,)
SIGMA = {"gcn": "relu", "gat": "elu"}
OWN = {"gcn": "sym_loops", "gat": "rw"}
"""The Laplacian whose kernel the coupling keeps: that of its own smoothing."""


def points(quick: bool) -> list[Point]:
    """Plain layers, GraphCON with 100 of the same layers, and for resolved steps as many as make a time of 100."""
    size, depth, seeds = ((4, 4), 4, (0,)) if quick else ((10, 10), LAYERS, SEEDS)
    found = []
    for coupling, seed in product(SIGMA, seeds):
        runs: list[tuple[float | None, float | None, int]] = [(None, None, depth)]
        runs += [(alpha, dt, depth) for alpha, dt in product(ALPHAS, STEPS)]
        if not quick:
            runs += [(alpha, dt, round(LONG / dt)) for alpha, dt in product(ALPHAS, LONG_STEPS)]
        for alpha, dt, layers in runs:
            of = {"coupling": coupling, "alpha": alpha, "dt": dt, "layers": layers, "seed": seed}
            label = {**of, "grid": list(size), "channels": CHANNELS, "features": "U[0,1]", "sigma": SIGMA[coupling]}
            found.append(Point(label, lambda of=of, size=size: measure(size, **of)))
    return found


def measure(size: tuple[int, int], coupling: str, alpha: float | None, dt: float | None, layers: int, seed: int) -> Row:
    """Untrained layers, seen after each: the energy and the other three, at some of the layers.

    Args:
        size: of the grid.
        coupling: "gcn" or "gat".
        alpha, dt: of GraphCON with gamma = 1; None for the plain layers with the same weights.
        layers: how many.
        seed: of features and weights.
    """
    graph = Graph.grid(*size)
    u0 = torch.rand(graph.num_nodes, CHANNELS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with seeded(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dt = alpha = gamma = 1, which is one of the points on purpose
        step = 1.0 if dt is None else dt
        pde = GraphCON(
            CHANNELS, coupling, 0.0 if alpha is None else alpha, 1.0, layers=layers, dt=step, activation=SIGMA[coupling]
        )
    pde = pde.double()
    watched = watchers(coupling)
    with torch.no_grad():
        if alpha is None:
            plain_layers(pde, graph, u0, layers, watched.values())
        else:
            simulate(pde, graph, u0, layers * step, "symplectic_euler", dt=step, monitors=list(watched.values()))
    kept = places(layers)
    return {"layer": kept, **{name: _numbers(m.values[:, 0], kept) for name, m in watched.items()}}


def watchers(coupling: str) -> dict[str, Monitor]:
    """The four quantities."""
    observables = DirichletEnergy(scale="mean"), RayleighQuotient(OWN[coupling]), Norm(), EffectiveRank()
    return dict(zip(("energy", "rayleigh", "norm", "rank"), map(Monitor, observables), strict=True))


def plain_layers(pde: GraphCON, graph: Graph, u0: Tensor, layers: int, monitors: Iterable[Monitor]) -> Tensor:
    """`X <- sigma(F_k(X))` with the layers F_k of a GraphCON: the network without oscillators."""
    field, x, monitors = pde.on(graph, u0), u0, list(monitors)
    if not isinstance(field, CoupledOscillators):
        raise TypeError(f"{pde} is no oscillator with a coupling of its own")
    sigma = field.activation or (lambda z: z)
    for monitor in monitors:
        monitor.attach(graph, None, (0.0, float(layers)))
        monitor.after(0.0, x, 0.0)
    for k in range(layers):
        x = sigma(field.coupling(torch.tensor(k * (pde.dt or 1.0)), x))
        for monitor in monitors:
            monitor.after(float(k + 1), x, 1.0)
    return x


def places(layers: int) -> list[int]:
    """Layers that are kept: the first ten, then about a tenth further each time, and the last."""
    found = list(range(min(10, layers) + 1))
    while found[-1] < layers:
        found.append(min(layers, max(found[-1] + 1, round(found[-1] * 1.12))))
    return found


def _numbers(values: Tensor, kept: Sequence[int]) -> list[float | None]:
    """Five digits; None where the number is not finite (a rank of zero features)."""
    chosen = values[list(kept)].tolist()
    return [float(f"{v:.5g}") if v == v and abs(v) != float("inf") else None for v in chosen]


STUDY = Study(
    "energy",
    "Do oscillators keep the Dirichlet energy, and is that the same as keeping features apart?",
    points,
    table,
    pictures,
)
