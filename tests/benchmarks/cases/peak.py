"""Peak memory of one GRAND-l training step against torchdiffeq dopri5 + PyG, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ..measure import OURS
from ..memory import cost
from ..peers import DOPRI5
from ..plan import Plan
from ..row import Row, single
from ..training_step import training_step
from .grand import Setting, modules, settings

CASE = "peak memory of a GRAND-l training step"


def run(plan: Plan) -> Iterator[Row]:
    """Growth of the resident set over one step, features and edges counted before."""
    for s in settings(plan):
        found = {}
        for name in (OURS, DOPRI5):
            found[name] = cost(_step(s, name), _first).megabytes
        value = found[DOPRI5] / max(found[OURS], 0.01)
        yield single(CASE, s.sample.name, DOPRI5, "memory", value, ours=found[OURS], theirs=found[DOPRI5], unit="MB")


def _step(s: Setting, name: str):
    torch.manual_seed(0)
    x, edges, (y, train) = s.sample.features(), s.sample.edges()[0], s.sample.labels()
    inputs = (x, s.sample.graph) if name == OURS else (x, edges)
    return training_step(modules(s)[name], inputs, y, train)


def _first() -> None:
    """What a first training step of any classifier loads: code for dense products, the loss, the way back, Adam."""
    classes = torch.zeros(64, dtype=torch.long)
    training_step(nn.Linear(64, 7), (torch.ones(64, 64),), classes, torch.arange(64))()
