"""A solution as a moving picture, a GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.animation import PillowWriter
from torch import Tensor

from ..graph import Graph
from .canvas import numbers
from .snapshot import colour_bar, draw_nodes, node_values, value_limits


def animate(
    graph: Graph,
    u: Tensor,
    path: str | Path,
    *,
    t: Tensor | Sequence[float] | None = None,
    channel: int = 0,
    pos: Tensor | None = None,
    limits: tuple[float, float] | None = None,
    cmap: str | None = None,
    label: str = "",
    time_label: str = "t = {:.3g}",
    title: str = "",
    fps: int = 12,
    dpi: int = 80,
    size: tuple[float, float] = (5.6, 4.4),
) -> Path:
    """Write node values over time as a GIF that repeats; colours mean the same in every frame.

    Args:
        graph: where the values live.
        u: `[frames, N]` or `[frames, N, channels]` (`simulate(...).u`).
        path: the file, ending in `.gif`.
        t: the time of each frame, `[frames]`, shown above it.
        channel, pos, cmap, label: see `snapshot`.
        limits: values of the first and the last colour; None takes those of all frames.
        time_label: a format for the time, with its unit ("{:.0f} s").
        title: before the time.
        fps: frames a second.
        dpi, size: dots per inch, inches.

    Returns:
        The path.

    Raises:
        ValueError: shapes that do not fit, or a path that is not a GIF.
    """
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"path={str(path)!r}; expected a name that ends in .gif")
    if u.dim() not in (2, 3) or u.shape[0] == 0:
        raise ValueError(
            f"u has shape {tuple(u.shape)}; expected (frames, {graph.num_nodes}) or (frames, {graph.num_nodes}, channels)"
        )
    times = None if t is None else numbers(t).tolist()
    if times is not None and len(times) != len(u):
        raise ValueError(f"{len(times)} times for {len(u)} frames; expected as many")
    frames = [node_values(graph, frame, channel) for frame in u]
    low, high = limits or value_limits(numbers(u if u.dim() == 2 else u[..., channel]))
    figure, ax = plt.subplots(figsize=size, dpi=dpi, layout="constrained")
    try:
        drawn = draw_nodes(ax, graph, frames[0], pos, (low, high), cmap or ("RdBu_r" if low < 0 < high else "viridis"))
        colour_bar(ax, drawn, label)
        head = ax.set_title(_head(title, times, 0, time_label))
        figure.canvas.draw()
        figure.set_layout_engine("none")  # lay out once, so that nothing moves but the data
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = PillowWriter(fps=fps)
        with writer.saving(figure, str(path), dpi):
            for index, values in enumerate(frames):
                drawn.artist.set_array(drawn.array(values))
                head.set_text(_head(title, times, index, time_label))
                writer.grab_frame()
    finally:
        plt.close(figure)
    return path


def _head(title: str, times: Sequence[float] | None, index: int, time_label: str) -> str:
    when = "" if times is None else time_label.format(times[index])
    return ", ".join(part for part in (title, when) if part)
