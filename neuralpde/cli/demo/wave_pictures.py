"""Pictures of part 1: arrival map and snapshots, energies, arrival against travel time, and the animation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from ...datasets import Raster
from .style import COLOURS, LINES, figure, label
from .wave import Crossing, Energies

_WINDOW = (-126.0, -122.6, 48.0, 49.15)  # west, east, south, north: where the wave goes


def crossing_picture(c: Crossing, minutes: tuple[float, ...] = (5, 20, 35, 50, 70, 100)) -> Figure:
    """Arrival times over the land, and the surface at some times."""
    drawn = figure(11, 9.2)
    grid = drawn.add_gridspec(3, 3, height_ratios=(1.75, 1, 1))
    _arrival(drawn.add_subplot(grid[0, :]), c)
    image, panels = None, []
    for i, minute in enumerate(minutes):
        axes = drawn.add_subplot(grid[1 + i // 3, i % 3])
        panels.append(axes)
        image = _surface(axes, c, int(np.argmin(np.abs(c.t.numpy() - 60 * minute))))
        axes.set_title(f"{minute:g} min", fontsize=10, loc="left")
        axes.set_ylabel("latitude N (degrees)" if i % 3 == 0 else "")
        axes.set_xlabel("longitude E (degrees)" if i > 2 else "")
    if image is not None:
        bar = drawn.colorbar(image, ax=panels, fraction=0.02, pad=0.01, extend="both")
        bar.set_label("surface height / height of the bump")
    return drawn


def _arrival(axes: Axes, c: Crossing) -> None:
    minutes = c.arrival / 60
    _land(axes, c.raster)
    _sea(axes, c, np.where(np.isfinite(minutes.numpy()), np.nan, 1.0), ("#dfe6ea", "#dfe6ea"))
    picture = c.raster.paint(minutes, c.sea.node["cell"])
    image = axes.imshow(picture, origin="lower", extent=_extent(c.raster), cmap="viridis_r", interpolation="nearest")
    levels = np.arange(10, np.nanmax(picture), 10)
    lines = axes.contour(c.raster.longitude, c.raster.latitude, picture, levels, colors="k", linewidths=0.7)
    axes.clabel(lines, fmt="%.0f", fontsize=7)
    start = c.sea.node["lonlat"][int(c.u[0].argmax())]
    axes.plot(float(start[0]), float(start[1]), "*", color="#d55e00", markersize=13, markeredgecolor="white")
    axes.annotate("bump", (float(start[0]), float(start[1])), (7, -12), textcoords="offset points", fontsize=9)
    for text, lon, lat in (("Vancouver Island", -125.0, 48.93), ("Olympic Peninsula", -123.75, 48.04)):
        axes.text(lon, lat, text, fontsize=9, style="italic", ha="center")
    arrow = {"arrowstyle": "-", "linewidth": 0.8}
    axes.annotate("Strait of Juan de Fuca", (-123.95, 48.27), (-123.95, 48.56), fontsize=9, ha="center", arrowprops=arrow)
    _frame(axes, _WINDOW)
    axes.set_xlabel("longitude E (degrees)")
    axes.set_ylabel("latitude N (degrees)")
    axes.set_title("arrival of the wave (minutes; contours every 10)", fontsize=11, loc="left")
    axes.figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01).set_label("minutes")


def _surface(axes: Axes, c: Crossing, index: int) -> AxesImage:
    _land(axes, c.raster)
    image = _sea_surface(axes, c, index)
    _frame(axes, _WINDOW)
    return image


def _sea_surface(axes: Axes, c: Crossing, index: int) -> AxesImage:
    picture = c.raster.paint(c.u[index], c.sea.node["cell"])
    extent = _extent(c.raster)
    return axes.imshow(picture, origin="lower", extent=extent, cmap="RdBu_r", vmin=-0.3, vmax=0.3, interpolation="nearest")


def _sea(axes: Axes, c: Crossing, values: NDArray[np.float64], colours: tuple[str, str]) -> None:
    picture = c.raster.paint(c.arrival.new_tensor(values), c.sea.node["cell"])
    axes.contourf(c.raster.longitude, c.raster.latitude, picture, levels=[0.5, 1.5], colors=list(colours))


def _land(axes: Axes, raster: Raster) -> None:
    """Relief in grey; cells of the sea that are shallower than the model's least depth look like low land."""
    shade = LightSource(azdeg=315, altdeg=45).hillshade(np.maximum(raster.elevation, 0), vert_exag=0.02, dx=1, dy=1)
    axes.imshow(0.25 * shade + 0.62, origin="lower", extent=_extent(raster), cmap="gray", vmin=0, vmax=1)


