"""ogbn-arxiv: papers of computer science and their citations, 40 subjects, divided by time.

    train: up to 2017, validation: 2018, test: from 2019

Source: W. Hu, M. Fey, M. Zitnik, Y. Dong, H. Ren, B. Liu, M. Catasta, J. Leskovec, Open Graph Benchmark: datasets for machine
learning on graphs (2020). The raw files are OGB's: lines of numbers, compressed by gzip.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import GraphError
from ..graph_build import both_directions
from .raw_files import RawFiles, cached

if TYPE_CHECKING:
    from torch_geometric.data import Data

_TABLES = ("edge", "node-feat", "node-label", "node_year")
_SETS = {"train_mask": "train", "val_mask": "valid", "test_mask": "test"}

ARXIV = RawFiles(
    "ogbn-arxiv",
    "ogbn-arxiv",
    ("ogbn_arxiv", "OGB/ogbn_arxiv"),
    (*(f"raw/{name}.csv.gz" for name in _TABLES), *(f"split/time/{name}.csv.gz" for name in _SETS.values())),
    "With a network, the package ogb fetches them: NodePropPredDataset('ogbn-arxiv', root=...).",
)


def read_arxiv(folder: Path, cache: Path) -> Data:
    """The graph, made undirected, with `x`, `y`, `year` and the masks of the division by time.

    Args:
        folder: with `raw` and `split/time`.
        cache: where what was read is kept.

    Raises:
        GraphError: the files do not belong together.
    """
    from torch_geometric.data import Data

    made = cached(cache, ARXIV.name, [folder / file for file in ARXIV.files], lambda: _tensors(folder))
    return Data(**made)


def _tensors(folder: Path) -> dict[str, Tensor]:
    edge, year = (_whole(folder / "raw" / f"{name}.csv.gz") for name in ("edge", "node_year"))
    y = _whole(folder / "raw" / "node-label.csv.gz").reshape(-1)
    x = _numbers(folder / "raw" / "node-feat.csv.gz", np.float32)
    count = x.size(0)
    if edge.size(1) != 2 or not (y.numel() == year.numel() == count) or (edge.numel() and int(edge.max()) >= count):
        raise GraphError(
            f"{folder / 'raw'} has {count} rows of features, {y.numel()} labels, {year.numel()} years and edges "
            f"{tuple(edge.shape)} up to node {int(edge.max()) if edge.numel() else -1}; they do not belong together"
        )
    made = {"x": x, "edge_index": both_directions(edge.t(), count), "y": y, "year": year.reshape(-1)}
    for mask, name in _SETS.items():
        made[mask] = torch.zeros(count, dtype=torch.bool)
        made[mask][_whole(folder / "split" / "time" / f"{name}.csv.gz").reshape(-1)] = True
    return made


def _whole(path: Path) -> Tensor:
    return _numbers(path, np.int64)


def _numbers(path: Path, dtype: type) -> Tensor:
    """A table without a header, `[rows, columns]`."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            return torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=dtype, ndmin=2))
    except (ValueError, OSError, EOFError) as error:
        raise GraphError(f"{path.name} cannot be read as a gzipped table of numbers: {error}") from error
