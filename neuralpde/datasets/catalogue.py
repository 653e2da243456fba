"""What there is: one row per graph, without loading any of them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .arxiv import ARXIV
from .published import PUBLISHED, find_raw


@dataclass(frozen=True)
class Entry:
    """One row of `available()`.

    Args:
        name: for `resolve_graph` and, where there are labels, `load`.
        offline: it comes with the installed packages.
        here: it can be loaded now, without network (its raw files were found under NEURALPDE_DATA).
        nodes, edges: directed edges, as stored.
        labels: number of classes; 0 where it has no labels.
        what: in a few words.
    """

    name: str
    offline: bool
    here: bool
    nodes: int
    edges: int
    labels: int
    what: str


BUNDLED = (
    Entry("karate", True, True, 34, 156, 2, "Zachary's karate club; friendships"),
    Entry("digits", True, True, 1_797, 19_864, 10, "handwritten digits, 8 nearest neighbours (needs scikit-learn)"),
    Entry("sea:salish", True, True, 2_880, 10_570, 0, "sea floor off Vancouver Island, finite volumes for long waves"),
    Entry("terrain:jacksboro", True, True, 138_632, 553_034, 0, "terrain at the Jacksboro fault, a grid graph"),
)


def available(root: str | os.PathLike[str] | None = None) -> list[Entry]:
    """Every graph with a name: the bundled ones, then the published ones.

    Args:
        root: folder with raw files; None takes NEURALPDE_DATA.
    """
    root = root if root is not None else os.environ.get("NEURALPDE_DATA")
    published = [
        Entry(
            entry.name,
            False,
            bool(root) and find_raw(entry, str(root)) is not None,
            entry.nodes,
            entry.edges,
            entry.classes,
            f"{entry.family}; {entry.source}",
        )
        for entry in PUBLISHED.values()
    ]
    arxiv = "OGB; citations, both directions, divided by time; Hu et al. 2020"
    return [*BUNDLED, *published, Entry(ARXIV.name, False, ARXIV.find(root) is not None, 169_343, 2_315_598, 40, arxiv)]
