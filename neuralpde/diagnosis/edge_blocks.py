"""Edges in blocks whose work is bounded, so that memory does not grow with the graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ENTRIES = 2_000_000  # nonzeros of an intermediate matrix in one block, 16 bytes each


def edge_blocks(work: NDArray[np.int64], limit: int = ENTRIES) -> Iterator[slice]:
    """Consecutive slices of edges, each of at most `limit` entries of work or of a single edge.

    Args:
        work: entries that each edge needs, `[M]`.
        limit: of a block.
    """
    total = np.concatenate([[0], np.cumsum(work)])
    start = 0
    while start < len(work):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + limit, side="right")) - 1)
        yield slice(start, stop)
        start = stop
