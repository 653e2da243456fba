"""Graphs from files: `.pt` (PyG Data), `.npz` (scipy or arrays), `.csv` (edge list), `.graphml`."""

from __future__ import annotations

import csv
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse as sp
import torch

from ..errors import GraphError
from ..graph import Graph


def read_graph(path: str | Path) -> Graph:
    """Read a graph from a file; edges are as the file has them (`.to_undirected()` adds reverses).

    - `.pt`: a PyG `Data`, or a dictionary with `edge_index` and perhaps `edge_weight`, `num_nodes`, `pos`, `x`; read with
      `torch.load(weights_only=True)`, so that no code in the file runs.
    - `.npz`: a scipy sparse adjacency, or arrays `edge_index`, and perhaps `edge_weight`, `num_nodes`, `pos`.
    - `.csv`: lines `source,target[,weight]`, with or without a header; numbers, or names (numbered as they appear).
    - `.graphml`: through networkx.

    Raises:
        FileNotFoundError: there is no such file.
        GraphError: another kind of file, or its content is not a graph.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise GraphError(f"{path.name!r} is not a kind of file that is read: expected {', '.join(READERS)}.")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}.")
    return reader(path)


def _read_pt(path: Path) -> Graph:
    from torch_geometric.data import Data
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    try:
        with torch.serialization.safe_globals([Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise GraphError(
            f"{path.name} holds more than tensors and a PyG Data, and loading it could run code. "
            "If you trust it: data = torch.load(path, weights_only=False), then Graph.from_data(data)."
        ) from error
    if isinstance(content, Data):
        return Graph.from_data(content)
    if isinstance(content, dict) and "edge_index" in content:
        return _from_arrays(content)
    raise GraphError(f"{path.name} holds a {type(content).__name__}; expected a PyG Data or a dict with edge_index.")


def _read_npz(path: Path) -> Graph:
    try:
        with np.load(path, allow_pickle=False) as file:
            keys = set(file.files)
            if "edge_index" in keys:
                wanted = keys & {"edge_index", "edge_weight", "num_nodes", "pos"}
                return _from_arrays({key: file[key] for key in wanted})
        if {"format", "shape", "data"} <= keys:
            return Graph.from_scipy(sp.load_npz(path))
    except (ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"{path.name} could not be read: {error}") from error
    raise GraphError(
        f"{path.name} has the arrays {', '.join(sorted(keys))}; expected a matrix saved with scipy.sparse.save_npz, or "
        "an array edge_index."
    )


def _from_arrays(content: dict[str, Any]) -> Graph:
    def tensor(key: str) -> torch.Tensor | None:
        value = content.get(key)
        if value is None:
            return None
        value = torch.as_tensor(value)
        return value if value.is_floating_point() else value.to(torch.get_default_dtype())

    pos, x = tensor("pos"), content.get("x")
    count = content.get("num_nodes")
    if count is None and torch.is_tensor(x):
        count = x.size(0)
    return Graph.from_edges(
        content["edge_index"],
        tensor("edge_weight"),
        None if count is None else int(count),
        pos=pos,
        node={"x": x} if torch.is_tensor(x) else None,
    )


def _read_csv(path: Path) -> Graph:
    rows = list(_csv_rows(path))
    if rows and not _is_number(rows[0][1][-1]) and (len(rows) == 1 or _is_number(rows[1][1][-1])):
        rows = rows[1:]  # a header over numbers
    elif rows and [cell.lower() for cell in rows[0][1][:2]] in HEADERS:
        rows = rows[1:]
    widths = {len(cells) for _, cells in rows}
    if not rows or len(widths) > 1 or not widths <= {2, 3}:
        line = next((line for line, cells in rows if len(cells) != len(rows[0][1]) or len(cells) not in (2, 3)), 1)
        raise GraphError(f"{path.name}, line {line}: expected source,target or source,target,weight on every line.")
    ends = [cells[:2] for _, cells in rows]
    if all(cell.isdigit() for pair in ends for cell in pair):
        index = [[int(a) for a, _ in ends], [int(b) for _, b in ends]]
    else:
        number = {name: i for i, name in enumerate(dict.fromkeys(cell for pair in ends for cell in pair))}
        index = [[number[a] for a, _ in ends], [number[b] for _, b in ends]]
    if widths == {2}:
        return Graph.from_edges(index)
    bad = next((line for line, cells in rows if not _is_number(cells[2])), None)
    if bad is not None:
        raise GraphError(f"{path.name}, line {bad}: the weight (third column) is not a number.")
    return Graph.from_edges(index, torch.tensor([float(cells[2]) for _, cells in rows]))


HEADERS = (["source", "target"], ["src", "dst"], ["from", "to"], ["u", "v"])


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line, row in enumerate(csv.reader(file), start=1):
            cells = [cell.strip() for cell in row]
            if any(cells) and not cells[0].startswith("#"):
                yield line, cells


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_graphml(path: Path) -> Graph:
    try:
        return Graph.from_networkx(nx.read_graphml(path))
    except (nx.NetworkXError, SyntaxError) as error:  # SyntaxError: not well-formed XML
        raise GraphError(f"{path.name} could not be read as GraphML: {error}") from error


READERS: dict[str, Callable[[Path], Graph]] = {
    ".pt": _read_pt,
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".graphml": _read_graphml,
}
"""How each kind of file is read, by suffix."""
