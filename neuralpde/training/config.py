"""How a model is fitted, in one frozen dataclass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from solvers import unknown

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


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

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        at_least = {"epochs": 1, "patience": 1, "checkpoint_every": 1, "weight_decay": 0}
        for name, least in at_least.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"{name} = {value}; expected at least {least}")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} = {value}; expected a positive number")

    def optimizer_for(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A fresh optimizer."""
        return OPTIMIZERS[self.optimizer](parameters, lr=self.lr, weight_decay=self.weight_decay)  # type: ignore[call-arg]
