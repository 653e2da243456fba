"""What a fit recorded, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Args:
        epoch: its number, from 1.
        loss: mean cross-entropy over the training nodes or graphs, under dropout.
        val_loss, val_accuracy: over the validation nodes or graphs, without dropout.
        evaluations: of the vector field, in the forward passes of training.
        seconds: wall time, validation included.
        penalty: what regularisation added to the loss, coefficients included, the mean over batches.
        time: the output time that validated best, with `FitConfig.horizon`; else None.
    """

    epoch: int
    loss: float
    val_loss: float
    val_accuracy: float
    evaluations: int
    seconds: float
    penalty: float = 0.0
    time: float | None = None

    def better_than(self, other: Epoch | None, select: str = "accuracy") -> bool:
        """By validation accuracy, and among equals by validation loss; with select="loss" the other way round."""
        return other is None or self._rank(select) > other._rank(select)

    def _rank(self, select: str) -> tuple[float, float]:
        accuracy, loss = self.val_accuracy, -self.val_loss
        return (accuracy, loss) if select == "accuracy" else (loss, accuracy)


@dataclass(frozen=True)
class History:
    """The epochs of a fit and the best of them, whose weights the model has at the end.

    Args:
        epochs: in order.
        stopped: why it ended: `epochs` (all were done) or `patience`.
        select: what the best is chosen by: `accuracy` or `loss`, both of the validation set.
    """

    epochs: Sequence[Epoch]
    stopped: str = "epochs"
    select: str = "accuracy"

    @property
    def best(self) -> Epoch:
        """The best epoch by validation."""
        best = self.epochs[0]
        for epoch in self.epochs[1:]:
            best = epoch if epoch.better_than(best, self.select) else best
        return best

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    def series(self, name: str) -> list[float]:
        """One quantity over the epochs: `loss`, `val_loss`, `val_accuracy`, `penalty`, `evaluations`, `time`, `seconds`."""
        values = [getattr(epoch, name) for epoch in self.epochs]
        return [float("nan") if value is None else float(value) for value in values]

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, lists and dictionaries."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs], "stopped": self.stopped, "select": self.select}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return History([Epoch(**epoch) for epoch in plain["epochs"]], plain["stopped"], plain.get("select", "accuracy"))
