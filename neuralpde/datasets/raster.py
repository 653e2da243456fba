"""A raster of the Earth's surface: elevations on a longitude-latitude grid, with the cell geometry on a sphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

EARTH_RADIUS = 6_371_008.8
"""Mean radius (2a + b) / 3 of the WGS 84 ellipsoid, in metres."""


@dataclass(frozen=True, eq=False)
class Raster:
    """Elevations on a longitude-latitude grid; row r, column c is the cell around (longitude[c], latitude[r]).

    Args:
        elevation: metres above sea level, `[R, C]`; negative under water.
        longitude: degrees east, `[C]`, increasing.
        latitude: degrees north, `[R]`, increasing.
    """

    elevation: NDArray[np.float64]
    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.elevation.shape
        return rows, cols

    def paint(self, values: Tensor, cell: Tensor, fill: float = float("nan")) -> NDArray[np.float64]:
        """Lay node values on the raster, to be drawn with `imshow(..., origin="lower")`.

        Args:
            values: one number per node, `[N]` or `[N, 1]`.
            cell: row and column of each node, `[N, 2]` (`graph.node["cell"]`).
            fill: what cells without a node get.

        Returns:
            `[R, C]`.
        """
        picture = np.full(self.shape, fill)
        rows, cols = cell.cpu().numpy().T
        picture[rows, cols] = values.detach().reshape(-1).cpu().numpy()
        return picture

    def crop(self, rows: int | None, cols: int | None) -> Raster:
        """The first `rows` rows and `cols` columns (the south-western corner)."""
        return Raster(self.elevation[:rows, :cols], self.longitude[:cols], self.latitude[:rows])

    def faces(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes `[C + 1]` and latitudes `[R + 1]` of the cell faces, in radians, midway between the centres."""
        return _between(np.radians(self.longitude)), _between(np.radians(self.latitude))

    def areas(self) -> NDArray[np.float64]:
        """Cell areas on the sphere, `[R, C]` in m^2: R^2 dlon (sin lat_north - sin lat_south)."""
        lon, lat = self.faces()
        return EARTH_RADIUS**2 * np.outer(np.diff(np.sin(lat)), np.diff(lon))

    def metres(self) -> NDArray[np.float64]:
        """Positions of the cells `[R, C, 2]` in metres east and north of the south-western cell.

        Equirectangular projection about the middle latitude; for drawing, not for the fluxes.
        """
        middle = np.radians(self.latitude).mean()
        x = EARTH_RADIUS * np.cos(middle) * np.radians(self.longitude - self.longitude[0])
        y = EARTH_RADIUS * np.radians(self.latitude - self.latitude[0])
        return np.stack(np.meshgrid(x, y), axis=-1)


def _between(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = (centres[:-1] + centres[1:]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
