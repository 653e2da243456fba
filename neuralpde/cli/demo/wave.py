"""Part 1: a long wave crosses the sea floor off Vancouver Island; what integrators do to its energy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from solvers import spectral_radius

from ...datasets import Raster, salish_raster, salish_sea
from ...datasets.raster import EARTH_RADIUS
from ...graph import Graph
from ...monitors import Hamiltonian, Monitor
from ...pdes import Wave
from ...simulate import simulate
from .part import Tick
from .travel import travel_times


@dataclass(frozen=True)
class WaveSetup:
    """What is computed.

    Args:
        centre: of the bump, degrees east and north.
        width: standard deviation of the bump, metres.
        t_end: seconds.
        dt: step, seconds.
        threshold: share of the bump's height that counts as an arrival.
        energy_t_end: seconds of the runs that measure energy.
        methods: integrators of those runs.
    """

    centre: tuple[float, float] = (-125.5, 48.3)
    width: float = 8e3
    t_end: float = 7200.0
    dt: float = 12.0
    threshold: float = 0.01
    energy_t_end: float = 3600.0
    methods: tuple[str, ...] = (
        "leapfrog",
        "symplectic_euler",
        "rk4",
        "crank_nicolson",
        "trbdf2",
        "implicit_euler",
        "euler",
    )


@dataclass(frozen=True, eq=False)
class Crossing:
    """The wave on its way.

    Args:
        sea, raster: where.
        t: seconds, `[times]`.
        u: surface height in units of the bump's, `[times, N]`.
        arrival: seconds until |u| first exceeds the threshold, `[N]`; NaN where it does not.
        travel: seconds at the speed sqrt(g h) from the edge of the bump, `[N]`; infinite where no path leads.
        limit: the largest stable step of leapfrog, seconds.
    """

    sea: Graph
    raster: Raster
    t: Tensor
    u: Tensor
    arrival: Tensor
    travel: Tensor
    limit: float

    @property
    def compared(self) -> Tensor:
        """Nodes at which arrival and travel time are compared, `[N]` bool: reached, beyond the bump, outside the sponge."""
        free = (self.travel > 0) & (self.sea.node["sponge"] == 0)
        return free & torch.isfinite(self.arrival) & torch.isfinite(self.travel)

    def agreement(self) -> tuple[float, float]:
        """Correlation of arrival and travel time, and the median of their ratio."""
        a, b = self.arrival[self.compared].numpy(), self.travel[self.compared].numpy()
        return float(np.corrcoef(a, b)[0, 1]), float(np.median(a / b))

    def with_threshold(self, threshold: float) -> Crossing:
        """The same wave, with arrivals at another share of the bump's height (travel times stay)."""
        return replace(self, arrival=first_time(self.t, self.u, threshold))

    def nearest(self, longitude: float, latitude: float) -> int:
        """The wet cell nearest to a place."""
        lonlat = self.sea.node["lonlat"].numpy()
        east = (lonlat[:, 0] - longitude) * np.cos(np.radians(latitude))
        return int(np.argmin(np.hypot(east, lonlat[:, 1] - latitude)))


@dataclass(frozen=True, eq=False)
class Energies:
    """Energy of the undamped wave by several integrators with the same step.

    Args:
        t: seconds, per method `[records]`.
        ratio: H(t) / H(0), per method `[records]`.
        rows: per method the drift and the cost.
    """

    t: dict[str, Tensor] = field(default_factory=dict)
    ratio: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)


def bump(sea: Graph, centre: tuple[float, float], width: float) -> Tensor:
    """A Gaussian hill of height 1 on the surface, `[N, 1]`; `width` is its standard deviation in metres."""
    lonlat = np.radians(sea.node["lonlat"].numpy())
    lon, lat = np.radians(centre)
    arc = np.sin((lonlat[:, 1] - lat) / 2) ** 2 + np.cos(lat) * np.cos(lonlat[:, 1]) * np.sin((lonlat[:, 0] - lon) / 2) ** 2
    distance = 2 * EARTH_RADIUS * np.arcsin(np.sqrt(arc))
    return torch.from_numpy(np.exp(-((distance / width) ** 2) / 2)).unsqueeze(1)


def cross_sea(setup: WaveSetup, tick: Tick) -> Crossing:
    """Solve `u'' + s u' = (1 / a) sum_j w_ij (u_j - u_i)` by leapfrog, every step kept."""
    sea = salish_sea()
    u0 = bump(sea, setup.centre, setup.width)
    pde = Wave(mass=sea.node["area"], damping=sea.node["sponge"])
    largest = spectral_radius(pde.on(sea, u0).stiffness, u0, sea.space)
    with torch.no_grad():
        result = simulate(
            pde, sea, u0, setup.t_end, "leapfrog", dt=setup.dt, save="steps", callbacks=[_Watch(setup.t_end, tick)]
        )
    u = result.u.squeeze(-1)
    arrival = first_time(result.t, u, setup.threshold)
    travel = travel_times(sea, u0.squeeze(1) > setup.threshold)
    return Crossing(sea, salish_raster(), result.t, u, arrival, travel, 2 / largest**0.5)


def first_time(t: Tensor, u: Tensor, threshold: float) -> Tensor:
    """When |u| first exceeds a threshold, `[N]` (linear between the saved times); NaN where it never does."""
    size = u.abs()
    above = size > threshold
    index = above.to(torch.uint8).argmax(0)
    before = (index - 1).clamp_min(0)
    node = torch.arange(u.shape[1])
    low, high = size[before, node], size[index, node]
    share = torch.where(index > 0, (threshold - low) / (high - low).clamp_min(1e-300), 0.0)
    time = t[before] + share * (t[index] - t[before])
    return torch.where(above.any(0), time, torch.nan)


def energy_drift(setup: WaveSetup, tick: Tick) -> Energies:
    """The same wave without the sponge, so that its energy is constant, by several integrators with one step."""
    sea = salish_sea(sponge_width=0.0)
    u0 = bump(sea, setup.centre, setup.width)
    pde, out = Wave(mass=sea.node["area"]), Energies()
    for i, method in enumerate(setup.methods):
        tick(i / len(setup.methods), method)
        energy = Monitor(Hamiltonian())
        with torch.no_grad():
            result = simulate(pde, sea, u0, setup.energy_t_end, method, dt=setup.dt, monitors=[energy], save="final")
        ratio = energy.values[:, 0] / energy.values[0, 0]
        out.t[method], out.ratio[method] = energy.t, ratio
        stats = result.stats
        out.rows.append(
            {
                "method": method,
                "steps": stats.steps,
                "evaluations": stats.evaluations,
                "linear_iterations": stats.linear_iterations,
                "final_ratio": float(ratio[-1]),
                "largest_deviation": float((ratio - 1).abs().max()),
                "drift": drift(ratio),
            }
        )
    return out


def drift(ratio: Tensor) -> float:
    """Mean over the last quarter of a series less the mean over its second quarter: oscillations cancel, a trend stays."""
    quarter = len(ratio) // 4
    return float(ratio[-quarter:].mean() - ratio[quarter : 2 * quarter].mean())


class _Watch:
    """A callback of the solver that tells how far it is."""

    times = None

    def __init__(self, t_end: float, tick: Tick):
        self.t_end, self.tick = t_end, tick

    def before(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def after(self, t: float, y: Tensor, dt: float) -> None:
        self.tick(t / self.t_end, f"t = {t / 60:.0f} min")
