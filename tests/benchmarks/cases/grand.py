"""Training steps of GRAND against torchdiffeq + PyG: linear (attention frozen, T of the released settings), and not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuralpde import GRAND, NodeClassifier

from ..graphs import Sample, cora, pubmed
from ..measure import OURS, interleave, ratio_rows
from ..peer_models import Grand, GrandField
from ..peers import DOPRI5
from ..plan import Plan
from ..row import Row, single
from ..training_step import gradients, training_step

LINEAR, NONLINEAR, PARITY = "GRAND-l training step", "GRAND-nl training step", "GRAND-l gradients against rk4"
RK4 = "torchdiffeq rk4 + PyG"
RTOL = 1e-5  # ours: with the default of 1e-4, gradients are about 1e-4 off; two or three products more


@dataclass(frozen=True, eq=False)
class Setting:
    """A graph with the released hyperparameters for it: T, heads, attention width, tolerances."""

    sample: Sample
    t: float
    heads: int
    width: int
    scale: float

    @property
    def tolerances(self) -> dict[str, float]:
        """Those of the released code: atol = 1e-7 scale, rtol = 1e-9 scale."""
        return {"atol": 1e-7 * self.scale, "rtol": 1e-9 * self.scale}


def settings(plan: Plan) -> list[Setting]:
    """Cora-like and, unless there is a minute only, PubMed-like."""
    small = Setting(cora(plan), 18.2948, 8, 128, 822.0)
    return [small] if plan.name == "quick" else [small, Setting(pubmed(plan), 12.9423, 1, 16, 1991.0)]


def ours(s: Setting, frozen: bool, method: str, **options) -> NodeClassifier:
    """Our model; encoder dropout 0.5, source, attention by rows."""
    channels, attention = s.sample.channels, "frozen" if frozen else "recomputed"
    pde = GRAND(channels, heads=s.heads, attention_dim=s.width, attention=attention, source="detached")
    return NodeClassifier(s.sample.width, s.sample.classes, pde, s.t, method, hidden=channels, input_dropout=0.5, **options)


def theirs(s: Setting, frozen: bool, method: str, **options) -> Grand:
    """The peer's model."""
    field = GrandField(s.sample.channels, s.heads, s.width, frozen)
    return Grand(s.sample.width, s.sample.classes, field, s.sample.channels, s.t, method, **options)


def steps(s: Setting, frozen: bool) -> dict[str, Callable[[], Tensor]]:
    """A training step of ours and of the peer's."""
    torch.manual_seed(0)
    x, edges, (y, train) = s.sample.features(), s.sample.edges()[0], s.sample.labels()
    if frozen:
        mine, other, name = ours(s, True, "auto", rtol=RTOL), theirs(s, True, "dopri5", **s.tolerances), DOPRI5
    else:
        mine, other, name = ours(s, False, "rk4", dt=1.0), theirs(s, False, "rk4", options={"step_size": 1.0}), RK4
    return {
        OURS: training_step(mine, (x, s.sample.graph), y, train),
        name: training_step(other, (x, edges), y, train),
    }


def linear(plan: Plan) -> Iterator[Row]:
    """GRAND-l, and how far its gradients are from those of autograd through rk4 with small steps in float64."""
    for s in settings(plan):
        note = f"T = {s.t:.1f}, hidden {s.sample.channels}, {s.heads} heads"
        yield from ratio_rows(LINEAR, s.sample.name, interleave(steps(s, True), plan), note=note)
        yield parity(s)


def nonlinear(plan: Plan) -> Iterator[Row]:
    """GRAND-nl, rk4 with step 1 on both sides."""
    for s in settings(plan):
        yield from ratio_rows(NONLINEAR, s.sample.name, interleave(steps(s, False), plan), note="rk4, step 1, on both sides")


def parity(s: Setting) -> Row:
    """The largest relative difference of a parameter's gradient from rk4 autograd."""
    torch.manual_seed(0)
    model = ours(s, True, "auto", rtol=RTOL)
    fine = ours(s, True, "rk4", dt=0.25, gradient="checkpoint", stability_check=False)
    fine.load_state_dict(model.state_dict())
    x, (y, train) = s.sample.features(), s.sample.labels()
    found = gradients(model, (x, s.sample.graph), y, train)
    exact = gradients(fine.double(), (x.double(), s.sample.graph), y, train)
    apart = sorted((_apart(found[name], exact[name]), name) for name in found)
    worst, name = apart[-1]
    note = f"in {name}; in {apart[-2][1]} {apart[-2][0]:.0e}, in the others less"
    return single(PARITY, s.sample.name, "rk4 autograd, float64", "difference", worst, unit="", note=note)


def _apart(a: Tensor, b: Tensor) -> float:
    size = float(b.norm())
    return float((a.double() - b).norm()) / size if size else float(a.norm())


def modules(s: Setting) -> dict[str, nn.Module]:
    """The two models of GRAND-l, untrained."""
    return {OURS: ours(s, True, "auto", rtol=RTOL), DOPRI5: theirs(s, True, "dopri5", **s.tolerances)}
