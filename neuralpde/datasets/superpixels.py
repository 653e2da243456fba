"""MNIST as superpixels: 70,000 handwritten digits as graphs of 75 superpixels.

Source: F. Monti, D. Boscaini, J. Masci, E. Rodola, J. Svoboda, M. Bronstein, Geometric deep learning on graphs and manifolds
using mixture model CNNs (2017). The raw file is PyTorch Geometric's.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import GraphError
from .graph_list import GraphList, GraphSets
from .raw_files import RawFiles

SUPERPIXELS = RawFiles(
    "mnist-superpixels",
    "MNIST superpixels",
    ("MNISTSuperpixels/raw", "raw"),
    ("MNISTSuperpixels.pt",),
    "With a network, torch_geometric.datasets.MNISTSuperpixels(root='DIR/MNISTSuperpixels') fetches it.",
)
VALIDATION = 1 / 12
"""Share of the training images that validates: 5,000 of 60,000."""


def read_superpixels(folder: Path, seed: int = 0) -> GraphSets:
    """The digits: grey values as `x`, places as `pos`; a twelfth of the training images, drawn by the seed, validates.

    Raises:
        GraphError: the file cannot be read.
    """
    path = folder / SUPERPIXELS.files[0]
    try:
        first, second = torch.load(path, map_location="cpu", weights_only=True)
        train, test = _images(first), _images(second)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GraphError(f"{path.name} cannot be read as MNIST's superpixels: {str(error).splitlines()[0]}") from error
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held = max(1, round(VALIDATION * len(train)))
    return GraphSets.of_parts(train.select(order[held:].sort().values), train.select(order[:held].sort().values), test, 10)


def _images(items: Iterable[Mapping[str, Tensor]]) -> GraphList:
    """Edges as 16-bit integers: there are a hundred million of them."""
    return GraphList.of(
        {"x": i["x"].float(), "edge_index": i["edge_index"].to(torch.int16), "y": i["y"].reshape(1), "pos": i["pos"].float()}
        for i in items
    )
