"""Graphs by name, as on the command line: `karate`, `sea:salish`, `grid:64x64`, `cora`, `edges.csv`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from solvers import unknown

from ..errors import GraphError
from ..graph import Graph
from .arxiv import ARXIV
from .digits import digits_graph
from .files import READERS, read_graph
from .loading import load
from .published import ALIASES, PUBLISHED
from .sea import salish_sea
from .social import karate_graph
from .terrain import jacksboro

NAMED: dict[str, Callable[[], Graph]] = {
    "karate": karate_graph,
    "digits": digits_graph,
    "sea:salish": salish_sea,
    "terrain:jacksboro": jacksboro,
}
"""Graphs without a size."""

SIZED: dict[str, tuple[str, int, Callable[..., Graph]]] = {
    "grid": ("grid:64x64", 2, Graph.grid),
    "torus": ("torus:64x64", 2, lambda rows, cols: Graph.grid(rows, cols, periodic=True)),
    "ring": ("ring:100", 1, Graph.ring),
    "path": ("path:50", 1, Graph.path),
    "complete": ("complete:20", 1, Graph.complete),
    "terrain:jacksboro": ("terrain:jacksboro:100x100", 2, lambda rows, cols: jacksboro((rows, cols))),
    "digits:knn": ("digits:knn8", 1, digits_graph),
}
"""Graphs with sizes: an example of the name, how many numbers it takes, and what makes it."""


def resolve_graph(text: str, root: str | os.PathLike[str] | None = None) -> Graph:
    """The graph that a name or a file stands for.

    Args:
        text: `karate`, `digits` (8 nearest neighbours; `digits:knn4`), `sea:salish`, `terrain:jacksboro` (a crop:
            `terrain:jacksboro:100x100`), `grid:64x64`, `torus:64x64`, `ring:100`, `path:50`, `complete:20`, a published
            graph (`cora`, ...), or a file: `.pt`, `.npz`, `.csv`, `.graphml` (see `read_graph`).
        root: folder with the raw files of published graphs; None takes NEURALPDE_DATA.

    Raises:
        UnknownName: naming the nearest names and the kinds of files.
        GraphError: a size that cannot be, or a file that is not a graph.
        DataMissing: the raw files of a published graph are not there.
        FileNotFoundError: there is no such file.
    """
    name = text.strip().lower()
    if name in NAMED:
        return NAMED[name]()
    made = _sized(text, name)
    if made is not None:
        return made
    plain = name.replace("_", "-")
    if plain in PUBLISHED or plain in ALIASES or plain == ARXIV.name:
        return Graph.from_data(load(plain, root))
    if Path(text).suffix.lower() in READERS or Path(text).is_file():
        return read_graph(text)
    known = [*NAMED, *(example for example, _, _ in SIZED.values()), *PUBLISHED, ARXIV.name]
    error = unknown("graph", text, known)
    raise type(error)(f"{error} Or a file: {', '.join(READERS)}.")


def _sized(text: str, name: str) -> Graph | None:
    for stem, (example, count, make) in SIZED.items():
        if not name.startswith(stem) or (stem[-1] != "n" and name[len(stem) : len(stem) + 1] not in ("", ":")):
            continue
        numbers = re.fullmatch(r":?(\d+)" + r"x(\d+)" * (count - 1), name.removeprefix(stem))
        if numbers is None:
            raise GraphError(f"{text!r} is not of the form {example!r}.")
        return make(*map(int, numbers.groups()))
    return None
