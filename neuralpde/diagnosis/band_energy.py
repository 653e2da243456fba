"""Which frequencies of a graph features hold: their energy in bands of Laplacian eigenvalues, over time or depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import spectral_radius

from ..graph import Graph
from ..monitors.energy import check_normalization, inner_product, kernel_vector
from ..monitors.kernel import outside_kernel
from ..operators.laplacian import Laplacian
from .chebyshev_bands import PRODUCTS, filtered

_MOST = 3000  # nodes of a dense eigenvalue problem that takes seconds
_ZERO = 1e-9  # of the largest eigenvalue: what counts as kernel


@dataclass(frozen=True, eq=False)
class BandEnergies:
    """`|P_b z(t)|^2`, the energy of features in bands of Laplacian eigenvalues; the bands add up to `|z|^2`.

    Attributes:
        t: times, layers or depths, `[times]`.
        limits: `[bands, 2]`, the eigenvalues between which a band lies; (0, 0) is the kernel, which diffusion keeps.
        energy: `[times, bands]` float64.
        predicted: `[times, bands]`, what heat makes of the energy at the first time; None if it was not asked for.
        modes: `[bands]` int64, eigenvalues in each band; None if they were not computed.
        normalization: of the Laplacian.
    """

    t: Tensor
    limits: Tensor
    energy: Tensor
    predicted: Tensor | None
    modes: Tensor | None
    normalization: str

    @property
    def share(self) -> Tensor:
        """Each band's share of the whole energy, `[times, bands]`; NaN where there is none."""
        return self.energy / self.energy.sum(1, keepdim=True)


def band_energies(
    graph: Graph,
    u: Tensor,
    t: Tensor | Sequence[float] | None = None,
    *,
    normalization: str = "none",
    bands: int = 6,
    heat: float | None = None,
    dense: bool | None = None,
    products: int = PRODUCTS,
    ratio: float | None = 2.0,
) -> BandEnergies:
    """Energy of features in bands of the spectrum of a Laplacian: which frequencies survive.

    With `L v_k = lambda_k v_k`, `c_k = <v_k, M z>`, band b holds `sum |c_k|^2` over `lambda_max r^-b >= lambda_k >
    lambda_max r^-(b+1)`, octaves for r = 2; the last band goes down to 0, and the kernel is a band of its own. L, M and z
    are those of `DirichletEnergy`'s table. Under heat `u' = -kappa L u` every `|c_k|^2` falls as `exp(-2 kappa lambda_k t)`.

    Up to 3,000 nodes by all eigenvectors. Beyond, by filters `h_b(L)` that are polynomials: `<z, h_b(L) z>` with steps that
    are smooth, as wide as 11 / (2 products) in the angle `2 asin sqrt(lambda / lambda_max)`, and add up to 1. What lies
    near a limit counts in both bands; below 1e-12 of the whole it is rounding.

    Args:
        graph: undirected, N nodes.
        u: features, `[times, N, channels]` (or `[N, channels]`: one time).
        t: the times, layers or depths, `[times]`; None counts from 0.
        normalization: of the Laplacian (`DirichletEnergy`).
        bands: how many, besides the kernel.
        heat: kappa; the energies that heat of this rate would have are then predicted from the first.
        dense: use eigenvectors; None decides by size.
        products: with the Laplacian, of a time without eigenvectors.
        ratio: r, above 1. None takes that with which the bands reach down to the smallest positive eigenvalue (on graphs
            with hubs the lowest of six octaves holds nearly all of them); without eigenvectors 2.

    Raises:
        ValueError: features or times that do not fit, no bands, r <= 1, a dense spectrum of too many nodes.
        GraphError: a directed graph.
    """
    check_normalization(normalization)
    u, t = _checked(graph, u, t, bands)
    if ratio is not None and not ratio > 1:
        raise ValueError(f"ratio = {ratio}; expected a number above 1, by which the limits of a band differ")
    laplacian = Laplacian(
        graph,
        "none" if normalization == "none" else "sym",
        self_loops=normalization == "sym_loops",
        dtype=torch.float64,
    )
    mass = inner_product(graph, normalization)
    root = torch.ones(graph.num_nodes, dtype=torch.float64, device=u.device) if mass is None else mass.sqrt()
    z = u.to(torch.float64) * root.unsqueeze(1)
    after = None if heat is None else heat * (t - t[0])
    if dense is None:
        dense = graph.num_nodes <= _MOST
    if dense:
        if graph.num_nodes > _MOST:
            raise ValueError(f"{graph.num_nodes:,} nodes; all eigenvectors are computed up to {_MOST:,}: take dense=False")
        return _by_eigenvectors(laplacian, z, t, after, bands, normalization, ratio)
    outside = outside_kernel(graph, kernel_vector(graph, normalization) * root)
    rough = torch.stack([outside(one) for one in z])
    return _by_filters(laplacian, z, rough, t, after, bands, normalization, graph, products, ratio or 2.0)


