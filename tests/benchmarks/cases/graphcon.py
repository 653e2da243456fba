"""GraphCON with graph convolutions: a training step through 100 layers, and the memory of 1,000."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from neuralpde import GraphCON, NodeClassifier

from ..graphs import Sample, cora
from ..measure import OURS, interleave, ratio_rows
from ..memory import cost
from ..peer_models import GraphConLayers
from ..plan import Plan
from ..row import Row, single
from ..training_step import training_step

DEEP, LONG = "GraphCON-GCN, 100 layers, training step", "training solve of 1,000 steps"
LOOP, CACHED = "PyG loop", "PyG loop, GCNConv(cached=True)"
WIDTH, DT = 64, 0.5


def model(sample: Sample, layers: int, dt: float, gradient: str = "backprop", alpha: float = 0.5) -> NodeClassifier:
    """The published scheme with weights shared over the layers; alpha is the damping."""
    channels = min(WIDTH, 16 * sample.channels)
    pde = GraphCON(channels, "gcn", alpha=alpha, gamma=1.0)
    options = {"hidden": channels, "input_dropout": 0.5, "dt": dt, "gradient": gradient}
    return NodeClassifier(sample.width, sample.classes, pde, layers * dt, "symplectic_euler", **options)


def deep(plan: Plan) -> Iterator[Row]:
    """100 layers (published scheme), against a loop over a shared GCNConv."""
    torch.manual_seed(0)
    sample, layers = cora(plan), plan.pick(100, 100, 3)
    x, (y, train) = sample.features(), sample.labels()
    ours = model(sample, layers, DT)
    shape = (sample.width, sample.classes, ours.hidden, layers, DT, 0.5, 1.0)
    candidates = {
        OURS: training_step(ours, (x, sample.graph), y, train),
        LOOP: training_step(GraphConLayers(*shape), (x, sample.graph.edge_index), y, train),
        CACHED: training_step(GraphConLayers(*shape, cached=True), (x, sample.graph.edge_index), y, train),
    }
    yield from ratio_rows(DEEP, sample.name, interleave(candidates, plan), note=f"{ours.hidden} channels")


def long(plan: Plan) -> Iterator[Row]:
    """Peak memory and time of a training step through many steps, by way of differentiating; undamped, so as to reverse."""
    sample, steps = cora(plan), plan.pick(1000, 1000, 9)
    costs = {
        name: cost(_step(sample, steps, name), _step(sample, 2, name)) for name in ("backprop", "checkpoint", "reversible")
    }
    base = costs["backprop"]
    for name in ("checkpoint", "reversible"):
        c = costs[name]
        note = f"{steps} steps; {c.seconds / base.seconds:.2f} times the time"
        value = base.megabytes / max(c.megabytes, 0.01)
        yield single(LONG, name, "backprop", "memory", value, ours=c.megabytes, theirs=base.megabytes, unit="MB", note=note)
        slower = c.seconds / base.seconds
        own, other = 1e3 * c.seconds, 1e3 * base.seconds
        yield single(LONG, name, "backprop", "slowdown", slower, ours=own, theirs=other, note=f"{steps} steps")


def _step(sample: Sample, steps: int, gradient: str) -> Callable[[], Tensor]:
    torch.manual_seed(0)
    x, (y, train) = sample.features(), sample.labels()
    return training_step(model(sample, steps, 0.01, gradient, alpha=0.0), (x, sample.graph), y, train)
