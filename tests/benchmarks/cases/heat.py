"""Heat with lambda_max T of about 190, tolerance 1e-4, against torchdiffeq's dopri5 on our own product.

    u' = -c L u,   t in [0, 4],   a random geometric graph of 20,000 nodes and about 400,000 directed edges, 64 channels

Forward, and with gradients to u0 and to c; each run in a process of its own, with its peak of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor
from torchdiffeq import odeint

from neuralpde import Diffusion, Graph, simulate

from ..graphs import Sample
from ..measure import OURS, spread
from ..memory import Cost, cost
from ..plan import Plan
from ..reference import exact_heat, relative_error
from ..row import Row

CASES = {False: "heat, lambda_max T = 190, forward", True: "heat, lambda_max T = 190, forward + backward"}
MEMORY, PEER, TOLERANCE, END = "heat, lambda_max T = 190, memory", "torchdiffeq dopri5 on our product", 1e-4, 4.0


def geometric(nodes: int, degree: float, channels: int) -> Sample:
    """Points on the unit torus, joined where they are near."""
    points = np.random.default_rng(0).random((nodes, 2))
    radius = (degree / (np.pi * nodes)) ** 0.5
    pairs = torch.from_numpy(KDTree(points, boxsize=1.0).query_pairs(radius, output_type="ndarray").T.copy())
    return Sample("geometric", Graph.from_edges(torch.cat([pairs, pairs.flip(0)], 1), num_nodes=nodes), channels)


def run(plan: Plan) -> Iterator[Row]:
    """Time forward, time forward and back, memory of the latter."""
    sample = geometric(plan.pick(20_000, 4_000, 100), plan.pick(20.0, 20.0, 6.0), plan.pick(64, 64, 2))
    errors = _errors(sample)
    for gradients in (False, True):
        rounds = plan.pick(2, 2, 1)
        done: dict[str, list[Cost]] = {OURS: [], PEER: []}
        for _ in range(rounds):
            for name, solve in ((OURS, _ours), (PEER, _theirs)):
                done[name].append(cost(_step(solve, sample, gradients), _first(sample)))
        s = spread([b.seconds / a.seconds for a, b in zip(done[OURS], done[PEER], strict=True)])
        own, other = (1e3 * spread([c.seconds for c in done[name]]).median for name in (OURS, PEER))
        yield Row(
            CASES[gradients], sample.name, PEER, "ratio", s.median, s.low, s.high, s.rounds, own, other, "ms", errors
        )  # fmt: skip
        if gradients:
            s = spread([b.megabytes / max(a.megabytes, 0.01) for a, b in zip(done[OURS], done[PEER], strict=True)])
            own, other = (spread([c.megabytes for c in done[name]]).median for name in (OURS, PEER))
            yield Row(MEMORY, sample.name, PEER, "memory", s.median, s.low, s.high, s.rounds, own, other, "MB")


def _ours(sample: Sample, u0: Tensor, pde: Diffusion) -> Tensor:
    return simulate(pde, sample.graph, u0, END, rtol=TOLERANCE, save="final").u[-1]


def _theirs(sample: Sample, u0: Tensor, pde: Diffusion) -> Tensor:
    flow = pde.on(sample.graph, u0)
    times = torch.tensor([0.0, END])
    return odeint(flow, u0, times, rtol=TOLERANCE, atol=TOLERANCE, method="dopri5")[-1]  # type: ignore[index]


def _step(solve: Callable[[Sample, Tensor, Diffusion], Tensor], sample: Sample, gradients: bool) -> Callable[[], Tensor]:
    pde, weight = Diffusion(1.0, learnable=gradients), sample.state(1)
    u0 = sample.state().requires_grad_(gradients)

    def step() -> Tensor:
        u = solve(sample, u0, pde)
        if gradients:
            (u * weight).sum().backward()
        return u

    return step


def _first(sample: Sample) -> Callable[[], object]:
    """Sorts the pattern, and loads what a first backward pass loads."""

    def first() -> None:
        torch.ones(2, requires_grad=True).square().sum().backward()
        Diffusion(1.0).on(sample.graph, sample.state()).operator.matvec(sample.state())

    return first


def _errors(sample: Sample) -> str:
    exact = exact_heat(sample, "none", END)
    with torch.no_grad():
        u0, pde = sample.state(), Diffusion(1.0)
        found = [relative_error(solve(sample, u0, pde), exact) for solve in (_ours, _theirs)]
        bound = -pde.on(sample.graph, u0).operator.bounds()[0] * END
    return f"lambda_max T <= {bound:.0f}; errors {found[0]:.0e} and {found[1]:.0e}"
