"""The published benchmark graphs: where their raw files are, and what they should hold once loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """One benchmark graph, as a PyG dataset class reads it.

    Args:
        name: what `load` calls it.
        family: the PyG class, which is also the folder under the data root.
        pyg_name: the class's `name` argument; empty for none.
        folder: folder of the graph under the family's, down to the one that holds `raw`.
        files: names of the raw files.
        nodes, edges, features, classes: as published; edges as stored (both directions where undirected).
        splits: what comes with it: `public`, `ten` (ten splits), both, or neither.
        source: authors and year.
    """

    name: str
    family: str
    pyg_name: str
    folder: str
    files: tuple[str, ...]
    nodes: int
    edges: int
    features: int
    classes: int
    splits: tuple[str, ...]
    source: str

    def raw_files(self, ten: bool = False) -> tuple[str, ...]:
        """The raw files; with `ten` those of Planetoid's ten splits too."""
        if self.family == "Planetoid" and ten:
            return self.files + _ten(self.pyg_name.lower())
        return self.files

    def raw_folder(self, ten: bool = False) -> Path:
        """The raw folder, relative to the folder that PyG calls root."""
        middle = "geom-gcn" if self.family == "Planetoid" and ten else ""
        return Path(self.folder, middle, "raw")


Statistics = tuple[int, int, int, int]
"""Nodes, edges, features, classes."""


def _ten(stem: str) -> tuple[str, ...]:
    return tuple(f"{stem}_split_0.6_0.2_{i}.npz" for i in range(10))


def _planetoid(name: str, statistics: Statistics) -> Published:
    parts = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
    files = tuple(f"ind.{name.lower()}.{part}" for part in parts)
    return Published(
        name.lower(), "Planetoid", name, name, files, *statistics, ("public", "ten"), "Yang, Cohen, Salakhutdinov 2016"
    )


def _geom_gcn(name: str, family: str, statistics: Statistics, stem: str = "", inner: str = "") -> Published:
    files = ("out1_node_feature_label.txt", "out1_graph_edges.txt", *_ten(stem or name))
    pyg_name = "" if family == "Actor" else name
    return Published(name, family, pyg_name, str(Path(pyg_name, inner)), files, *statistics, ("ten",), "Pei et al. 2020")


def _shchur(name: str, family: str, pyg_name: str, file: str, statistics: Statistics) -> Published:
    return Published(name, family, pyg_name, pyg_name, (file,), *statistics, (), "Shchur et al. 2018")


def _full(name: str, pyg_name: str, statistics: Statistics) -> Published:
    folder = pyg_name.lower()
    return Published(name, "CitationFull", pyg_name, folder, (f"{folder}.npz",), *statistics, (), "Bojchevski, Günnemann 2018")


def _heterophilous(pyg_name: str, statistics: Statistics) -> Published:
    name = pyg_name.lower()
    family = "HeterophilousGraphDataset"
    return Published(name, family, pyg_name, name, (f"{name}.npz",), *statistics, ("ten",), "Platonov et al. 2023")


PUBLISHED: dict[str, Published] = {
    entry.name: entry
    for entry in (
        _planetoid("Cora", (2_708, 10_556, 1_433, 7)),
        _planetoid("CiteSeer", (3_327, 9_104, 3_703, 6)),
        _planetoid("PubMed", (19_717, 88_648, 500, 3)),
        _geom_gcn("texas", "WebKB", (183, 325, 1_703, 5)),
        _geom_gcn("wisconsin", "WebKB", (251, 515, 1_703, 5)),
        _geom_gcn("cornell", "WebKB", (183, 298, 1_703, 5)),
        _geom_gcn("chameleon", "WikipediaNetwork", (2_277, 36_101, 2_325, 5), inner="geom_gcn"),
        _geom_gcn("squirrel", "WikipediaNetwork", (5_201, 217_073, 2_089, 5), inner="geom_gcn"),
        _geom_gcn("actor", "Actor", (7_600, 30_019, 932, 5), stem="film"),
        _shchur("computers", "Amazon", "Computers", "amazon_electronics_computers.npz", (13_752, 491_722, 767, 10)),
        _shchur("photo", "Amazon", "Photo", "amazon_electronics_photo.npz", (7_650, 238_162, 745, 8)),
        _shchur("cs", "Coauthor", "CS", "ms_academic_cs.npz", (18_333, 163_788, 6_805, 15)),
        _shchur("physics", "Coauthor", "Physics", "ms_academic_phy.npz", (34_493, 495_924, 8_415, 5)),
        _full("cora-ml", "Cora_ML", (2_995, 16_316, 2_879, 7)),
        _full("citeseer-full", "CiteSeer", (4_230, 10_674, 602, 6)),
        _full("dblp", "DBLP", (17_716, 105_734, 1_639, 4)),
        _heterophilous("Minesweeper", (10_000, 78_804, 7, 2)),
        _heterophilous("Tolokers", (11_758, 1_038_000, 10, 2)),
    )
}
"""Every published graph that `load` knows, by name."""

ALIASES = {
    "film": "actor",
    "amazon-computers": "computers",
    "amazon-photo": "photo",
    "coauthor-cs": "cs",
    "coauthor-physics": "physics",
}


def find_raw(entry: Published, root: str | os.PathLike[str], ten: bool = False) -> Path | None:
    """The raw folder under `root` that has all files, or None; `root` may be the data root or the family's folder."""
    for base in (Path(root, entry.family), Path(root)):
        folder = base / entry.raw_folder(ten)
        if all((folder / file).is_file() for file in entry.raw_files(ten)):
            return folder
    return None