def _extent(raster: Raster) -> tuple[float, float, float, float]:
    lon, lat = (np.degrees(edges) for edges in raster.faces())
    return float(lon[0]), float(lon[-1]), float(lat[0]), float(lat[-1])


def _frame(axes: Axes, window: tuple[float, float, float, float]) -> None:
    west, east, south, north = window
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_aspect(1 / np.cos(np.radians((south + north) / 2)))


def travel_picture(c: Crossing) -> Figure:
    """Arrival against travel time at the speed sqrt(g h), coloured by depth."""
    use = c.compared
    arrival, travel = c.arrival[use] / 60, c.travel[use] / 60
    drawn = figure(5.6, 4.6)
    axes = drawn.add_subplot()
    points = axes.scatter(travel, arrival, s=5, c=c.sea.node["depth"][use].log10(), cmap="viridis_r")
    top = float(max(arrival.max(), travel.max())) * 1.03
    axes.plot([0, top], [0, top], "k--", linewidth=1, label="arrival = travel time")
    bar = drawn.colorbar(points, ax=axes, ticks=[1, 1.5, 2, 2.5, 3])
    bar.ax.set_yticklabels(["10", "32", "100", "316", "1000"])
    bar.set_label("depth (m)")
    label(axes, "arrival of the wave and travel time", "travel time at speed $\\sqrt{gh}$ (min)", "arrival (min)")
    axes.legend(loc="upper left", frameon=False)
    return drawn


def energy_picture(e: Energies, dt: float) -> Figure:
    """H(t) / H(0), and its distance from 1, both on logarithmic axes."""
    drawn = figure(11, 4.4)
    left, right = drawn.subplots(1, 2)
    for i, (method, ratio) in enumerate(e.ratio.items()):
        style = {"color": COLOURS[i], "linestyle": LINES[i % len(LINES)], "linewidth": 1.6, "label": method}
        t = e.t[method] / 60
        left.plot(t, ratio, **style)
        right.plot(t[1:], (ratio[1:] - 1).abs().clamp_min(1e-17), **style)
    for axes in (left, right):
        axes.set_yscale("log")
    left.set_ylim(1e-2, 1e6)
    right.set_ylim(1e-11, 1e4)
    label(left, f"energy, every method with dt = {dt:g} s", "time (min)", "H(t) / H(0)")
    label(right, "distance from the exact energy", "time (min)", "|H(t) / H(0) - 1|")
    left.legend(fontsize=8, loc="upper right", ncols=2)
    return drawn


def animate(c: Crossing, path: Path, every: float = 96.0, width: int = 640) -> None:
    """A GIF of the surface.

    Args:
        c: the wave.
        path: file to write.
        every: seconds between frames.
        width: of the picture, pixels.
    """
    size = (width / 80, width / 80 * 0.52)
    still = Figure(figsize=size, dpi=80, layout="constrained")
    canvas, axes = FigureCanvasAgg(still), still.add_subplot()
    image = _surface(axes, c, 0)
    axes.set_xlabel("longitude E (degrees)")
    axes.set_ylabel("latitude N (degrees)")
    still.colorbar(image, ax=axes, shrink=0.8, extend="both").set_label("height / height of the bump")
    image.set_visible(False)
    canvas.draw()
    film = Figure(figsize=size, dpi=80)  # what stands still is one picture; only the sea and the clock are drawn anew
    FigureCanvasAgg(film)
    film.figimage(np.asarray(canvas.buffer_rgba()), zorder=-1)
    sea = film.add_axes(axes.get_position().bounds)
    sea.set_axis_off()
    image = _sea_surface(sea, c, 0)
    _frame(sea, _WINDOW)
    clock = sea.text(0.985, 0.04, "", transform=sea.transAxes, ha="right", fontsize=12)
    writer = PillowWriter(fps=11)
    with writer.saving(film, str(path), 80):
        for k in range(0, len(c.t), max(1, round(every / float(c.t[1] - c.t[0])))):
            image.set_data(c.raster.paint(c.u[k], c.sea.node["cell"]))
            clock.set_text(f"{float(c.t[k]) / 60:.0f} min")
            writer.grab_frame()
