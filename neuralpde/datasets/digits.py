"""Handwritten digits: 1,797 images of 8 x 8 pixels, as one graph of images or as 1,797 grids of pixels.

Source: E. Alpaydin and C. Kaynak (1998), Optical recognition of handwritten digits, UCI machine learning repository
(CC BY 4.0), the test part; as in scikit-learn (BSD-3). Pixels are divided by 16, so that they lie in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..graph import Graph
from .splits import class_split

if TYPE_CHECKING:
    from torch_geometric.data import Data


@cache
def _images() -> tuple[Tensor, Tensor]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the digits come with scikit-learn, which is not installed: pip install 'neuralpde-graph[data]'."
        ) from error
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(np.asarray(images) / 16.0), torch.from_numpy(np.asarray(labels)).to(torch.int64)


def digits_graph(k: int = 8) -> Graph:
    """The images as nodes, each joined to its k nearest (Euclidean, made undirected); `node` has `x` and `y`.

    Nearest neighbours are found in float64; `x` is `[1797, 64]` in the default dtype.
    """
    images, y = _images()
    graph = Graph.knn(images, k)
    return replace(graph, pos=None, node={"x": images.to(torch.get_default_dtype()), "y": y.clone()})


def digits_knn(k: int = 8, labels_per_class: int = 20, val_per_class: int = 30, seed: int = 0) -> Data:
    """The images as a semi-supervised task on their k-nearest-neighbour graph.

    Args:
        k: neighbours.
        labels_per_class, val_per_class: training and validation nodes of each of the ten digits; the rest tests.
        seed: of the split.

    Returns:
        A PyG `Data` with `x` `[1797, 64]`, `y`, `train_mask`, `val_mask`, `test_mask`.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: more labels per class than there are images of it (174).
    """
    graph = digits_graph(k)
    train, val, test = class_split(graph.node["y"], labels_per_class, val_per_class, seed)
    return graph.with_node(train_mask=train, val_mask=val, test_mask=test).to_data()


@dataclass(frozen=True, eq=False)
class DigitGrids:
    """All images on one grid graph: a classification task of whole graphs.

    Args:
        graph: the grid, 64 nodes, that all images share.
        x: pixels, `[1797, 64, 1]`, in [0, 1]; pixel (r, c) is node 8 r + c.
        y: the digits, `[1797]`.
        blocks: block-diagonal graphs made so far, by the number of images; leave it alone.
    """

    graph: Graph
    x: Tensor
    y: Tensor
    blocks: dict[int, Graph] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.y.numel()

    def batch(self, index: Tensor | slice) -> Graph:
        """Some of the images as one block-diagonal graph of B * 64 nodes, with `node["x"]` `[B * 64, 1]`.

        Batches of the same size share their edges and sorted patterns. The labels are `y[index]`.
        """
        x = self.x[index]
        count = x.size(0)
        if count not in self.blocks:
            self.blocks[count] = self.graph.repeat(count)
        return replace(self.blocks[count], node={"x": x.reshape(-1, x.size(-1))})

    def targets(self, index: Tensor | slice) -> Tensor:
        """The digits in some of the images."""
        return self.y[index]

    def data(self, index: Tensor | slice) -> Data:
        """The same as a PyG `Data` with `x`, `edge_index`, `batch` and one `y` per image."""
        data = self.batch(index).to_data()
        data.y = self.y[index]
        return data

    def split(self, train: float = 0.7, val: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Draw disjoint sets of images: indices for training, validation and testing (the rest)."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        first, second = round(train * len(self)), round((train + val) * len(self))
        return order[:first], order[first:second], order[second:]


def digits_grids() -> DigitGrids:
    """The 1,797 images as grid graphs of 8 x 8 pixels, in the default dtype.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    images, y = _images()
    return DigitGrids(Graph.grid(8, 8), images.to(torch.get_default_dtype()).unsqueeze(-1), y.clone())
