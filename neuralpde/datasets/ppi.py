"""PPI: 24 graphs of proteins in human tissues, 121 labels of every protein at once.

Source: M. Zitnik, J. Leskovec, Predicting multicellular function through multi-layer tissue networks (2017); files of
W. Hamilton, R. Ying, J. Leskovec, Inductive representation learning on large graphs (2017), divided 20 / 2 / 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import GraphError
from ..graph_build import both_directions
from .graph_list import GraphList, GraphSets
from .raw_files import RawFiles

_SETS = ("train", "valid", "test")

PPI = RawFiles(
    "ppi",
    "PPI",
    ("PPI/raw", "raw"),
    tuple(f"{name}_{part}" for name in _SETS for part in ("graph.json", "graph_id.npy", "feats.npy", "labels.npy")),
    "With a network, torch_geometric.datasets.PPI(root='DIR/PPI') fetches them.",
)


def read_ppi(folder: Path) -> GraphSets:
    """The graphs with their labels, of the nodes, in three sets.

    Raises:
        GraphError: the files do not belong together.
    """
    train, val, test = (_read(folder, name) for name in _SETS)
    return GraphSets.of_parts(train, val, test, train.y.size(1))


def _read(folder: Path, name: str) -> GraphList:
    try:
        x, y, which = (np.load(folder / f"{name}_{part}.npy", allow_pickle=False) for part in ("feats", "labels", "graph_id"))
        with (folder / f"{name}_graph.json").open(encoding="utf-8") as file:
            content = json.load(file)
        links = _links(content, len(x))
    except (ValueError, KeyError, TypeError) as error:
        raise GraphError(f"the files {name}_* in {folder} cannot be read as PPI's: {error}") from error
    if not len(x) == len(y) == len(which):
        raise GraphError(f"{name}: {len(x)} rows of features, {len(y)} of labels and {len(which)} graph numbers do not agree")
    graph = torch.from_numpy(which.astype(np.int64))
    source, target = links
    links = links[:, (graph[source] == graph[target]) & (source != target)]
    items = []
    for g in torch.unique(graph).tolist():
        inside = graph == g
        local = inside.cumsum(0) - 1
        items.append(
            {
                "x": torch.from_numpy(x)[inside].float(),
                "y": torch.from_numpy(y)[inside].float(),
                "edge_index": local[links[:, graph[links[0]] == g]],
            }
        )
    return GraphList.of(items)


def _links(content: Mapping[str, Any], count: int) -> Tensor:
    """Edges `[2, E]` between rows, each once; those of an undirected graph in both directions."""
    row = {node["id"]: i for i, node in enumerate(content["nodes"])}
    if len(row) != count:
        raise ValueError(f"{len(row)} nodes for {count} rows of features")
    pairs = [(row[link["source"]], row[link["target"]]) for link in content["links"]]
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    return torch.unique(edges, dim=1) if content.get("directed") else both_directions(edges, count)
