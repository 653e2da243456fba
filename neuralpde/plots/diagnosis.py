"""Energy against time or depth with its fit and the line of theory; size and shape, and rank, below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .canvas import PALETTE, log_values, tidy

if TYPE_CHECKING:
    from ..diagnose_report import Diagnosis

_FAINT = 1e-300  # below, a logarithmic axis has nothing to show


def diagnosis(found: Diagnosis, *, title: str | None = None) -> Figure:
    """Draw what `diagnose` found, on logarithmic axes.

    Above: the energy, the fitted line on its window (solid), the slope that theory predicts (dashed, laid through the start
    of the window), and the level below which it is rounding (dotted). Below: norm and Rayleigh quotient, each relative to
    its first value (scale and shape), and the distances from rank one.

    Args:
        found: what `diagnose` returned.
        title: above all panels.

    Returns:
        The figure.
    """
    figure, axes = plt.subplot_mosaic([["energy", "energy"], ["size", "rank"]], figsize=(7.4, 6.2), layout="constrained")
    _energy(axes["energy"], found)
    _size(axes["size"], found)
    _rank(axes["rank"], found)
    for ax in axes.values():
        ax.set_xlabel(found.axis)
        if found.axis == "depth" and found.t[-1] >= 8 * found.t[0]:
            ax.set_xscale("log", base=2)
            ax.set_xticks(found.t, [f"{at:g}" for at in found.t])
            ax.minorticks_off()
        tidy(ax)
    if title:
        figure.suptitle(title)
    return figure


def _energy(ax: Axes, found: Diagnosis) -> None:
    values, fit, theory = found.series[found.measured], found.fit, found.theory
    _line(ax, found.t, values, 0, "energy" if found.measured == "energy" else "energy of the system, kinetic and potential")
    drawn = values[np.isfinite(values) & (values > _FAINT)]
    if found.measured == "Hamiltonian":
        _line(ax, found.t, found.series["energy"], 5, "Dirichlet energy of the positions")
    low, high = (np.log10(drawn.min()), np.log10(drawn.max())) if drawn.size else (0.0, 1.0)
    room = 0.06 * (high - low) + 0.1
    if np.isfinite(fit.rate):
        t = np.linspace(*fit.window, 60)
        ax.plot(t, fit.line(t), color=PALETTE[1], linewidth=2.4, label=f"fit: {fit.rate:+.4g} per {found.unit}")
        if theory.kind != "none":
            logs = (np.log(fit.line(t[:1])) + theory.rate * (t - t[0])) / np.log(10)
            most = "at most " if theory.kind == "bound" else ""
            out = ", leaves the frame" if logs[-1] > high + room else ""
            shown = np.where(logs <= high + room, logs, np.nan)
            ax.plot(t, 10**shown, color="black", linestyle="--", linewidth=1.3, label=f"theory: {most}{theory.rate:+.4g}{out}")
    if drawn.size and found.floor.max() > drawn.min():
        ax.plot(found.t, np.where(found.floor > _FAINT, found.floor, np.nan), ":", color=PALETTE[8], label="rounding")
    if drawn.size:
        log_values(ax)
        ax.set_ylim(10 ** (low - room), 10 ** (high + room))
    ax.set_ylabel("energy")
    ax.legend(fontsize="small", framealpha=0.85)


def _size(ax: Axes, found: Diagnosis) -> None:
    for index, name, label in ((0, "norm", "norm (scale)"), (1, "Rayleigh quotient", "Rayleigh quotient (shape)")):
        values = found.series[name]
        _line(ax, found.t, values / values[0] if values[0] > 0 else values, index, label)
    _log(ax)
    ax.set_ylabel("relative to the first")
    ax.legend(fontsize="small", framealpha=0.85)


def _rank(ax: Axes, found: Diagnosis) -> None:
    _line(ax, found.t, found.series["effective rank"] - 1, 2, "effective rank - 1")
    _line(ax, found.t, found.series["rank-one distance"], 3, "rank-one distance")
    _log(ax)
    ax.set_ylabel("distance from rank 1")
    if ax.lines and any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any() for line in ax.lines):
        ax.legend(fontsize="small", framealpha=0.85)
    else:
        ax.text(0.5, 0.5, "rank 1 throughout", ha="center", va="center", transform=ax.transAxes)


def _line(ax: Axes, t: NDArray[np.float64], values: NDArray[np.float64], index: int, label: str) -> None:
    shown = np.where(np.isfinite(values) & (values > _FAINT), values, np.nan)
    ax.plot(t, shown, color=PALETTE[index], linewidth=1.7, marker="o" if len(t) <= 24 else "", markersize=4, label=label)


def _log(ax: Axes) -> None:
    seen = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    if np.isfinite(seen).any():
        log_values(ax)
