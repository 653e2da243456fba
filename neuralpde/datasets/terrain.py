"""The terrain at the Jacksboro fault, Tennessee: heat, erosion and smoothing on a graph of 138,632 nodes.

Source: `jacksboro_fault_dem.npz`, a sample file inside matplotlib: 344 x 403 elevations in metres, 3 arc seconds apart,
36.45-36.73 N, 84.08-84.41 W, from the USGS National Elevation Dataset. Licence: public domain (USGS), distributed with
matplotlib.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from matplotlib.cbook import get_sample_data

from ..errors import GraphError
from ..graph import Graph
from .raster import Raster


def jacksboro_raster(crop: tuple[int, int] | None = None) -> Raster:
    """The elevations in metres, rows from south to north; `crop=(rows, cols)` keeps the south-western corner."""
    with np.load(get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)) as file:
        elevation = file["elevation"][::-1].astype(np.float64)  # stored from north to south
        step_x, step_y = float(file["dx"]), float(file["dy"])
        west, south = float(file["xmin"]), float(min(file["ymin"], file["ymax"]))
    rows, cols = elevation.shape
    raster = Raster(elevation, west + step_x * np.arange(cols), south + step_y * np.arange(rows))
    if crop is None:
        return raster
    if not (1 <= crop[0] <= rows and 1 <= crop[1] <= cols):
        raise GraphError(f"crop={crop}: expected (rows, cols) between (1, 1) and ({rows}, {cols}).")
    return raster.crop(*crop)


def jacksboro(crop: tuple[int, int] | None = None, *, dtype: torch.dtype = torch.float64) -> Graph:
    """The terrain as a grid graph: each cell joined to its four neighbours with weight 1.

    With these weights time is measured in (cell width)^2 / diffusivity; lambda_max of the Laplacian is below 8.

    Args:
        crop: `(rows, cols)` of the south-western corner; None for all 344 x 403.
        dtype: of all floating data.

    Returns:
        A graph with `pos` in metres and, per node, `elevation` (m), `cell` (row and column in `jacksboro_raster(crop)`).

    Raises:
        GraphError: the crop is larger than the terrain.
    """
    raster = jacksboro_raster(crop)
    rows, cols = raster.shape
    cell = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij"), dim=-1)
    node = {"elevation": torch.from_numpy(raster.elevation.ravel()).to(dtype), "cell": cell.reshape(-1, 2)}
    pos = torch.from_numpy(raster.metres().reshape(-1, 2)).to(dtype)
    return replace(Graph.grid(rows, cols), pos=pos, node=node)
