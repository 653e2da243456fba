"""Phase portraits: momentum against position, of nodes or of modes, with the levels of the energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from solvers import LinearOperator

from .canvas import add_legend, figure_of, look, new_axes, numbers, tidy

_MOST = 3000  # unknowns of a dense eigenvalue problem
_MOST_LINES = 12


def phase(
    y: Tensor,
    ax: Axes | None = None,
    *,
    nodes: Sequence[int] = (0,),
    modes: Sequence[int] | int | None = None,
    stiffness: LinearOperator | None = None,
    channel: int = 0,
    title: str | None = None,
) -> Figure:
    """Draw trajectories (q, p) of nodes, or of modes with the ellipses `p^2 + lambda q^2 = constant` that they start on.

    A dot is the start. An undamped mode of `q'' = -K q` stays on its ellipse (dashed), a damped one spirals inwards, one
    that an integrator lets grow spirals outwards; nodes mix all modes.

    Args:
        y: states of a second-order equation, `[times, 2, N, channels]` (`simulate(...).solution.y`).
        ax: where to draw; None makes a figure.
        nodes: which nodes (not with `modes`).
        modes: which eigenvectors of the stiffness instead, 0 for the smallest eigenvalue; or how many, the slowest
            that swing.
        stiffness: K, symmetric (`field.stiffness`), up to 3,000 nodes; only with `modes`.
        channel: which channel.
        title: above the axes.

    Returns:
        The figure.

    Raises:
        ValueError: states without momenta, nodes, modes or channels that are not there, modes without a stiffness.
    """
    if y.dim() != 4 or y.shape[1] != 2:
        raise ValueError(
            f"y has shape {tuple(y.shape)}; expected (times, 2, N, channels), positions and momenta: "
            "simulate(...).solution.y of a second-order equation such as Wave or GraphCON (not .u)"
        )
    if not -y.shape[3] <= channel < y.shape[3]:
        raise ValueError(f"channel = {channel}; the states have {y.shape[3]}")
    q, p = (numbers(y[:, part, :, channel]) for part in (0, 1))
    values, chosen, kind = None, list(nodes), "node"
    if modes is not None:
        if stiffness is None:
            raise ValueError("modes needs stiffness, the operator that they are eigenvectors of: stiffness=sim.field.stiffness")
        values, vectors = _modes(stiffness, q.shape[1])
        q, p = q @ vectors, p @ vectors
        chosen, kind = _slowest(values, modes) if isinstance(modes, int) else list(modes), "mode"
    wrong = [k for k in chosen if not 0 <= k < q.shape[1]]
    if wrong or not 0 < len(chosen) <= _MOST_LINES:
        given = nodes if modes is None else modes
        raise ValueError(f"{kind}s = {given}; expected 1 to {_MOST_LINES} of 0 ... {q.shape[1] - 1}")
    ax, new = new_axes(ax, (5.4, 5.0))
    for index, k in enumerate(chosen):
        color = look(index)["color"]
        label = f"node {k}" if values is None else f"mode {k}, eigenvalue {values[k]:.4g}"
        ax.plot(q[:, k], p[:, k], color=color, linewidth=1.3, label=label)
        ax.plot(q[:1, k], p[:1, k], "o", color=color, markersize=6)
        if values is not None:
            _level(ax, float(q[0, k]), float(p[0, k]), float(values[k]), color, index == 0)
    ax.set_xlabel("position q" if values is None else "position q of the mode")
    ax.set_ylabel("momentum p" if values is None else "momentum p of the mode")
    if title:
        ax.set_title(title)
    tidy(ax)
    add_legend(ax, new)
    return figure_of(ax)


def _modes(stiffness: LinearOperator, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if stiffness.shape[0] != nodes or not stiffness.symmetric:
        raise ValueError(
            f"stiffness is {stiffness.shape[0]} x {stiffness.shape[1]}{'' if stiffness.symmetric else ' and not symmetric'}; "
            f"expected a symmetric {nodes} x {nodes} operator, field.stiffness"
        )
    if nodes > _MOST:
        raise ValueError(f"{nodes:,} nodes; modes are computed up to {_MOST:,}: draw nodes=[...] instead")
    with torch.no_grad():
        values, vectors = torch.linalg.eigh(stiffness.to_dense().double())
    return numbers(values), numbers(vectors)


def _slowest(values: NDArray[np.float64], count: int) -> list[int]:
    """The first modes above eigenvalue 0, which does not swing."""
    still = int((values <= 1e-9 * values[-1]).sum())
    return list(range(still, min(still + count, len(values)))) if still < len(values) else [0]


def _level(ax: Axes, q: float, p: float, eigenvalue: float, color: str, first: bool) -> None:
    """The curve on which `p^2 + lambda q^2` is what it is at the start; for lambda = 0 that is a line."""
    if eigenvalue <= 1e-12:
        return
    radius = np.hypot(p, np.sqrt(eigenvalue) * q)
    angle = np.linspace(0, 2 * np.pi, 181)
    label = "energy at the start" if first else "_"
    style = {"color": color, "linestyle": "--", "linewidth": 0.9, "label": label}
    ax.plot(radius * np.cos(angle) / np.sqrt(eigenvalue), radius * np.sin(angle), **style)
