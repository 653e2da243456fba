"""Many labelled graphs by name, from raw files that are already there, without network."""

from __future__ import annotations

import os

from solvers import unknown

from .graph_list import GraphSets
from .loading import cache_folder
from .molecules import ZINC, read_zinc
from .ppi import PPI, read_ppi
from .raw_files import RawFiles
from .superpixels import SUPERPIXELS, read_superpixels

GRAPH_SETS: dict[str, RawFiles] = {files.name: files for files in (ZINC, SUPERPIXELS, PPI)}
"""What `load_graphs` knows, by name."""


def load_graphs(name: str, root: str | os.PathLike[str] | None = None, *, seed: int = 0) -> GraphSets:
    """Load labelled graphs in three sets; never touches the network and writes nothing under `root`.

    Args:
        name: `zinc` (a number for each molecule), `mnist-superpixels` (a class for each image) or `ppi` (labels of every
            node).
        root: folder with the raw files, in the layout of PyG's classes: `root/ZINC/raw/...`, `root/MNISTSuperpixels/raw/...`,
            `root/PPI/raw/...`; None takes the environment variable NEURALPDE_DATA.
        seed: of what is drawn: the images that validate.

    Raises:
        DataMissing: the raw files are not there; says which.
        UnknownName: naming the nearest names.
        GraphError: a file is not what it should be.
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    if key not in GRAPH_SETS:
        raise unknown("graph data set", name, GRAPH_SETS)
    folder = GRAPH_SETS[key].locate(root)
    if key == ZINC.name:
        return read_zinc(folder, cache_folder())
    return read_ppi(folder) if key == PPI.name else read_superpixels(folder, seed)
