"""What `energy.py` found, as a table and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuralpde.plots.canvas import PALETTE, add_legend, tidy
from neuralpde.training.ledger import Row

from .study import grouped, markdown

Rows = Sequence[Row]
QUANTITIES = {
    "energy": "Dirichlet energy",
    "rayleigh": "Rayleigh quotient",
    "norm": "norm of X",
    "rank": "effective rank",
}
COLOURS = {None: "#000000", 0.0: PALETTE[0], 0.5: PALETTE[2], 1.0: PALETTE[1]}
NAMES = {"gcn": "GCN", "gat": "GAT"}


def table(rows: Rows) -> str:
    """Medians over seeds: what became of each quantity from the features to the last layer."""
    lines = []
    for (coupling, alpha, dt, layers), of in grouped(rows, "coupling", "alpha", "dt", "layers").items():
        name = NAMES[coupling] if alpha is None else f"GraphCON-{NAMES[coupling]}"
        cells = [f"{_middle([_ratio(row[what]) for row in of]):.2g}" for what in ("energy", "rayleigh", "norm")]
        ends = [_middle([_last(row["rank"], end) for row in of]) for end in (0, -1)]
        lines.append([name, _text(alpha), _text(dt), layers, *cells, f"{ends[0]:.1f} -> {ends[1]:.1f}"])
    return markdown(["", "alpha", "dt", "layers", "energy ×", "Rayleigh quotient ×", "norm ×", "effective rank"], lines)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _ratio(values: Sequence[float | None]) -> float:
    first, last = _last(values, 0), _last(values, -1)
    return last / first


def _last(values: Sequence[float | None], end: int) -> float:
    """The first or the last that is a number: features that are zero have no shape any more."""
    return [v for v in values if v is not None][end]


def _middle(values: Sequence[float]) -> float:
    return float(np.median(values))


def pictures(rows: Rows) -> dict[str, Figure]:
    """For each coupling the four quantities against the layer, a column for each dt."""
    depth = min(row["layers"] for row in rows)
    short = [row for row in rows if row["layers"] == depth]
    return {f"-{coupling}": _picture(coupling, of) for (coupling,), of in grouped(short, "coupling").items()}


def _picture(coupling: str, rows: Rows) -> Figure:
    steps = [dt for (dt,) in grouped(rows, "dt") if dt is not None]
    figure, grid = plt.subplots(
        len(QUANTITIES), len(steps), figsize=(10.5, 9.2), sharex=True, sharey="row", layout="constrained", squeeze=False
    )
    for column, dt in enumerate(steps):
        shown = [row for row in rows if row["dt"] in (None, dt)]
        for ax, what in zip(grid[:, column], QUANTITIES, strict=True):
            for (alpha,), of in grouped(shown, "alpha").items():
                _line(ax, [row["layer"] for row in of], [row[what] for row in of], alpha, coupling)
            tidy(ax)
        grid[0, column].set_title(f"dt = {dt:g}", fontsize="medium")
        grid[-1, column].set_xlabel("layer")
    for ax, (what, label) in zip(grid[:, 0], QUANTITIES.items(), strict=True):
        ax.set_ylabel(label)
        ax.set_xscale("symlog", linthresh=1, linscale=0.3)
        ax.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        ax.set_xlim(0, None)
        if what != "rank":
            ax.set_yscale("log")
    seeds = len({row["seed"] for row in rows})
    figure.suptitle(
        f"{NAMES[coupling]} and GraphCON-{NAMES[coupling]}, untrained, 10 × 10 grid: median, range of {seeds} seeds"
    )
    add_legend(list(grid.flat), new=True)
    return figure


def _line(
    ax: Axes, layers: Sequence[Sequence[int]], runs: Sequence[Sequence[float | None]], alpha: float | None, coupling: str
):
    values = np.array([[np.nan if v is None else v for v in run] for run in runs])
    with np.errstate(all="ignore"):
        alive = ~np.isnan(values).all(axis=0)
    values, at = values[:, alive], np.array(layers[0])[alive]
    name = f"{NAMES[coupling]}, plain layers" if alpha is None else f"GraphCON, alpha = {alpha:g}"
    plain = alpha is None  # drawn last, on top: with dt = alpha = gamma = 1 the curves are the same
    style: dict[str, Any] = {"color": COLOURS[alpha], "linestyle": "--" if plain else "-", "zorder": 3 if plain else 2}
    ax.fill_between(at, np.nanmin(values, 0), np.nanmax(values, 0), color=style["color"], alpha=0.15, linewidth=0)
    ax.plot(at, np.nanmedian(values, 0), linewidth=1.7, label=name, **style)
