"""Monitors in TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Protocol

from .base import Monitor
from .gradient_norms import GradientNorms

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # an extra that few need
    SummaryWriter = None


class ScalarWriter(Protocol):
    """What of a `SummaryWriter` is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object: ...


def to_tensorboard(
    monitors: Monitor | GradientNorms | Sequence[Monitor | GradientNorms], writer: ScalarWriter | str | PathLike[str]
) -> None:
    """Write what monitors recorded as scalars, by the number of the record: its tag is the name, with the graph in a batch.

    Args:
        monitors: one or several, after their solve.
        writer: a `SummaryWriter` (or anything with its `add_scalar`), which stays open, or a folder for a new one.

    Raises:
        ImportError: a folder is given, and TensorBoard is not installed.
        ValueError: a monitor has recorded nothing.
    """
    if isinstance(writer, str | PathLike):
        if SummaryWriter is None:
            raise ImportError("TensorBoard is not installed: pip install tensorboard, or use monitor.to_csv(path)")
        with SummaryWriter(str(writer)) as opened:
            to_tensorboard(monitors, opened)
        return
    for monitor in [monitors] if isinstance(monitors, Monitor | GradientNorms) else monitors:
        values = monitor.values.detach().flatten(1)
        tags = [monitor.name] if values.shape[1] == 1 else [f"{monitor.name}/{g}" for g in range(values.shape[1])]
        for step, row in enumerate(values.tolist()):
            for tag, value in zip(tags, row, strict=True):
                writer.add_scalar(tag, value, step)
