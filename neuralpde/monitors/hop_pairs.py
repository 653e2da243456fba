"""Pairs of nodes by the number of hops between them; of large graphs, a sample."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from ..graph import Graph

_ENTRIES = 2_000_000  # of the table of distances that is looked at in one go: 16 MiB


def hop_pairs(graph: Graph, least: int, most: int | None, sample: int, seed: int) -> tuple[Tensor, int]:
    """The ordered pairs (i, j), i != j, of one graph with `least <= hops(i, j) <= most`; directions of edges do not matter.

    Args:
        graph: or a batch.
        least: 0 takes every pair, connected or not.
        most: None for no limit (pairs that no path joins have no distance, and are left out unless `least` is 0).
        sample: at most about so many pairs are looked at: if there are more, those of a random choice of nodes i.
        seed: of that choice.

    Returns:
        `[2, pairs]` with row 0 = j and row 1 = i, as edges j -> i, and the number of nodes i that were looked at.
    """
    n = graph.num_nodes
    source, target = graph.edge_index.cpu().numpy()
    matrix = coo_array((np.ones(len(source)), (source, target)), shape=(n, n)).tocsr()
    batch = np.zeros(n, dtype=np.int64) if graph.batch is None else graph.batch.cpu().numpy()
    chosen = _chosen(batch, sample, seed)
    found = []
    for start in range(0, len(chosen), rows := max(1, _ENTRIES // max(1, n))):
        part = chosen[start : start + rows]
        inside = batch[part, None] == batch[None, :]
        if least > 0:
            limit = np.inf if most is None else most
            hops = dijkstra(matrix, directed=False, unweighted=True, indices=part, limit=limit)
            inside &= (hops >= least) & np.isfinite(hops)
        inside[np.arange(len(part)), part] = False
        i, j = inside.nonzero()
        found.append(np.stack([j, part[i]]))
    pairs = np.concatenate(found, axis=1) if found else np.empty((2, 0), dtype=np.int64)
    return torch.as_tensor(pairs, dtype=torch.int64, device=graph.device), len(chosen)


def _chosen(batch: np.ndarray, sample: int, seed: int) -> np.ndarray:
    """Nodes i, sorted: all, or of each graph as many as its share of the sample allows, at least one."""
    sizes = np.bincount(batch)
    pairs = float((sizes.astype(np.float64) ** 2).sum())
    if pairs <= sample:
        return np.arange(len(batch))
    share = np.maximum(1, np.floor(sizes * (sample / pairs))).astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(batch))
    order = order[np.argsort(batch[order], kind="stable")]  # graph by graph, each in random order
    place = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[batch[order]]
    return np.sort(order[place < share[batch[order]]])
