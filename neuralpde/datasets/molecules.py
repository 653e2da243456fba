"""ZINC-12k: 12,000 molecules and a number for each, the constrained solubility logP - SA - cycles.

Source: V. Dwivedi, C. Joshi, A. Luu, T. Laurent, Y. Bengio, X. Bresson, Benchmarking graph neural networks (2020):
10,000 / 1,000 / 1,000 of the 250,000 molecules. Atoms are numbers; kinds of bonds are left out, as by GraphCON.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import GraphError
from .graph_list import GraphList, GraphSets
from .raw_files import RawFiles, cached, read_pickle

_SETS = ("train", "val", "test")

ZINC = RawFiles(
    "zinc",
    "ZINC-12k",
    ("ZINC/raw", "raw"),
    tuple(f"{name}.{kind}" for name in _SETS for kind in ("pickle", "index")),
    "With a network, torch_geometric.datasets.ZINC(root='DIR/ZINC', subset=True) fetches them.",
)


def read_zinc(folder: Path, cache: Path) -> GraphSets:
    """The molecules with atom numbers as their only feature, in three sets.

    Args:
        folder: with a pickle of all molecules and an index of those that belong, for each set.
        cache: where what was read is kept.

    Raises:
        GraphError: a file cannot be read.
    """
    paths = [folder / file for file in ZINC.files]
    made = cached(cache, ZINC.name, paths, lambda: _tensors(folder))
    parts = [
        GraphList(*(made[f"{name} {part}"] for part in ("x", "edge_index", "nodes", "edges", "y")))  # type: ignore[arg-type]
        for name in _SETS
    ]
    return GraphSets.of_parts(parts[0], parts[1], parts[2], 1)


def _tensors(folder: Path) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for name in _SETS:
        content = read_pickle(folder / f"{name}.pickle")
        try:
            chosen = [int(number) for number in (folder / f"{name}.index").read_text().strip().split(",")]
            part = GraphList.of([_molecule(content[i]) for i in chosen])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise GraphError(f"{name}.pickle and {name}.index cannot be read as ZINC's: {error!r}") from error
        for field in ("x", "edge_index", "nodes", "edges", "y"):
            made[f"{name} {field}"] = getattr(part, field)
    return made


def _molecule(content: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        "x": content["atom_type"].reshape(-1, 1).float(),
        "edge_index": content["bond_type"].nonzero().t().to(torch.int16),
        "y": content["logP_SA_cycle_normalized"].reshape(1).float(),
    }
