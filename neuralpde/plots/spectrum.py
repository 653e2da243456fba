"""Which frequencies of a graph survive: energy in bands of Laplacian eigenvalues against time or depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .canvas import PALETTE, add_legend, log_values, numbers, tidy

if TYPE_CHECKING:
    from ..diagnosis.band_energy import BandEnergies

_ROUNDING = 1e-28, 1e-12  # of the whole energy, by eigenvectors and by filters: below, there is nothing to show


def spectrum(found: BandEnergies, *, xlabel: str = "time", title: str | None = None) -> Figure:
    """Draw the energy in every band of eigenvalues (left, logarithmic), and the shares of those above the kernel (right).

    Low frequencies are dark, high ones light; the kernel, which diffusion keeps, is black, and left out of the shares, which
    it would fill. Dashed lines are what heat makes of the first energies, each mode times `exp(-2 kappa lambda t)`, if
    `found` holds them.

    Args:
        found: of `diagnosis.band_energies(graph, simulation.u, simulation.t)`.
        xlabel: what it is counted by ("time in s", "layer").
        title: above both panels.

    Returns:
        The figure.

    Raises:
        ValueError: one time only.
    """
    t, energy = numbers(found.t), numbers(found.energy)
    if len(t) < 2:
        raise ValueError("one time only; expected features at several: simulate(..., t=torch.linspace(0, 10, 41)).u")
    whole = np.nansum(energy, axis=1, keepdims=True)
    floor = whole * _ROUNDING[0 if found.modes is not None else 1]
    with np.errstate(invalid="ignore"):
        visible = energy > floor
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.2), width_ratios=(1.35, 1), layout="constrained")
    colours = _colours(found)
    for b, label in enumerate(_labels(found)):
        style = {"color": colours[b], "linewidth": 1.8, "marker": "o" if len(t) <= 16 else "", "markersize": 3.5}
        left.plot(t, np.where(visible[:, b], energy[:, b], np.nan), label=label, **style)
    if found.predicted is not None:
        predicted = numbers(found.predicted)
        shown = np.where(predicted > whole * _ROUNDING[0], predicted, np.nan)
        for b in range(energy.shape[1]):
            text = "heat: exp(-2 kappa lambda t)" if b == energy.shape[1] - 1 else "_"
            left.plot(t, shown[:, b], color="#d62728", linestyle="--", linewidth=1.0, label=text)
    _limits(left, np.where(visible, energy, np.nan))
    left.set_ylabel("energy in the band")
    _shares(right, t, np.where(visible, energy, 0.0), numbers(found.limits)[:, 1] > 0, colours)
    for ax in (left, right):
        ax.set_xlabel(xlabel)
        ax.set_xlim(t[0], t[-1])
        tidy(ax)
    if title:
        figure.suptitle(title)
    add_legend([left], new=True)
    return figure


def _shares(ax: Axes, t: NDArray[np.float64], energy: NDArray[np.float64], rough: NDArray[np.bool_], colours: list) -> None:
    """Stacked shares of the bands above the kernel, until nothing is left there but rounding."""
    above = energy[:, rough]
    whole = above.sum(axis=1, keepdims=True)
    share = np.divide(100 * above, whole, out=np.zeros_like(above), where=np.isfinite(whole) & (whole > 0))
    if share.size:
        ax.stackplot(t, share.T, colors=[c for c, take in zip(colours, rough, strict=True) if take], linewidth=0)
    ax.set_ylim(0, 100)
    ax.set_ylabel("share above the kernel in %")


def _labels(found: BandEnergies) -> list[str]:
    counts = [""] * len(found.limits) if found.modes is None else [f" ({int(n):,})" for n in found.modes]
    return [
        ("kernel" if high == 0 else f"{_short(low)} to {_short(high)}") + count
        for (low, high), count in zip(found.limits.tolist(), counts, strict=True)
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.2g}"


def _colours(found: BandEnergies) -> list[str | tuple[float, float, float, float]]:
    rising = int((found.limits[:, 1] > 0).sum())
    shades = iter(plt.get_cmap("viridis")(np.linspace(0.08, 0.93, max(rising, 1))))
    return [PALETTE[6] if high == 0 else tuple(next(shades)) for high in found.limits[:, 1].tolist()]


def _limits(ax: Axes, shown: NDArray[np.float64]) -> None:
    seen = shown[np.isfinite(shown) & (shown > 0)]
    if not seen.size:
        return
    log_values(ax)
    low, high = np.log10(seen.min()), np.log10(seen.max())
    room = 0.05 * (high - low) + 0.1
    ax.set_ylim(10 ** (low - room), 10 ** (high + room))
