"""How the demo's pictures look; figures without pyplot, so that no window system is asked for."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#444444", "#a6761d", "#66a61e")
"""Okabe and Ito's palette, told apart with all common kinds of colour vision, and a few more."""
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))


def figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Title and axis labels, with a faint grid."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)


def save(drawn: Figure, path: Path) -> None:
    drawn.savefig(path, dpi=110, facecolor="white")
