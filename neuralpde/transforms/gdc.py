"""Graph diffusion convolution: edges and weights from personalised PageRank or from the heat kernel."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from scipy.special import gammainc, gammaln, ive

from solvers import unknown

from ..errors import GraphError
from ..graph import Graph
from ..transform import Transform
from .diffusion_rows import DiffusionRows, transition

NORMALIZATIONS = ("sym", "rw", "col")
_EXACT = 1e-13  # of the series: what is left out, and entries that are taken for zero
_SLOW = 1e12  # multiplications: minutes


class Kernel(ABC):
    """Coefficients of `S = sum_k theta_k T^k`, nonnegative and summing to one."""

    @abstractmethod
    def powers(self) -> list[float]:
        """theta_k of T^k, until what is left out is below 1e-13."""

    @abstractmethod
    def chebyshev(self) -> list[float]:
        """Coefficients of the Chebyshev polynomials in T, for eigenvalues in [-1, 1], until the rest is below 1e-13."""


@dataclass(frozen=True)
class PPR(Kernel):
    """Personalised PageRank, `S = alpha (I - (1 - alpha) T)^-1`.

    Args:
        alpha: chance of a jump back to the start, in (0, 1].
    """

    alpha: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha = {self.alpha}; expected 0 < alpha <= 1, the chance of a jump back")

    def powers(self) -> list[float]:
        count = 1 if self.alpha == 1 else 1 + math.ceil(math.log(_EXACT) / math.log1p(-self.alpha))
        return [self.alpha * (1 - self.alpha) ** k for k in range(count)]

    def chebyshev(self) -> list[float]:
        stay = 1 - self.alpha
        if stay == 0:
            return [1.0]
        root = math.sqrt(1 - stay**2)
        ratio = (1 - root) / stay
        count = 1 + max(0, math.ceil(math.log(_EXACT * (1 - ratio)) / math.log(ratio)))
        return [self.alpha / root * (1 if k == 0 else 2) * ratio**k for k in range(count)]


@dataclass(frozen=True)
class Heat(Kernel):
    """The heat kernel, `S = exp(-t (I - T))`.

    Args:
        t: how long the heat spreads, not negative.
    """

    t: float = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.t < math.inf:
            raise ValueError(f"t = {self.t}; expected a finite time >= 0")

    def powers(self) -> list[float]:
        if self.t == 0:
            return [1.0]
        count = 1
        while gammainc(count, self.t) > _EXACT:  # the chance of a Poisson variable of mean t to be `count` or more
            count += 1
        return [math.exp(k * math.log(self.t) - self.t - float(gammaln(k + 1))) for k in range(count)]

    def chebyshev(self) -> list[float]:
        coefficients, k = [float(ive(0, self.t))], 1
        while k <= self.t or coefficients[-1] > _EXACT / 4:
            coefficients.append(2 * float(ive(k, self.t)))
            k += 1
        return coefficients


@dataclass(frozen=True)
class GDC(Transform):
    """Replace the edges by the large entries of `S = sum_k theta_k T^k`: edge j -> i with weight S_ij.

    T is the transition matrix of the graph with self-loops of weight w: D^-1/2 (A + w I) D^-1/2 ("sym"), D^-1 (A + w I)
    ("rw", rows sum to one: S_ij is the chance of a walk from i to end in j) or (A + w I) D^-1 ("col"), with A_ij the weight
    of the edge j -> i. `PPR(alpha)` and `Heat(t)` are the kernels. Of each row the k largest entries stay (`top_k`), or
    those not below `epsilon`, or all that are positive. `renormalize` then scales each row to sum one.

    The rows of S are computed to 1e-12, some at a time, by Chebyshev polynomials in T (undirected graphs) or powers of it
    (directed ones): S is never stored, only what stays of it. Work: nodes x edges x length of the series, one to two
    seconds for Cora. With `top_k`, or by rounding, an undirected graph becomes a directed one; `to_undirected()` mends that.
    No gradient passes. Edge attributes are dropped with the edges that they belong to.

    Args:
        kernel: `PPR(alpha)` or `Heat(t)`.
        top_k: entries of each row that stay; rows with fewer positive ones keep these.
        epsilon: the smallest entry that stays. Not together with `top_k`.
        normalization: of T.
        self_loop_weight: w.
        loops: keep the diagonal of S as self-loops.
        renormalize: scale the rows of what stays to sum one.

    Raises:
        ValueError: settings that make no sense.
        GraphError: negative weights, or a directed graph with "sym".
        MemoryError: what stays will not fit into memory; says how much it would take.

    Reference: J. Gasteiger, S. Weissenberger, S. Guennemann, Diffusion improves graph learning (2019), eqs. 1-4; used by
        GRAND-nl-rw (Chamberlain et al. 2021) and for the positions of BLEND.
    """

    kernel: Kernel = field(default_factory=PPR)
    top_k: int | None = None
    epsilon: float | None = None
    normalization: Literal["sym", "rw", "col"] = "sym"
    self_loop_weight: float = 1.0
    loops: bool = True
    renormalize: bool = True

    def __post_init__(self) -> None:
        if self.normalization not in NORMALIZATIONS:
            raise unknown("normalization", self.normalization, NORMALIZATIONS)
        if self.top_k is not None and self.epsilon is not None:
            raise ValueError(f"top_k = {self.top_k} and epsilon = {self.epsilon}; expected one of them")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k = {self.top_k}; expected at least 1")
        if self.epsilon is not None and not self.epsilon > 0:
            raise ValueError(f"epsilon = {self.epsilon}; expected a positive number")
        if not self.self_loop_weight >= 0:
            raise ValueError(f"self_loop_weight = {self.self_loop_weight}; expected at least 0")

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset({"nodes", *(["row sums"] if self.renormalize and self.loops else [])})

    @torch.no_grad()
    def apply(self, graph: Graph) -> Graph:
        if graph.weight is not None and bool((graph.weight < 0).any()):
            raise GraphError("the graph has negative weights; a random walk needs weights >= 0")
        if self.normalization == "sym":
            graph.require_undirected('GDC(normalization="sym")')
        matrix, root = transition(graph, self.normalization, self.self_loop_weight)
        series = self.kernel.chebyshev() if root is not None else self.kernel.powers()
        self._warn_of_work(graph, len(series))
        rows = DiffusionRows(matrix, series, root, self.normalization)
        target, source, value = rows.sparsified(self.top_k, self.epsilon or _EXACT, self.loops)
        if self.renormalize:
            total = value.new_zeros(graph.num_nodes).index_add(0, target, value)
            value = value / total[target]
        dtype = torch.get_default_dtype() if graph.weight is None else graph.weight.dtype
        edges = torch.stack([source, target])
        return replace(graph, edge_index=edges, weight=value.to(dtype), edge_attr=None, patterns={})

    def _warn_of_work(self, graph: Graph, terms: int) -> None:
        products = float(terms) * graph.num_nodes * (graph.num_edges + graph.num_nodes)
        if products > _SLOW:
            warnings.warn(
                f"GDC of {graph} takes {terms} products with all {graph.num_nodes:,} unit vectors, about {products:.1e} "
                f"multiplications; a larger alpha (or shorter t) takes fewer.",
                stacklevel=4,
            )

    @classmethod
    def example(cls) -> tuple[GDC, Graph]:
        """PageRank on a grid of twelve nodes with random weights, four entries of each row."""
        generator = torch.Generator().manual_seed(0)
        graph = Graph.grid(3, 4)
        half = 0.5 + torch.rand(graph.num_edges // 2, generator=generator, dtype=torch.float64)
        return cls(PPR(0.2), top_k=4), graph.with_weight(half.repeat(2))
