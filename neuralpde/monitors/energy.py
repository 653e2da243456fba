"""The Dirichlet energy and the Rayleigh quotient: how rough features are on a graph, absolutely and relative to their size."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField, linear_flow, unknown

from ..graph import Graph
from .base import Observable, Reading
from .differences import edge_energy
from .features import as_real, magnitude, node_features

_SCALES = {"sum": "", "mean": ", mean", "root_mean": ", root mean"}
NORMALIZATIONS = ("none", "sym", "sym_loops", "rw", "col")
_KERNEL_OF_ONES = ("none", "rw")


@dataclass(frozen=True, eq=False)
class DirichletEnergy(Observable):
    """How rough features are: `E(X) = 1/2 sum over edges j -> i of w_ij |z_i - z_j|^2`, `z_i = x_i / k_i`.

    An undirected graph stores each edge both ways, so each counts once and E = tr(X' M L X) for the Laplacian that is named.
    `k` spans the kernel of E on a connected graph, d are the (weighted in-) degrees, and M is the inner product in which
    that Laplacian is self-adjoint:

    | normalization | E              | L                            | M      | k         |
    |---------------|----------------|------------------------------|--------|-----------|
    | `"none"`      | tr X'(D - A)X  | D - A                        | 1      | 1         |
    | `"sym"`       | tr X'LX        | 1 - D^-1/2 A D^-1/2          | 1      | sqrt d    |
    | `"sym_loops"` | tr X'LX        | 1 - (D+1)^-1/2 (A+1) (D+1)^-1/2, GCN's | 1 | sqrt(d + 1) |
    | `"rw"`        | tr X'(D - A)X  | 1 - D^-1 A                   | D      | 1         |
    | `"col"`       | tr X'D^-1 L X  | 1 - A D^-1                   | D^-1   | d         |

    Only energies with k = 1 vanish on constants. Watch the energy of the operator that is running: with another kernel it
    stalls, or falls, for reasons of its own, and `on` warns if it sees that. It says nothing of shape as long as the norm
    changes too: look at `RayleighQuotient`, `Norm` and `EffectiveRank` with it. Attention that a field recomputes on its way
    is read by `AttentionEnergy`.

    Computed from edge differences (tr X'LX cancels: in float32 it is noise below 1e-7 |X|^2), in float64; but differences of
    float32 states are rounded to float32 where k = 1 and no gradient is wanted (2e-7 of E at most). Nodes without
    edges add nothing. In `"sym_loops"` a node that has a self-loop keeps it, others get one of weight 1 (as PyG's GCN).

    Args:
        normalization: which Laplacian, see the table.
        scale: `"sum"` is E; `"mean"` is (2 / n) E, the convention of GraphCON and of Rusch, Bronstein & Mishra;
            `"root_mean"` is its square root, their node-similarity measure (which obeys the triangle inequality).
        weight: `[edges]` in place of the graph's weights (attention: then the energy of its symmetric part).

    Raises:
        UnknownName: for another normalization or scale.

    Reference: Cai & Wang (2020), A note on over-smoothing for graph neural networks; Rusch, Bronstein & Mishra (2023), A
        survey on oversmoothing in graph neural networks, eq. (3).
    """

    normalization: str = "none"
    scale: str = "sum"
    weight: Tensor | None = None

    def __post_init__(self) -> None:
        _check("normalization", self.normalization, NORMALIZATIONS)
        _check("scale", self.scale, tuple(_SCALES))

    @property
    def name(self) -> str:
        return f"Dirichlet energy ({_kind(self.normalization)}{_SCALES[self.scale]})"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        kernel = kernel_vector(graph, self.normalization, self.weight)
        warn_kernel(self.name, kernel, field, read)
        nodes = torch.as_tensor(graph.space.size(kernel.unsqueeze(1)), dtype=torch.float64, device=graph.device)
        factor = 1.0 if self.scale == "sum" else 2.0 / nodes
        scaled, total = divided_by(kernel, self.normalization), edge_energy(graph, self.weight)
        divides = self.normalization not in _KERNEL_OF_ONES

        def energy(t: float, y: Tensor) -> Tensor:
            return factor * total(scaled(as_real(node_features(graph, y, read, wide=divides))))

        def root(t: float, y: Tensor) -> Tensor:
            z = scaled(as_real(node_features(graph, y, read)))
            size = magnitude(graph.space, z)  # so that squares neither overflow nor vanish
            return size * (factor * total(z / graph.space.spread(size, z))).sqrt()

        return root if self.scale == "root_mean" else energy

    @classmethod
    def example(cls) -> tuple[DirichletEnergy, Graph, Tensor]:
        """An instance, a graph and features: on the path 0 - 1 - 2 of values 0, 1, 3 the energy is 1 + 4 = 5."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class RayleighQuotient(Observable):
    """The frequency that dominates: `R(X) = tr(X' M L X) / tr(X' M X)`, between 0 and the largest eigenvalue of L.

    Free of scale: it falls to 0 where low frequencies win (smoothing) and rises to lambda_max where high ones win, whatever
    the norm does. L and M as in `DirichletEnergy`; NaN for X = 0, which has no shape.

    Args:
        normalization: which Laplacian; `"sym"`, `"sym_loops"`, `"rw"` and `"col"` have eigenvalues in [0, 2].
        weight: `[edges]` in place of the graph's weights.

    Raises:
        UnknownName: for another normalization.

    Reference: Di Giovanni et al. (2023), Understanding convolution on graphs via energies, section 2.
    """

    normalization: str = "none"
    weight: Tensor | None = None

    def __post_init__(self) -> None:
        _check("normalization", self.normalization, NORMALIZATIONS)

    @property
    def name(self) -> str:
        return f"Rayleigh quotient ({_kind(self.normalization)})"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        kernel = kernel_vector(graph, self.normalization, self.weight)
        warn_kernel(self.name, kernel, field, read)
        mass = inner_product(graph, self.normalization, self.weight)
        space, scaled, total = graph.space, divided_by(kernel, self.normalization), edge_energy(graph, self.weight)

        def quotient(t: float, y: Tensor) -> Tensor:
            x = as_real(node_features(graph, y, read))
            x = x / space.spread(magnitude(space, x), x)
            return total(scaled(x)) / space.total(x * x if mass is None else x * x * mass.unsqueeze(1))

        return quotient

    @classmethod
    def example(cls) -> tuple[RayleighQuotient, Graph, Tensor]:
        """An instance, a graph and features: on the path 0 - 1 - 2 of values 0, 1, 3 it is 5 / 10."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)


def kernel_vector(graph: Graph, normalization: str, weight: Tensor | None = None) -> Tensor:
    """`k` of `DirichletEnergy`'s table, `[nodes]` float64, positive: 1 where a node has no edges."""
    if normalization in _KERNEL_OF_ONES:
        return torch.ones(graph.num_nodes, dtype=torch.float64, device=graph.device)
    degree = _degree(graph, weight)
    if normalization == "sym_loops":
        source, target = graph.edge_index
        own = torch.zeros_like(degree).index_fill(0, target[source == target], 1.0)
        return (degree + 1 - own).sqrt()
    degree = _positive(degree)
    return degree.sqrt() if normalization == "sym" else degree


def divided_by(kernel: Tensor, normalization: str) -> Callable[[Tensor], Tensor]:
    """`x_i / k_i`, which leaves x as it is where k is 1 for every graph."""
    return (lambda x: x) if normalization in _KERNEL_OF_ONES else (lambda x: x / kernel.unsqueeze(1))


def inner_product(graph: Graph, normalization: str, weight: Tensor | None = None) -> Tensor | None:
    """The diagonal of M of `DirichletEnergy`'s table, `[nodes]` float64; None for ones."""
    power = {"rw": 1.0, "col": -1.0}.get(normalization)
    return None if power is None else _positive(_degree(graph, weight)).pow(power)


def check_normalization(got: str) -> None:
    """Raise `UnknownName` unless it is one of `DirichletEnergy`'s table."""
    _check("normalization", got, NORMALIZATIONS)


def _degree(graph: Graph, weight: Tensor | None) -> Tensor:
    return (graph if weight is None else graph.with_weight(weight)).degree.to(torch.float64)


def _positive(degree: Tensor) -> Tensor:
    return torch.where(degree > 0, degree, torch.ones_like(degree))


def _kind(normalization: str) -> str:
    return {"none": "D - A", "sym_loops": "sym + loops"}.get(normalization, normalization)


def _check(what: str, got: str, known: tuple[str, ...]) -> None:
    if got not in known:
        raise unknown(what, got, known)


def warn_kernel(name: str, kernel: Tensor, field: VectorField | None, read: Callable[[Tensor], Tensor] | None) -> None:
    """Warn if the field is linear in the features and moves the kernel of the observable; costs two products."""
    flow = linear_flow(field)
    if flow is None or not flow.operator.columnwise or flow.operator.shape[1] != len(kernel):
        return
    with torch.no_grad():
        wave = torch.arange(len(kernel), device=kernel.device, dtype=torch.float64).mul(2.4).cos()
        pair = torch.stack([kernel, kernel * wave], dim=1).to(dtype=flow.operator.dtype, device=flow.operator.device)
        seen = pair if read is None else read(pair)
        if seen.shape != pair.shape or not torch.equal(seen, pair):  # the state is in other coordinates
            return
        moved, probe = torch.linalg.vector_norm(flow.operator.matvec(pair), dim=0).tolist()
    if moved > 1e-3 * probe:
        warnings.warn(
            f"{name} vanishes on a vector that the field's operator does not annihilate (|A k| = {moved:.3g}, |A v| = "
            f"{probe:.3g} for a rough v): it is not the energy of these dynamics and may stall or fall for reasons of its "
            f"own. Choose its normalization ({', '.join(NORMALIZATIONS)}) as the operator's.",
            stacklevel=4,
        )
