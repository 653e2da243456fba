"""The four normalisations of an adjacency, by the degree or by any mass per node, in one place.

With entries A_ij = w of the edge j -> i (PyG's direction), degree D and mass M (M = D unless given):

    "none":  A                              acts on values u
    "rw":    M^-1 A                         acts on values u; row-stochastic for M = D, the sums of the rows
    "sym":   M^-1/2 A M^-1/2                acts on M^1/2 u; symmetric
    "col":   A M^-1                         acts on amounts M u; column-stochastic for M = D, the sums of the columns

`rw`, `sym` and `col` are one operator in three coordinates, so they have the same eigenvalues on an undirected graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from solvers import unknown

from ..errors import GraphError
from ..graph import Graph

Normalization = Literal["none", "sym", "rw", "col"]
NORMALIZATIONS = ("none", "sym", "rw", "col")


@dataclass(frozen=True, eq=False)
class Normalized:
    """A normalised adjacency: what a Laplacian or an adjacency operator is assembled from.

    Attributes:
        edge: scaled weights, `[E]`, in the order of the edges.
        degree: sums of the rows of A (of the columns for "col"), without added self-loops, `[N]`.
        inverse_mass: 1 / M, `[N]`; 0 for nodes without mass; ones for "none".
        nonnegative: no weight is negative.
    """

    edge: Tensor
    degree: Tensor
    inverse_mass: Tensor
    nonnegative: bool


def normalize(
    graph: Graph,
    normalization: str,
    weight: Tensor | None = None,
    mass: Tensor | None = None,
    self_loops: bool = False,
    dtype: torch.dtype | None = None,
    who: str = "Laplacian",
) -> Normalized:
    """Scale the weights of a graph by its degrees or by a mass.

    Args:
        graph: undirected for "none" and "sym".
        normalization: "none", "sym", "rw" or "col"; see above.
        weight: `[E]`, used instead of the graph's.
        mass: `[N]` positive, used instead of the degree.
        self_loops: add 1 to the degree that normalises (GCN's renormalisation).
        dtype: of the result; None for that of the weights.
        who: what is being made, for messages.

    Raises:
        GraphError: a directed graph, or negative weights under a square root.
        ValueError: an unknown normalisation, a mass that is not positive or has no use, a weight of another length.
    """
    if normalization not in NORMALIZATIONS:
        raise unknown("normalization", normalization, NORMALIZATIONS)
    w = _weights(graph, weight, dtype)
    if normalization in ("none", "sym"):
        graph.require_undirected(f'{who} with normalization="{normalization}"')
    source, target = graph.edge_index
    degree = w.new_zeros(graph.num_nodes).index_add(0, source if normalization == "col" else target, w)
    nonnegative = not w.numel() or bool(w.detach().min() >= 0)
    if normalization == "none":
        if mass is not None:
            raise ValueError('mass given with normalization="none"; use "rw" (M^-1 L), "sym" or "col" to divide by it')
        return Normalized(w, degree, torch.ones_like(degree), nonnegative)
    inverse = _inverse_mass(graph, normalization, degree, mass, self_loops, nonnegative)
    if normalization == "rw":
        edge = w * inverse[target]
    elif normalization == "col":
        edge = w * inverse[source]
    else:
        root = _root(inverse)
        edge = w * root[source] * root[target]
    return Normalized(edge, degree, inverse, nonnegative)


def spectral_bound(graph: Graph, parts: Normalized, normalization: str, weight: Tensor | None = None) -> float:
    """A number that no eigenvalue of M^-1 (D - A) exceeds in modulus, for nonnegative weights.

    The matrix is at most M^-1 (D + A) in modulus, entry by entry, whose spectral radius is at most
    max_i (M^-1 (D + A) s)_i / s_i for every positive s. With s = D / M that is max over i of (d_i + mean degree of the
    neighbours) for M = I, and 2 for M = D.

    Reference: R. Merris, A note on Laplacian graph eigenvalues (1998).
    """
    with torch.no_grad():
        source, target = graph.edge_index if normalization != "col" else graph.edge_index.flip(0)
        w = _weights(graph, weight, parts.edge.dtype).detach()
        w = torch.where(source == target, torch.zeros((), dtype=w.dtype, device=w.device), w)  # loops cancel in D - A
        inverse = parts.inverse_mass.detach()
        degree = torch.zeros_like(inverse).index_add(0, target, w)
        s = degree * inverse
        around = torch.zeros_like(s).index_add(0, target, w * s[source])
        ratio = torch.where(degree > 0, s + around / degree, torch.zeros_like(s))
        return float(ratio.max()) * (1 + 1e-12) if len(ratio) else 0.0


def _weights(graph: Graph, weight: Tensor | None, dtype: torch.dtype | None) -> Tensor:
    if weight is None:
        return graph.edge_weight(dtype)
    if weight.shape != (graph.num_edges,):
        raise ValueError(f"weight has shape {tuple(weight.shape)}; expected one per edge, ({graph.num_edges},)")
    return weight if dtype is None else weight.to(dtype)


def _inverse_mass(
    graph: Graph, normalization: str, degree: Tensor, mass: Tensor | None, self_loops: bool, nonnegative: bool
) -> Tensor:
    if mass is not None:
        if mass.shape != degree.shape or not bool((mass.detach() > 0).all()):
            raise ValueError(f"mass has shape {tuple(mass.shape)}; expected {tuple(degree.shape)}, all of it positive")
        return 1 / (mass.to(degree.dtype) + float(self_loops))
    if not nonnegative:
        raise GraphError(
            f'normalization="{normalization}" divides by degrees, and some weights are negative: '
            'use normalization="none", weight.abs(), or give mass='
        )
    if not self_loops:
        graph.warn_isolated(normalization)
    total = degree + float(self_loops)
    return torch.where(total > 0, 1 / torch.where(total > 0, total, torch.ones_like(total)), torch.zeros_like(total))


def _root(inverse: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0."""
    return torch.where(inverse > 0, torch.where(inverse > 0, inverse, torch.ones_like(inverse)).sqrt(), inverse * 0)
