"""Energy, Rayleigh quotient, norm and rank side by side: one alone misleads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..monitors.base import Monitor
from .canvas import add_legend, log_values, tidy, wide_range
from .series import Recorded, draw, labelled


def energies(
    runs: Mapping[str, Sequence[Monitor] | Mapping[str, Recorded]],
    *,
    xlabel: str = "time",
    title: str | None = None,
    linear: Sequence[str] = ("effective rank", "numerical rank"),
) -> Figure:
    """Draw every quantity in a panel of its own, all runs in each.

    The Dirichlet energy falls when features shrink and when they smooth; beside the norm and the Rayleigh quotient it says
    which. Axes are logarithmic where all values are positive and span more than a factor 10.

    Args:
        runs: label of a run -> its monitors, or quantity -> monitor or pair (times, values).
        xlabel: what the records are counted by ("time in s", "layer").
        title: above all panels.
        linear: quantities whose axis stays linear.

    Returns:
        The figure.

    Raises:
        ValueError: there is no run, or no quantity.

    Reference: Roth & Liebig (2023), Rank collapse causes over-smoothing and over-correlation in graph neural networks.
    """
    data = {label: labelled(run) for label, run in runs.items()}
    names = list(dict.fromkeys(name for run in data.values() for name in run))
    if not names:
        raise ValueError("no quantity to draw: runs is empty; expected {label: [monitors]}")
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.2 * columns + 0.4, 2.4 * rows + 0.6), sharex=True, layout="constrained", squeeze=False
    )
    panels = list(grid.flat)
    for ax in panels[len(names) :]:
        ax.remove()
    for name, ax in zip(names, panels, strict=False):
        seen = []
        for index, run in enumerate(data.values()):
            if name in run:
                draw(ax, *run[name], list(data)[index], index)
                seen.append(run[name][1].ravel())
        if name not in linear and wide_range(np.concatenate(seen), 10.0):
            log_values(ax)
        ax.set_title(name, fontsize="medium")
        tidy(ax)
    for ax in panels[max(0, len(names) - columns) : len(names)]:
        ax.set_xlabel(xlabel)
        ax.tick_params(labelbottom=True)
    if title:
        figure.suptitle(title)
    add_legend(panels[: len(names)], new=True)
    return figure
