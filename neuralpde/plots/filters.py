"""One step of a scheme as a spectral filter: what it does to the eigenvalues that a graph has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from .amplification import Methods, amplification, labelled_methods
from .canvas import DASHES, PALETTE, add_legend, numbers, tidy

_POINTS = 240
_LOWEST, _HIGHEST = -1.6, 1.35  # of the axis; what goes beyond is said in the legend


def filters(
    spectrum: Tensor | Sequence[float] | NDArray[np.float64],
    methods: Methods,
    dt: float,
    *,
    title: str | None = None,
    xlabel: str = "eigenvalue of the Laplacian",
) -> Figure:
    """Draw the factor `R(-dt lambda)` by which one step multiplies the eigenvector of lambda in `u' = -L u`.

    Above: a curve per method, a dot at every eigenvalue of the graph, and the exact `exp(-dt lambda)` in black. Below: how
    many eigenvalues the graph has where. Factors beyond +-1 (dotted) grow from step to step; negative ones alternate.

    Args:
        spectrum: eigenvalues of L, not negative (`diagnosis.laplacian_spectrum(graph)`, times a conductivity).
        methods: one-step methods: a name or an integrator, several, or label -> method.
        dt: step size.
        title: above both panels.
        xlabel: of the eigenvalues.

    Returns:
        The figure.

    Raises:
        ValueError: no eigenvalues, negative or complex ones, or a step that is not positive.
        TypeError: a method without a stability function (multistep, or for positions and momenta).
    """
    values = _eigenvalues(spectrum)
    if not (dt > 0 and math.isfinite(dt)):
        raise ValueError(f"dt = {dt}; expected a positive step size")
    chosen = labelled_methods(methods)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(6.6, 4.9), sharex=True, height_ratios=(4, 1), layout="constrained", gridspec_kw={"hspace": 0.04}
    )
    fine = np.linspace(0, values[-1] or 1.0, _POINTS)
    top.plot(fine, np.exp(-dt * fine), color="black", linewidth=3.2, alpha=0.45, label="exact: exp(-dt lambda)")
    lowest = min([-0.12, *(_draw(top, label, fine, values, dt, one, i) for i, (label, one) in enumerate(chosen.items()))])
    for level in (-1.0, 1.0):
        top.axhline(level, color=PALETTE[8], linestyle=":", linewidth=1.0)
    top.axhline(0.0, color=PALETTE[8], linewidth=0.7)
    top.set_ylim(max(_LOWEST, lowest - 0.1), _HIGHEST if lowest < -1 else 1.1)
    top.set_ylabel(f"factor of one step, dt = {dt:.4g}")
    bottom.hist(values, bins=min(40, max(8, len(values) // 4)), range=(0, fine[-1]), color=PALETTE[8])
    bottom.set_ylabel("how many")
    bottom.set_xlabel(xlabel)
    for ax in (top, bottom):
        tidy(ax)
    if title:
        figure.suptitle(title)
    add_legend([top], new=True)
    return figure


def _draw(
    ax: Axes, label: str, fine: NDArray[np.float64], values: NDArray[np.float64], dt: float, method: object, index: int
) -> float:
    """One method; the least factor on the graph's own spectrum."""
    both = amplification(method, -dt * np.concatenate([fine, values])).real  # type: ignore[arg-type]
    curve, dots = both[: len(fine)], both[len(fine) :]
    worst = float(np.abs(dots).max())
    text = f"{label}: unstable, |R| up to {worst:.3g}" if worst > 1 + 1e-9 else label
    color, dashes = PALETTE[index % len(PALETTE)], DASHES[index // len(PALETTE) % len(DASHES)]
    ax.plot(fine, curve, color=color, linestyle=dashes, linewidth=1.6, label=text)
    ax.plot(values, dots, "o", color=color, markersize=2.6, label="_")
    return float(min(dots.min(), curve.min()))


def _eigenvalues(spectrum: Tensor | Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.sort(numbers(spectrum).ravel())
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} eigenvalues, some of them not finite; expected those of a Laplacian")
    if values[0] < -1e-8 * max(1.0, abs(values[-1])):
        raise ValueError(
            f"the least eigenvalue is {values[0]:.4g}; expected those of L in u' = -L u, which are not negative: "
            "give -lambda for an operator A = -L, or plots.stability for any field"
        )
    return np.clip(values, 0.0, None)
