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

from solvers import host_may_look, unknown

from ..errors import GraphError
from ..graph import Graph

Normalization = Literal["none", "sym", "rw", "col"]
NORMALIZATIONS = ("none", "sym", "rw", "col")


@dataclass(frozen=True, eq=False)
class Normalized:
    """A normalised adjacency: what a Laplacian or an adjacency operator is assembled from.

    Attributes:
        edge: scaled weights, `[E]`, in the order of the edges.
        flux: the weights before scaling (times the conductivity, if there is one), `[E]`.
        degree: sums of `flux` over the rows (over the columns for "col"), without added self-loops, `[N]`.
        inverse_mass: 1 / M, `[N]`; 0 for nodes without mass; ones for "none".
        nonnegative: it is known that no weight is negative; not known where the host cannot look (see `solvers.host`).
    """

    edge: Tensor
    flux: Tensor
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
    conductivity: Tensor | None = None,
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
        conductivity: `[E]`, a factor on the weights that the degree which normalises does not see.
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
    end = source if normalization == "col" else target
    flux = w if conductivity is None else w * _per_edge(graph, conductivity, "conductivity").to(w.dtype)
    degree = flux.new_zeros(graph.num_nodes).index_add(0, end, flux)
    ones = graph.weight is None and weight is None and conductivity is None
    nonnegative = ones or not flux.numel() or (host_may_look(flux) and bool(flux.detach().min() >= 0))
    if normalization == "none":
        if mass is not None:
            raise ValueError('mass given with normalization="none"; use "rw" (M^-1 L), "sym" or "col" to divide by it')
        return Normalized(flux, flux, degree, torch.ones_like(degree), nonnegative)
    own = degree if conductivity is None else degree.new_zeros(graph.num_nodes).index_add(0, end, w)
    inverse = _inverse_mass(graph, normalization, own, mass, self_loops)
    if normalization == "sym":
        root = _root(inverse)
        edge = flux * (root[source] * root[target])  # in this order: exactly symmetric
    else:
        edge = flux * inverse[end]
    return Normalized(edge, flux, degree, inverse, nonnegative)


def spectral_bound(graph: Graph, parts: Normalized, normalization: str) -> float:
    """A number that no eigenvalue of M^-1 (D - A) exceeds in modulus, for nonnegative weights.

    The matrix is at most M^-1 (D + A) in modulus, entry by entry, whose spectral radius is at most
    max_i (M^-1 (D + A) s)_i / s_i for every positive s. With s = D / M that is max over i of (d_i + mean degree of the
    neighbours) for M = I, and 2 for M = D.

    Reference: R. Merris, A note on Laplacian graph eigenvalues (1998).
    """
    with torch.no_grad():
        source, target = graph.edge_index if normalization != "col" else graph.edge_index.flip(0)
        w = parts.flux.detach()
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
    weight = _per_edge(graph, weight, "weight")
    return weight if dtype is None else weight.to(dtype)


def _per_edge(graph: Graph, value: Tensor, name: str) -> Tensor:
    if value.shape != (graph.num_edges,):
        raise ValueError(f"{name} has shape {tuple(value.shape)}; expected one per edge, ({graph.num_edges},)")
    return value


def _inverse_mass(graph: Graph, normalization: str, degree: Tensor, mass: Tensor | None, self_loops: bool) -> Tensor:
    if mass is not None:
        if mass.shape != degree.shape or (host_may_look(mass) and not bool((mass.detach() > 0).all())):
            raise ValueError(
                f"mass of shape {tuple(mass.shape)}, least {float(mass.detach().min()) if mass.numel() else 0:g}; "
                f"expected one positive number per node, {tuple(degree.shape)}"
            )
        return 1 / (mass.to(degree.dtype) + float(self_loops))
    total = degree + float(self_loops)
    look = len(total) > 0 and host_may_look(total)
    if look and bool(total.detach().min() < 0):
        raise GraphError(
            f'normalization="{normalization}" divides by degrees, and some are negative: '
            'use normalization="none", weight.abs(), or give mass='
        )
    if look and not self_loops:
        graph.warn_isolated(normalization)
    return torch.where(total > 0, 1 / torch.where(total > 0, total, torch.ones_like(total)), torch.zeros_like(total))


def _root(inverse: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0."""
    return torch.where(inverse > 0, torch.where(inverse > 0, inverse, torch.ones_like(inverse)).sqrt(), inverse * 0)
