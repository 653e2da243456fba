"""Loss and validation score, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .canvas import PALETTE, add_legend, log_values, tidy, wide_range

if TYPE_CHECKING:
    from ..training.history import History

_ERRORS = ("MAE", "MSE")  # in their own unit; other scores are shares


def training(histories: History | Mapping[str, History], *, title: str | None = None) -> Figure:
    """Draw the losses and the validation score of one fit or of several; a dot marks the epoch whose weights were kept.

    Args:
        histories: what `fit` returned, or label -> that.
        title: above both panels.

    Returns:
        The figure.
    """
    runs = histories if isinstance(histories, Mapping) else {"": histories}
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.4), layout="constrained")
    losses = []
    for index, (label, history) in enumerate(runs.items()):
        color, epoch = PALETTE[index % len(PALETTE)], [one.epoch for one in history.epochs]
        train, val = history.series("loss"), history.series("val_loss")
        unit = 1 if history.metric in _ERRORS else 100
        scores = [unit * value for value in history.series("val_score")]
        losses += [*train, *val]
        prefix = f"{label}: " if label else ""
        left.plot(epoch, train, color=color, linestyle="--", linewidth=1.3, label=f"{prefix}training (under dropout)")
        left.plot(epoch, val, color=color, linewidth=1.7, label=f"{prefix}validation")
        right.plot(epoch, scores, color=color, linewidth=1.7)
        best = history.best
        right.plot([best.epoch], [unit * best.val_score], color=color, marker="o", markersize=6)
    if wide_range(np.array(losses), 10.0):
        log_values(left)
    metrics = {history.metric: None for history in runs.values()}
    left.set_ylabel("cross-entropy" if list(metrics) == ["accuracy"] else "loss")
    right.set_ylabel("validation " + ", ".join(m if m in _ERRORS else f"{m} in %" for m in metrics))
    for ax in (left, right):
        ax.set_xlabel("epoch")
        tidy(ax)
    if title:
        figure.suptitle(title)
    add_legend(left, new=True)
    return figure
