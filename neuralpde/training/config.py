"""How a model is fitted, in one frozen dataclass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from solvers import unknown

from ..models.quadrature import QUADRATURES
from .objective import Objective, objective_named
from .plateau import Plateau

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


LATER = {"unset": True}
"""Metadata of a field that came later: its default is not written among the settings, so that older results stay known."""


@dataclass(frozen=True)
class FitConfig:
    """What `fit` does.

    Args:
        epochs: passes over the training data, at most.
        lr: learning rate.
        weight_decay: of all parameters, as the optimizer understands it.
        optimizer: adam, adamw, adamax, rmsprop or sgd.
        patience: epochs without a better validation score after which the fit ends; None for never.
        seed: of everything random in the fit (dropout, order of batches); the global generators are left as they were.
        clip: largest norm of the gradient; None for any.
        checkpoint: file that is written whenever an epoch is the best so far, every `checkpoint_every` epochs, and at
            the end; None for none.
        checkpoint_every: epochs between two writes that nothing else causes.
        regularisation: coefficients of what is added to the loss, by name: "kinetic" (`KineticEnergy`) and "jacobian"
            (`JacobianNorm`), integrals along the solution that the model itself computes, the mean over graphs.
        horizon: None validates at the model's own time t. A number asks for time-on-validation: after every epoch the solve
            goes on to horizon t, and the time that validates best is that epoch's output time, `Epoch.time` (the released
            code of GRAND does so, with 3). For nodes only. `evaluate(..., time=history.best.time)` then tests there.
        select: choose the best epoch by validation "accuracy" (the score of the objective, whatever that is; among equals by
            loss) or "loss" (among equals by score).
        objective: what is minimised, and the score: "classes" (cross-entropy, accuracy), "labels" (several at once: binary
            cross-entropy, micro F1), "mae" or "mse" (numbers; lower is better).
        plateau: when the learning rate falls; None for never.
        batch_size: graphs in a batch, where `sweep` and `search` make the batches.

    Raises:
        ValueError: naming the field and what it may be.
    """

    epochs: int = 100
    lr: float = 0.01
    weight_decay: float = 5e-4
    optimizer: str = "adam"
    patience: int | None = None
    seed: int = 0
    clip: float | None = None
    checkpoint: str | None = None
    checkpoint_every: int = 25
    regularisation: Mapping[str, float] = field(default_factory=dict, hash=False)
    horizon: float | None = None
    select: Literal["accuracy", "loss"] = "accuracy"
    objective: Literal["classes", "labels", "mae", "mse"] = field(default="classes", metadata=LATER)
    plateau: Plateau | None = field(default=None, metadata=LATER)
    batch_size: int = field(default=64, metadata=LATER)

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.select not in ("accuracy", "loss"):
            raise unknown("select", self.select, ("accuracy", "loss"))
        objective_named(self.objective)
        if self.horizon is not None and self.objective != "classes":
            raise ValueError(
                f"horizon = {self.horizon} with objective={self.objective!r}: the output time is chosen by accuracy; "
                'leave horizon out, or objective="classes"'
            )
        at_least = {"batch_size": 1, "epochs": 1, "patience": 1, "checkpoint_every": 1, "weight_decay": 0}
        for name, least in at_least.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"{name} = {value}; expected at least {least}")
        for name, value in self.regularisation.items():
            if name not in QUADRATURES:
                raise unknown("regularisation", name, QUADRATURES)
            if not value >= 0:
                raise ValueError(f"regularisation[{name!r}] = {value}; expected at least 0")
        for name in ("lr", "clip", "horizon"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} = {value}; expected a positive number")

    @property
    def goal(self) -> Objective:
        """The objective itself."""
        return objective_named(self.objective)

    def optimizer_for(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A fresh optimizer."""
        return OPTIMIZERS[self.optimizer](parameters, lr=self.lr, weight_decay=self.weight_decay)  # type: ignore[call-arg]
