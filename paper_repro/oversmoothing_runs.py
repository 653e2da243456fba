"""The runs of the study of depth: one model on one graph from one seed is one record."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import torch
from oversmoothing_models import EQUATIONS, NETWORKS, Equation, network
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from neuralpde import GRAND, Diffusion, Graph, Wave, diagnose
from neuralpde.diagnose_report import Diagnosis
from neuralpde.operators import Adjacency

Record = dict[str, object]
SHOWN = ("norm", "Rayleigh quotient", "effective rank", "energy")


def untrained(name: str, graph: Graph, x: Tensor, depths: Sequence[int], seed: int) -> Record:
    """A network at several depths, or an equation after as many steps, with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of energies that are not the dynamics' own: the record says so
        if name in NETWORKS:
            found = diagnose(network(name, x.shape[1], seed), graph, depths, u0=x)
        else:
            found = _steps(EQUATIONS[name], graph, x, depths[-1], seed)
    record = told(found) | {"model": name, "seed": seed, "energy": _energy(name)}
    at = [int(np.flatnonzero(found.t == d)[0]) for d in depths]
    record["depths"] = list(depths)
    record["values"] = {key: [float(found.series[key][i]) for i in at] for key in SHOWN}
    damping = EQUATIONS[name].damping if name in EQUATIONS else None
    if damping is not None:
        rate = scheme_rate(graph, damping)
        record["theory"] = {"rate": rate, "kind": "exact", "text": "modes of the scheme with steps of 1"}
    return record


def _steps(equation: Equation, graph: Graph, x: Tensor, steps: int, seed: int) -> Diagnosis:
    torch.manual_seed(seed)
    pde = equation.make(x.shape[1], steps).double()
    return diagnose(pde, graph, t=float(steps), u0=x, method=equation.method, dt=1.0)


def _energy(name: str) -> str:
    return "sym_loops" if "GCN" in name or "oscillators" in name else "none"


def told(found: Diagnosis) -> Record:
    """A diagnosis as plain numbers and words."""
    verdict = found.verdict
    return {
        "kind": found.kind,
        "verdict": verdict.meaning,
        "scale": verdict.scale.word,
        "shape": verdict.shape.word,
        "rank": "" if verdict.rank is None else verdict.rank.word,
        "rate": found.rate,
        "interval": list(found.interval),
        "window": list(found.fit.window),
        "theory": {"rate": found.theory.rate, "kind": found.theory.kind, "text": found.theory.text},
        "notes": list(found.notes),
    }


@cache
def scheme_rate(graph: Graph, damping: float) -> float:
    """`2 ln |z|` of the slowest mode of `X'' = (A - I) X - damping X'` in symplectic Euler's steps of 1.

    `z^2 - (2 - damping - lambda) z + (1 - damping) = 0`, lambda > 0 an eigenvalue of I - A, A with self-loops.
    """
    matrix = Adjacency(graph, "sym", self_loops=True, dtype=torch.float64).to_dense()
    values = 1 - torch.linalg.eigvalsh(matrix).numpy()
    half = (2 - damping - values[values > 1e-9]) / 2
    roots = half + np.sqrt((half**2 - (1 - damping)).astype(complex))
    other = 2 * half - roots
    return 2 * math.log(float(np.maximum(np.abs(roots), np.abs(other)).max()))


class Repeated(nn.Module):
    """One linear graph convolution with W = 1, over and over."""

    def __init__(self, width: int, times: int):
        super().__init__()
        self.conv, self.times = GCNConv(width, width, bias=False, cached=True), times
        nn.init.eye_(self.conv.lin.weight)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.conv(x, edge_index)
        return x


def to_the_end(graph: Graph, x: Tensor, gap: float, spans: float = 10.0) -> Iterator[tuple[str, float, Diagnosis]]:
    """Linear dynamics until only the slowest mode is left: (name, tolerance of the rate, diagnosis).

    Args:
        graph, x: where, and the features.
        gap: second smallest eigenvalue of the normalised Laplacian.
        spans: final time, in units of 1 / gap.
    """
    width = x.shape[1]
    yield "heat", 0.01, diagnose(Diffusion(normalization="rw"), graph, t=spans / gap, u0=x)
    depth = math.ceil(spans / gap)
    depths = [int(d) for d in np.linspace(depth / 2, depth, 9)]
    yield "linear GCN, W = 1", 0.01, diagnose(lambda d: Repeated(width, d).double(), graph, depths, u0=x)
    torch.manual_seed(0)
    yield "GRAND-l", 0.01, diagnose(GRAND(width).double(), graph, t=4 * spans / gap, u0=x)
    damping = math.sqrt(gap)
    slow = Wave(damping=damping, normalization="sym")
    yield f"waves, damping {damping:.3g}", 0.02, diagnose(slow, graph, t=spans / damping, u0=x)
    yield "waves, undamped", 1e-3 * math.sqrt(gap), diagnose(Wave(normalization="sym"), graph, t=spans / damping, u0=x)


def trained(
    make: Callable[[int], nn.Module], x: Tensor, edge_index: Tensor, y: Tensor, masks: dict[str, Tensor], epochs: int
) -> Callable[[int], nn.Module]:
    """A function of the depth that trains a classifier of nodes; the best epoch by validation counts.

    The networks have `test`, their accuracy there.
    """

    def fitted(depth: int) -> nn.Module:
        model = make(depth)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
        best, kept, test = -1.0, None, math.nan
        for _ in range(epochs):
            model.train()
            optimizer.zero_grad()
            scores = model(x, edge_index)
            nn.functional.cross_entropy(scores[masks["train"]], y[masks["train"]]).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                right = model(x, edge_index).argmax(1) == y
            score = float(right[masks["val"]].double().mean())
            if score > best:
                best, test = score, float(right[masks["test"]].double().mean())
                kept = {key: value.clone() for key, value in model.state_dict().items()}
        if kept is not None:
            model.load_state_dict(kept)
        model.test = test  # type: ignore[assignment]
        return model

    return fitted
