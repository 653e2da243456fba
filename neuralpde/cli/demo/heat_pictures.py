"""Pictures of part 2: the terrain before and after, and the work-precision diagram."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from .heat import Smoothing
from .style import COLOURS, LINES, figure, label

_MARKERS = {"explicit": "o", "multistep": "s", "implicit": "^", "implicit multistep": "D"}


def terrain_picture(s: Smoothing, t_end: float) -> Figure:
    """Shaded relief before and after, and a section from west to east through the highest point."""
    drawn = figure(11, 7.4)
    grid = drawn.add_gridspec(2, 2, height_ratios=(1.9, 1))
    before, after = (s.raster.paint(u, s.graph.node["cell"]) for u in (s.before, s.after))
    cell = s.raster.metres()[1, 1] / 1000
    panels = [drawn.add_subplot(grid[0, i]) for i in (0, 1)]
    for axes, heights, title in zip(panels, (before, after), ("before", f"after heat for t = {t_end:g}"), strict=True):
        image = _relief(axes, heights, cell, before)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("east (km)")
    panels[0].set_ylabel("north (km)")
    drawn.colorbar(image, ax=panels, fraction=0.03, pad=0.01).set_label("elevation (m)")
    row = int(np.unravel_index(before.argmax(), before.shape)[0])
    axes = drawn.add_subplot(grid[1, :])
    x = np.arange(before.shape[1]) * cell[0]
    axes.plot(x, before[row], color="#999999", linewidth=1, label="before")
    axes.plot(x, after[row], color=COLOURS[1], linewidth=1.6, label="after")
    axes.legend(frameon=False, loc="upper right")
    label(axes, f"section from west to east, {row * cell[1]:.1f} km north", "east (km)", "elevation (m)")
    axes.set_xlim(0, x[-1])
    return drawn


def _relief(axes: Axes, heights: NDArray[np.float64], cell: NDArray[np.float64], scale: NDArray[np.float64]) -> AxesImage:
    shade = LightSource(azdeg=315, altdeg=45).hillshade(heights, dx=1000 * cell[0], dy=1000 * cell[1], vert_exag=3)
    rows, cols = heights.shape
    extent = (0, cols * cell[0], 0, rows * cell[1])
    low, high = float(scale.min()), float(scale.max())
    image = axes.imshow(heights, origin="lower", extent=extent, cmap="terrain", vmin=low, vmax=high)
    axes.imshow(shade, origin="lower", extent=extent, cmap="gray", vmin=0, vmax=1, alpha=0.45)
    return image


def work_picture(s: Smoothing) -> Figure:
    """Relative error against products with the Laplacian and against seconds; refused runs are named."""
    records = s.records()
    drawn = figure(11, 5.6)
    panels = drawn.subplots(1, 2, sharey=True)
    names = list(dict.fromkeys(str(r["method"]) for r in records))
    for i, name in enumerate(names):
        own = [r for r in records if r["method"] == name and r["status"] == "ok"]
        style = {
            "color": COLOURS[i % len(COLOURS)],
            "marker": _MARKERS[str(own[0]["kind"])] if own else "x",
            "linestyle": LINES[i % len(LINES)] if len(own) > 1 else "",
            "label": f"{name} ({own[0]['kind']})" if own else name,
            "markersize": 6,
        }
        for axes, cost in zip(panels, ("work", "seconds"), strict=True):
            points = sorted((r[cost], r["error"]) for r in own)
            axes.plot(*zip(*points, strict=True), **style) if points else None
    for axes in panels:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    label(panels[0], "error against products with L", "evaluations + products inside linear solves", "relative error")
    label(panels[1], "error against time", "wall time (s)", "")
    told = "\n".join(f"refused: {r['method']} dt = {r['dt']:g}, needs {r['why']}" for r in records if r["status"] == "refused")
    panels[0].text(0.02, 0.02, told, transform=panels[0].transAxes, fontsize=8, va="bottom")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return drawn
