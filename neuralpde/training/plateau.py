"""A learning rate that falls where validation stands still."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Plateau:
    """`lr <- factor lr` once more than `patience` epochs in a row have not bettered what the best epoch is chosen by.

    The rule is that of `torch.optim.lr_scheduler.ReduceLROnPlateau`: better by a share of 1e-4 at least; after a cut
    the count begins anew.

    Args:
        factor: what the learning rate is multiplied by.
        patience: epochs without improvement that are let pass.
        after: so many epochs at the beginning are not counted.
        stop_below: the fit ends when the learning rate is below it; None for never.

    Raises:
        ValueError: naming the field and what it may be.
    """

    factor: float = 0.5
    patience: int = 10
    after: int = 0
    stop_below: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"factor = {self.factor}; expected 0 < factor < 1")
        if self.patience < 0 or self.after < 0:
            raise ValueError(f"patience = {self.patience}, after = {self.after}; neither may be negative")
        if self.stop_below is not None and not self.stop_below > 0:
            raise ValueError(f"stop_below = {self.stop_below}; expected a positive learning rate, or None")

    def scheduler(self, optimizer: torch.optim.Optimizer, larger: bool) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
        """A fresh scheduler.

        Args:
            optimizer: whose learning rate falls.
            larger: whether a larger score is a better one.
        """
        mode = "max" if larger else "min"
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=self.factor, patience=self.patience)  # type: ignore[arg-type]