def _checked(graph: Graph, u: Tensor, t: Tensor | Sequence[float] | None, bands: int) -> tuple[Tensor, Tensor]:
    u = u.detach().unsqueeze(0) if u.dim() == 2 else u.detach()
    if u.dim() != 3 or u.shape[1] != graph.num_nodes or len(u) == 0:
        raise ValueError(
            f"u has shape {tuple(u.shape)}; expected (times, {graph.num_nodes}, channels), as simulate(...).u has it"
        )
    if bands < 1:
        raise ValueError(f"bands = {bands}; expected at least 1")
    at = torch.arange(len(u), dtype=torch.float64) if t is None else torch.as_tensor(t, dtype=torch.float64).detach().cpu()
    if at.shape != (len(u),):
        raise ValueError(f"{at.numel()} times for {len(u)} states; expected as many")
    return u, at


def _limits(largest: float, bands: int, ratio: float) -> Tensor:
    """`[bands + 1]`: 0, then the limits up to the largest eigenvalue."""
    powers = torch.arange(bands - 1, -1, -1, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), largest * ratio**-powers])


def _by_eigenvectors(
    laplacian: Laplacian,
    z: Tensor,
    t: Tensor,
    after: Tensor | None,
    bands: int,
    normalization: str,
    ratio: float | None,
) -> BandEnergies:
    values, vectors = torch.linalg.eigh(laplacian.to_dense())
    modes = (vectors.mT @ z).square().sum(2).cpu()  # [times, N]
    values = values.cpu()
    largest = float(values[-1])
    positive = values[values > _ZERO * largest]
    if ratio is None and len(positive):
        ratio = math.pow(largest / float(positive[0]), 1 / bands)
    limits = _limits(largest, bands, max(ratio or 2.0, 1 + 1e-6))
    band = torch.bucketize(values, limits[1:-1] * (1 + _ZERO)) + 1  # an eigenvalue at a limit belongs below
    band[values <= _ZERO * largest] = 0
    one_hot = torch.nn.functional.one_hot(band, bands + 1)
    predicted = None
    if after is not None:
        decayed = modes[0] * torch.exp(-2 * after.unsqueeze(1) * values.clamp_min(0))
        predicted = decayed @ one_hot.double()
    count = one_hot.sum(0)
    seen = count > 0
    both = torch.cat([torch.zeros(1, 2, dtype=torch.float64), torch.stack([limits[:-1], limits[1:]], 1)])
    return BandEnergies(
        t,
        both[seen],
        (modes @ one_hot.double())[:, seen],
        None if predicted is None else predicted[:, seen],
        count[seen],
        normalization,
    )


def _by_filters(
    laplacian: Laplacian,
    z: Tensor,
    rough: Tensor,
    t: Tensor,
    after: Tensor | None,
    bands: int,
    normalization: str,
    graph: Graph,
    products: int,
    ratio: float,
) -> BandEnergies:
    bound = laplacian.bounds()[1]
    limits = _limits(min(spectral_radius(laplacian, rough[0], graph.space), bound), bands, ratio)
    energy, predicted = filtered(laplacian, rough, limits, bound, after, products)
    kernel = (z - rough).square().sum((1, 2)).cpu().unsqueeze(1)
    both = torch.cat([torch.zeros(1, 2, dtype=torch.float64), torch.stack([limits[:-1], limits[1:]], 1)])
    if predicted is not None:
        predicted = torch.cat([kernel[:1].expand_as(kernel), predicted], 1)
    return BandEnergies(t, both, torch.cat([kernel, energy], 1), predicted, None, normalization)
