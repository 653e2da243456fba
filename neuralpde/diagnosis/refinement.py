"""Colour refinement (1-WL): what message passing on graphs can tell apart, and what it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph, as_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data

Array = NDArray[np.int64]


def wl_colours(
    *graphs: Graph | Data, initial: tuple[Tensor, ...] | None = None, rounds: int | None = None
) -> tuple[Tensor, ...]:
    """Colours of one-dimensional Weisfeiler-Leman refinement, joint: equal colours mean the same in all graphs given.

    `c'(v) = (c(v), {{c(u) : u -> v}})`, the pair of a node's colour and the multiset of those that its incoming edges bring,
    renamed to 0, 1, ... in sorted order (so that renumbering nodes renumbers colours with them), until no colour splits.
    Nothing is hashed: the answer is exact. Weights are not read; a parallel edge counts again.

    Nodes of equal colour have equal states, at all times, in every dynamics that treats nodes and edges alike and
    starts from features that `initial` (or a constant) gives.

    Args:
        graphs: one or more.
        initial: for each graph the features to start from, `[N]` or `[N, C]`; None for equal ones.
        rounds: stop after so many; None for the stable colouring.

    Returns:
        For each graph `[N]` int64. Cost: `O(E log E)` a round, at most N rounds; one sort for each different degree.

    Raises:
        ValueError: no graph; initial features that do not fit.

    Reference: B. Weisfeiler, A. Leman (1968); K. Xu, W. Hu, J. Leskovec, S. Jegelka, How powerful are graph neural networks?
    (2019).
    """
    if not graphs:
        raise ValueError("got no graph; expected one or more")
    all_of = [as_graph(graph) for graph in graphs]
    sizes = [graph.num_nodes for graph in all_of]
    shift = np.concatenate([[0], np.cumsum(sizes)])
    parts = [graph.edge_index.cpu().numpy() + start for graph, start in zip(all_of, shift, strict=False)]
    source, target = np.concatenate(parts, axis=1)
    colour = _start(sizes, initial)
    count = len(np.unique(colour))
    for _ in range(len(colour) if rounds is None else rounds):
        colour = _refined(colour, source, target)
        before, count = count, int(colour.max(initial=-1)) + 1
        if count == before:
            break
    return tuple(
        torch.as_tensor(one, device=graph.device) for one, graph in zip(np.split(colour, shift[1:-1]), all_of, strict=True)
    )


def wl_distinguishes(first: Graph | Data, second: Graph | Data, initial: tuple[Tensor, Tensor] | None = None) -> bool:
    """Whether colour refinement tells two graphs apart: their stable colours, counted, differ.

    If it does not, no message passing and no equivariant dynamics from a constant (or `initial`) state does.

    Args:
        first, second: the graphs.
        initial: features to start from, one `[N]` or `[N, C]` for each.

    Raises:
        ValueError: initial features that do not fit.

    Reference: as `wl_colours`.
    """
    a, b = wl_colours(first, second, initial=initial)
    return not torch.equal(a.cpu().sort().values, b.cpu().sort().values)


def _start(sizes: list[int], initial: tuple[Tensor, ...] | None) -> Array:
    if initial is None:
        return np.zeros(sum(sizes), dtype=np.int64)
    shapes = [tuple(x.shape) for x in initial]
    if [s[:1] for s in shapes] != [(n,) for n in sizes] or len({s[1:] for s in shapes}) > 1:
        raise ValueError(f"initial has shapes {shapes}; expected one tensor for each graph, with {sizes} rows and equal widths")
    rows = torch.cat([x.detach().cpu().reshape(len(x), -1) for x in initial])
    return np.unique(rows.numpy(), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _refined(colour: Array, source: Array, target: Array) -> Array:
    """One round: nodes of one degree are compared as rows of sorted numbers."""
    order = np.lexsort((colour[source], target))
    brought = colour[source][order]
    degree = np.bincount(target, minlength=len(colour))
    start = np.cumsum(degree) - degree
    refined, used = np.empty_like(colour), 0
    for d in np.unique(degree):
        nodes = np.flatnonzero(degree == d)
        rows = np.column_stack([colour[nodes], brought[start[nodes][:, None] + np.arange(d)]])
        found, inverse = np.unique(rows, axis=0, return_inverse=True)
        refined[nodes] = used + inverse.reshape(-1)
        used += len(found)
    return refined
