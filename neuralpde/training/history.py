"""What a fit recorded, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .objective import objective_named


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Args:
        epoch: its number, from 1.
        loss: mean over the training nodes or graphs, under dropout.
        val_loss, val_score: over the validation nodes or graphs, without dropout; the score is that of the fit's objective
            (for classes the accuracy).
        evaluations: of the vector field, in the forward passes of training.
        seconds: wall time, validation included.
        penalty: what regularisation added to the loss, coefficients included, the mean over batches.
        time: the output time that validated best, with `FitConfig.horizon`; else None.
        lr: the learning rate of the epoch.
    """

    epoch: int
    loss: float
    val_loss: float
    val_score: float
    evaluations: int
    seconds: float
    penalty: float = 0.0
    time: float | None = None
    lr: float | None = None

    @property
    def val_accuracy(self) -> float:
        """`val_score` under the name that it has for classes."""
        return self.val_score

    def better_than(self, other: Epoch | None, select: str = "accuracy", larger: bool = True) -> bool:
        """By validation score, and among equals by validation loss; with select="loss" the other way round.

        Args:
            other: another epoch of the fit; None is worse than any.
            select: as `FitConfig.select`.
            larger: whether a larger score is a better one.
        """
        return other is None or self._rank(select, larger) > other._rank(select, larger)

    def _rank(self, select: str, larger: bool) -> tuple[float, float]:
        score, loss = self.val_score if larger else -self.val_score, -self.val_loss
        return (score, loss) if select == "accuracy" else (loss, score)


@dataclass(frozen=True)
class History:
    """The epochs of a fit and the best of them, whose weights the model has at the end.

    Args:
        epochs: in order.
        stopped: why it ended: `epochs` (all were done), `patience`, or `plateau` (the learning rate had fallen enough).
        select: what the best is chosen by: `accuracy` (the score) or `loss`, both of the validation set.
        objective: of the fit, by name.
    """

    epochs: Sequence[Epoch]
    stopped: str = "epochs"
    select: str = "accuracy"
    objective: str = "classes"

    @property
    def metric(self) -> str:
        """What the scores are: accuracy, micro F1, MAE, MSE."""
        return objective_named(self.objective).metric

    @property
    def best(self) -> Epoch:
        """The best epoch by validation."""
        best, larger = self.epochs[0], objective_named(self.objective).larger
        for epoch in self.epochs[1:]:
            best = epoch if epoch.better_than(best, self.select, larger) else best
        return best

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    def series(self, name: str) -> list[float]:
        """One quantity over the epochs: `loss`, `val_loss`, `val_score` (`val_accuracy`), `penalty`, `lr`, `time`, ..."""
        values = [getattr(epoch, name) for epoch in self.epochs]
        return [float("nan") if value is None else float(value) for value in values]

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, lists and dictionaries."""
        epochs = [asdict(epoch) for epoch in self.epochs]
        return {"epochs": epochs, "stopped": self.stopped, "select": self.select, "objective": self.objective}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        older = {"val_accuracy": "val_score"}
        rows = [{str(older.get(k, k)): value for k, value in epoch.items()} for epoch in plain["epochs"]]
        epochs = [Epoch(**row) for row in rows]
        return History(epochs, plain["stopped"], plain.get("select", "accuracy"), plain.get("objective", "classes"))
