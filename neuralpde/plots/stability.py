"""Eigenvalues of a field, times the step, in the stability region of a method."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from solvers import Integrator

from .amplification import Methods, amplification, labelled_methods
from .canvas import DASHES, PALETTE, add_legend, figure_of, new_axes, tidy

_GRID = 141  # points each way of an explicit region; an implicit one is continued from few steps


def stability(
    methods: Methods,
    eigenvalues: Tensor | Sequence[complex] | NDArray[np.complex128],
    dt: float,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Draw `dt s` for the eigenvalues s of a field in the complex plane, and where `|R(z)| <= 1`.

    A mode with dt s inside the region (tinted; its border is `|R| = 1`) does not grow from step to step; modes outside are
    crosses, and counted. Methods for positions and momenta have no R: of them the stretch of the imaginary axis is drawn on
    which an undamped oscillator stays bounded.

    Args:
        methods: a name or an integrator, several, or label -> method; the eigenvalues are judged by the first.
        eigenvalues: of A in `y' = A y` (`diagnosis.field_spectrum(field, state).values`), complex; those of diffusion are
            `-lambda`.
        dt: step size.
        ax: where to draw; None makes a figure.
        title: above the axes.

    Returns:
        The figure.

    Raises:
        ValueError: no eigenvalues, or a step that is not positive.
        TypeError: a multistep method, which has no R.
    """
    if not (dt > 0 and math.isfinite(dt)):
        raise ValueError(f"dt = {dt}; expected a positive step size")
    z = dt * _complex(eigenvalues)
    chosen = labelled_methods(methods)
    ax, new = new_axes(ax, (6.0, 5.2))
    window = _window(z, list(chosen.values()))
    for index, (label, method) in enumerate(chosen.items()):
        if method.needs == "partitioned":
            _stretch(ax, label, method, window, index)
        else:
            _region(ax, label, method, window, index, fill=len(chosen) == 1)
    first = next(iter(chosen))
    grows = _grows(chosen[first], z)
    for take, marker, name in ((~grows, "o", f"dt s, {first} keeps bounded"), (grows, "x", f"dt s, {first} lets grow")):
        if take.any():
            style = {"markersize": 4.5 if marker == "o" else 6.5, "color": "black" if marker == "o" else PALETTE[1]}
            ax.plot(z.real[take], z.imag[take], marker, alpha=0.75, label=f"{name}: {take.sum():,}", **style)
    ax.axhline(0, color=PALETTE[8], linewidth=0.7)
    ax.axvline(0, color=PALETTE[8], linewidth=0.7)
    ax.set_xlim(window[0], window[1])
    ax.set_ylim(-window[2], window[2])
    if 0.25 < 2 * window[2] / (window[1] - window[0]) < 4:
        ax.set_aspect("equal")
    ax.set_xlabel(f"Re z, z = dt s, dt = {dt:.4g}")
    ax.set_ylabel("Im z")
    if title:
        ax.set_title(title)
    tidy(ax)
    add_legend(ax, new)
    return figure_of(ax)


def _complex(eigenvalues: Tensor | Sequence[complex] | NDArray[np.complex128]) -> NDArray[np.complex128]:
    given = eigenvalues.detach().cpu().numpy() if isinstance(eigenvalues, Tensor) else eigenvalues
    z = np.asarray(given, dtype=np.complex128).ravel()
    if not z.size or not np.isfinite(z).all():
        raise ValueError(f"{z.size} eigenvalues, some of them not finite; expected those of a field (field_spectrum)")
    return z


def _window(z: NDArray[np.complex128], methods: list[Integrator]) -> tuple[float, float, float]:
    """Least and largest real part, and largest imaginary part: the eigenvalues, and a small explicit region whole."""
    real = [m.real_stability or 0.0 for m in methods if m.explicit and math.isfinite(m.real_stability or math.inf)]
    imaginary = [m.imaginary_stability or 0.0 for m in methods if math.isfinite(m.imaginary_stability or math.inf)]
    left = max(-float(z.real.min()), *real, 1.0)
    high = max(float(np.abs(z.imag).max()), *imaginary, 0.6 * min(left, 6.0), 1.0)
    right = max(float(z.real.max()), 0.18 * left, 0.18 * high)
    return -1.12 * left, 1.12 * right, 1.12 * high


def _region(ax: Axes, label: str, method: Integrator, window: tuple[float, float, float], index: int, *, fill: bool) -> None:
    x = np.linspace(window[0], window[1], _GRID)
    y = np.linspace(0, window[2], _GRID // 2 + 1)  # R of a real method is symmetric about the real axis
    with np.errstate(all="ignore"):
        size = np.abs(amplification(method, x[None, :] + 1j * y[:, None]))
    size = np.where(np.isfinite(size), size, 1e9)
    whole, heights = np.concatenate([size[:0:-1], size]), np.concatenate([-y[:0:-1], y])
    color, dashes = PALETTE[index % len(PALETTE)], DASHES[index // len(PALETTE) % len(DASHES)]
    if fill:
        ax.contourf(x, heights, whole, levels=[-1.0, 1.0], colors=[color], alpha=0.16)
    ax.contour(x, heights, whole, levels=[1.0], colors=[color], linestyles=[dashes], linewidths=1.7)
    ax.add_line(Line2D([], [], color=color, linestyle=dashes, linewidth=1.7, label=f"|R| = 1, {label}"))


def _stretch(ax: Axes, label: str, method: Integrator, window: tuple[float, float, float], index: int) -> None:
    limit = method.imaginary_stability or 0.0
    end = min(limit, window[2])
    color = PALETTE[index % len(PALETTE)]
    ax.plot(
        [0, 0], [-end, end], color=color, linewidth=6, alpha=0.45, solid_capstyle="butt", label=f"{label}, |Im z| <= {limit:g}"
    )


def _grows(method: Integrator, z: NDArray[np.complex128]) -> NDArray[np.bool_]:
    if method.needs == "partitioned":
        return np.abs(z) > (method.imaginary_stability or 0.0) * (1 + 1e-9)
    return np.abs(amplification(method, z if z.imag.any() else z.real)) > 1 + 1e-7
