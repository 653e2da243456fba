"""Edges of regular graphs and of nearest neighbours, as plain tensors: what `Graph.grid` and its kin are made of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch
from scipy.spatial import cKDTree  # type: ignore[attr-defined]
from torch import Tensor

from solvers import refuse_what_cannot_fit

from .errors import GraphError

_KNN_BYTES = 100  # a neighbour, at the most: its number, both directions of its pair, their keys sorted and made unique
_MANY_PAIRS = 10**11  # pairs of points from which on a word is due
_TREE_DIMENSIONS = 10  # above these a k-d tree looks at nearly every point, and comparing all pairs is faster


class Edges(NamedTuple):
    """The parts that a `Graph` is made of; see `Graph.from_edges` for the shapes."""

    edge_index: Tensor
    num_nodes: int
    weight: Tensor | None = None
    pos: Tensor | None = None
    batch: Tensor | None = None
    edge_attr: Tensor | None = None
    node: Mapping[str, Tensor] = {}


def both_ways(pairs: Tensor) -> Tensor:
    """Each pair `[2, M]` as two directed edges `[2, 2M]`: all as given, then all reversed."""
    return torch.cat([pairs, pairs.flip(0)], dim=1)


def both_directions(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Each edge and its reverse, `[2, E]`, each once, sorted."""
    source, target = torch.cat([edge_index, edge_index.flip(0)], 1)
    key = torch.unique(source * num_nodes + target)
    return torch.stack([key // num_nodes, key % num_nodes])


def grid_edges(rows: int, cols: int, periodic: bool) -> Edges:
    """Join each cell of a rows x cols grid to its four neighbours; node r * cols + c lies at pos (c, r)."""
    _at_least("rows", rows, 3 if periodic else 1, " on a periodic grid" if periodic else "")
    _at_least("cols", cols, 3 if periodic else 1, " on a periodic grid" if periodic else "")
    node = torch.arange(rows * cols).view(rows, cols)
    if periodic:
        right = torch.stack([node.flatten(), node.roll(-1, 1).flatten()])
        down = torch.stack([node.flatten(), node.roll(-1, 0).flatten()])
    else:
        right = torch.stack([node[:, :-1].flatten(), node[:, 1:].flatten()])
        down = torch.stack([node[:-1].flatten(), node[1:].flatten()])
    r, c = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
    pos = torch.stack([c.flatten(), r.flatten()], dim=1).to(torch.get_default_dtype())
    return Edges(both_ways(torch.cat([right, down], dim=1)), rows * cols, pos=pos)


def ring_edges(n: int) -> Edges:
    """Join node i to i + 1 modulo n; the nodes lie on the unit circle."""
    _at_least("n", n, 3, " for a ring")
    node = torch.arange(n)
    angle = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    pos = torch.stack([angle.cos(), angle.sin()], dim=1).to(torch.get_default_dtype())
    return Edges(both_ways(torch.stack([node, node.roll(-1)])), n, pos=pos)


def path_edges(n: int) -> Edges:
    """Join node i to i + 1; node i lies at (i, 0)."""
    _at_least("n", n, 1, " for a path")
    node = torch.arange(n)
    pos = torch.stack([node, torch.zeros_like(node)], dim=1).to(torch.get_default_dtype())
    return Edges(both_ways(torch.stack([node[:-1], node[1:]])), n, pos=pos)


def complete_edges(n: int) -> Edges:
    """Join every two different nodes."""
    _at_least("n", n, 1, " for a complete graph")
    count, what = n * (n - 1), f"A complete graph of {n:,} nodes, {n * (n - 1):,} edges,"
    refuse_what_cannot_fit(5 * 8 * count, torch.device("cpu"), what, "Take fewer nodes, or Graph.knn.")
    edge = torch.arange(count)
    source, target = edge // max(n - 1, 1), edge % max(n - 1, 1)
    target += target >= source  # the diagonal is left out
    return Edges(torch.stack([source, target]), n)


def knn_edges(points: Tensor, k: int) -> Edges:
    """Join i and j if j is among the k nearest of i or i among the k nearest of j (Euclidean, itself excluded).

    In few dimensions on a CPU a k-d tree finds them in O(n log n); elsewhere all pairs are compared, some rows at a time.
    """
    if points.dim() != 2:
        raise GraphError(f"points has shape {tuple(points.shape)}; expected (N, d).")
    n, dims = points.shape
    if not 1 <= k < n:
        raise GraphError(f"k={k} neighbours of {n} points: expected 1 <= k <= {n - 1}.")
    points = points.detach()
    if not bool(torch.isfinite(points).all()):
        bad = int((~torch.isfinite(points)).any(1).nonzero()[0])
        raise GraphError(f"points[{bad}] is not finite; a nearest neighbour needs a distance. Leave those points out.")
    what = f"A graph of {k:,} neighbours of {n:,} points"
    refuse_what_cannot_fit(_KNN_BYTES * n * k, points.device, what, "Take a smaller k, or fewer points.")
    few = dims <= _TREE_DIMENSIONS and points.device.type == "cpu"
    if not few and n * n > _MANY_PAIRS:
        warnings.warn(
            f"Graph.knn compares all {n * n:.1e} pairs of {n:,} points in {dims} dimensions: time grows with "
            f"the square of their number. On a CPU, {_TREE_DIMENSIONS} dimensions or fewer (PCA, say) go through a k-d tree.",
            stacklevel=4,
        )
    nearest = _nearest_by_tree(points, k) if few else _nearest_by_pairs(points, k)
    target = torch.arange(n, device=points.device).repeat_interleave(k)
    pairs = both_ways(torch.stack([nearest.flatten(), target]))
    keys = torch.unique(pairs[0] * n + pairs[1])
    return Edges(torch.stack([keys // n, keys % n]), n, pos=points)


def _nearest_by_tree(points: Tensor, k: int) -> Tensor:
    """Indices `[n, k]` of the nearest others; where points coincide, a point need not be the first that it finds."""
    found = torch.from_numpy(cKDTree(points.double().numpy()).query(points.double().numpy(), k + 1)[1].astype("int64"))
    itself = found == torch.arange(len(points)).unsqueeze(1)
    itself[:, -1] |= ~itself.any(1)  # the point itself is not among k + 1 twins: drop any one of them
    return found[~itself].view(-1, k)


def _nearest_by_pairs(points: Tensor, k: int, chunk: int = 4_000_000) -> Tensor:
    """Indices `[n, k]` of the nearest others; distances are held for `chunk` pairs at a time."""
    n = len(points)
    rows = max(1, chunk // n)
    nearest = []
    for start in range(0, n, rows):
        block = torch.cdist(points[start : start + rows], points, compute_mode="donot_use_mm_for_euclid_dist")
        here = torch.arange(block.size(0), device=points.device)
        block[here, here + start] = torch.inf
        nearest.append(block.topk(k, largest=False).indices)
    return torch.cat(nearest)


def repeat_edges(edges: Edges, copies: int) -> Edges:
    """Copies side by side: node i of copy b becomes node b N + i."""
    _at_least("copies", copies, 1, "")
    if edges.batch is not None:
        raise GraphError("the graph is a batch already; expected one graph (batch=None).")
    shift = torch.arange(copies, device=edges.edge_index.device) * edges.num_nodes

    def tile(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.repeat(copies, *[1] * (x.dim() - 1))

    return Edges(
        (edges.edge_index.unsqueeze(1) + shift.view(1, -1, 1)).reshape(2, -1),
        edges.num_nodes * copies,
        weight=tile(edges.weight),
        pos=tile(edges.pos),
        batch=torch.arange(copies, device=shift.device).repeat_interleave(edges.num_nodes),
        edge_attr=tile(edges.edge_attr),
        node={key: x.repeat(copies, *[1] * (x.dim() - 1)) for key, x in edges.node.items()},
    )


def moved(edges: Edges, device: torch.device | str | None, dtype: torch.dtype | None) -> Edges:
    """The same on a device, floating data in a dtype; None leaves either as it is."""

    def move(x: Tensor) -> Tensor:
        return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

    def maybe(x: Tensor | None) -> Tensor | None:
        return None if x is None else move(x)

    return Edges(
        edges.edge_index.to(device=device),
        edges.num_nodes,
        weight=maybe(edges.weight),
        pos=maybe(edges.pos),
        batch=maybe(edges.batch),
        edge_attr=maybe(edges.edge_attr),
        node={key: move(x) for key, x in edges.node.items()},
    )


def symmetrise(edges: Edges) -> Edges:
    """Add the missing reverses: w_ij and w_ji become their mean where both exist, else both the one there is.

    Parallel edges are added up first (without weights: counted). The edges come as given (the first of parallel ones),
    then the added ones.
    """
    n, (source, target) = edges.num_nodes, edges.edge_index
    keys, inverse = torch.unique(source * n + target, return_inverse=True)
    order = torch.arange(keys.numel(), device=keys.device)
    first = torch.full_like(order, inverse.numel()).scatter_reduce_(
        0, inverse, torch.arange(inverse.numel(), device=keys.device), "amin"
    )
    kept, order = first.sort()
    keys_kept = keys[order]
    reverse = (keys % n) * n + keys // n
    at = torch.searchsorted(keys, reverse).clamp(max=max(keys.numel() - 1, 0))
    found = keys[at] == reverse
    added = order[~found[order]]
    weight = edges.weight
    if weight is None and keys.numel() < inverse.numel():
        weight = torch.ones(inverse.numel(), device=keys.device)
    if weight is not None:
        total = weight.new_zeros(keys.numel()).index_add(0, inverse, weight)
        total = torch.where(found, (total + total[at]) / 2, total)
        weight = torch.cat([total[order], total[added]])
    attr = edges.edge_attr
    if attr is not None:
        attr = torch.cat([attr[kept], attr[first[added]]])
    forward = torch.stack([keys_kept // n, keys_kept % n])
    backward = torch.stack([keys[added] % n, keys[added] // n])
    return edges._replace(edge_index=torch.cat([forward, backward], dim=1), weight=weight, edge_attr=attr)


def _at_least(name: str, value: int, least: int, where: str) -> None:
    if value < least:
        raise GraphError(f"{name}={value}: expected at least {least}{where}.")
