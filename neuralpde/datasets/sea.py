"""The sea floor off Vancouver Island: long waves on real bathymetry.

Source: `topobathy.npz`, a sample file inside matplotlib: 91 x 120 elevations, 126-122 W, 48-50 N, spacing 2 minutes of
longitude (about 2.4 km), cut from the global topography of Smith and Sandwell (1997, Science 277, 1956). Licence: as
distributed with matplotlib (PSF-like). 1,897 cells have the value -1 m: they mark shores, they are not soundings.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import KDTree

from ..errors import GraphError
from ..graph import Graph
from ..graph_build import both_ways
from .raster import Raster

GRAVITY = 9.81
"""Acceleration of gravity, m/s^2."""


def salish_raster() -> Raster:
    """The elevations that `salish_sea` is cut from, land included; for maps."""
    with np.load(get_sample_data("topobathy.npz", asfileobj=False)) as file:
        topo, lon, lat = (file[key].astype(np.float64) for key in ("topo", "longitude", "latitude"))
    return Raster(topo, lon - 360.0, lat)


def salish_sea(
    min_depth: float = 5.0,
    *,
    connected: bool = False,
    sponge_width: float = 20e3,
    gravity: float = GRAVITY,
    dtype: torch.dtype = torch.float64,
) -> Graph:
    """The wet cells of the Salish Sea and the ocean before it, with the finite volumes of the long-wave equation.

    u'' + s u' = div(g h grad u), with surface height u, depth h and damping rate s, integrated over cell i:

        u_i'' + s_i u_i' = (1 / a_i) sum_j w_ij (u_j - u_i),    w_ij = g (h_i + h_j) / 2 * (face length / distance)

    Land has no nodes, so that coasts reflect. In the sponge, s = s_max (1 - d / W)^2 at distance d < W from the open
    (south-western) edge, with s_max = 3 c / W ln(100), c = sqrt(g h_max): a wave that goes in and comes back is reduced
    to a hundredth where the water is deepest, to less elsewhere.

    Args:
        min_depth: shallower cells count as land, metres. 5 leaves 2,880 cells; 0 keeps the 1,897 shore cells of 1 m too.
        connected: keep only what the open ocean reaches. With `min_depth=5` the raster closes the passages to the
            Strait of Georgia, which is then left out (2,026 nodes remain).
        sponge_width: W, metres; 0 for none.
        gravity: g, m/s^2.
        dtype: of all floating data.

    Returns:
        A graph with `weight` w in m^2/s^2, `pos` in metres, and per node: `area` a (m^2), `depth` h (m), `sponge` s (1/s),
        `lonlat` (degrees, `[N, 2]`), `cell` (row and column in `salish_raster()`, `[N, 2]`).

    Raises:
        GraphError: no wet cell is left.

    Reference: J. J. Stoker, Water Waves (1957), section 2.4 (linear long waves over a variable depth).
    """
    raster = salish_raster()
    wet = raster.elevation < (-min_depth if min_depth > 0 else 0.0)
    if connected and wet.any():
        parts = np.empty(wet.shape, dtype=np.int32)
        label(wet, output=parts)
        wet = parts == parts[0, 0]
    if not wet.any():
        raise GraphError(f"min_depth={min_depth:g} m leaves no wet cell; the deepest is {-raster.elevation.min():g} m.")
    depth = np.where(wet, -raster.elevation, 0.0)
    pairs, weight = long_wave_faces(raster, wet, depth, gravity)
    cell = np.argwhere(wet)
    pos = raster.metres()[wet]
    node = {
        "area": raster.areas()[wet],
        "depth": depth[wet],
        "sponge": _sponge(raster, wet, depth, sponge_width, gravity),
        "lonlat": np.stack([raster.longitude[cell[:, 1]], raster.latitude[cell[:, 0]]], axis=1),
    }
    tensors = {key: torch.from_numpy(value).to(dtype) for key, value in node.items()}
    return Graph.from_edges(
        both_ways(torch.from_numpy(pairs)),
        torch.from_numpy(weight).to(dtype).repeat(2),
        len(cell),
        pos=torch.from_numpy(pos).to(dtype),
        node={**tensors, "cell": torch.from_numpy(cell)},
    )


def long_wave_faces(
    raster: Raster, wet: NDArray[np.bool_], depth: NDArray[np.float64], gravity: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The faces between wet cells: pairs of nodes `[2, F]` and g h length / distance `[F]` in m^2/s^2."""
    number = np.cumsum(wet).reshape(wet.shape) - 1
    lon, lat = np.radians(raster.longitude), np.radians(raster.latitude)
    lon_faces, lat_faces = raster.faces()
    # eastern faces: a meridian arc, over an arc of the parallel; northern faces: the other way round
    east = np.outer(np.diff(lat_faces) / np.cos(lat), 1 / np.diff(lon))
    north = np.outer(np.cos(lat_faces[1:-1]) / np.diff(lat), np.diff(lon_faces))
    pairs, weights = [], []
    for here, there, ratio in (
        (np.s_[:, :-1], np.s_[:, 1:], east),
        (np.s_[:-1], np.s_[1:], north),
    ):
        face = wet[here] & wet[there]
        pairs.append(np.stack([number[here][face], number[there][face]]))
        weights.append((gravity * (depth[here] + depth[there]) / 2 * ratio)[face])
    return np.concatenate(pairs, axis=1), np.concatenate(weights)


def _sponge(
    raster: Raster, wet: NDArray[np.bool_], depth: NDArray[np.float64], width: float, gravity: float
) -> NDArray[np.float64]:
    """Damping rates `[N]` in 1/s, by the distance to the open edge: the wet run from the south-western corner."""
    rate = np.zeros(int(wet.sum()))
    if width <= 0 or not wet[0, 0]:
        return rate
    metres = raster.metres()
    open_rows = int(np.argmin(wet[:, 0])) or wet.shape[0]
    open_cols = int(np.argmin(wet[0])) or wet.shape[1]
    edge = np.concatenate([metres[:open_rows, 0], metres[0, :open_cols]])
    distance = KDTree(edge).query(metres[wet])[0]
    speed = np.sqrt(gravity * depth.max())
    largest = 3 * speed / width * np.log(100)
    return largest * np.clip(1 - distance / width, 0, None) ** 2
