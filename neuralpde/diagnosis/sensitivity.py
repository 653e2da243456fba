"""How much a solution at a node depends on the initial features at another: what squashing makes small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from torch import Tensor

from solvers import Integrator, SolveOptions, VectorField, solve

from ..graph import Graph, as_graph
from ..pdes.base import GraphPDE
from ..simulate import check_options, simulate
from .influence import BlockNorm, influence

if TYPE_CHECKING:
    from torch_geometric.data import Data


def sensitivity(
    pde: GraphPDE | VectorField,
    graph: Graph | Data,
    u0: Tensor,
    t: Tensor | Sequence[float] | float,
    method: str | Integrator = "auto",
    *,
    target: int | None = None,
    source: int | None = None,
    pairs: Tensor | None = None,
    norm: BlockNorm = "frobenius",
    **options: Unpack[SolveOptions],
) -> Tensor:
    """Exact sensitivity of the features at a time to the initial ones, `S(v, u) = |d x_v(T) / d x_u(0)|`.

    The derivative of what the integrator computes, by backward passes through it on the full graph; whatever the equation
    derives from the initial features (frozen attention) counts. For heat, S is `exp(-T L)_vu` times the root of the number of
    channels ("frobenius"). Where S falls off against `receptive_field`'s rule, or across one edge, features are squashed.

    Args:
        pde: the equation; or a field `f(t, u)`, solved as it is.
        graph: a `Graph` or a PyG `Data`.
        u0: initial node features, `[N, C]`.
        t: the final time T, or times of which the last is T.
        method: any integrator, by name or as an object.
        target: v; the answer is a map over u, by one backward pass per channel.
        source: u; the answer is a map over v, by a second derivative per channel.
        pairs: `[2, P]` int64, rows v and u; one backward pass per channel and different v.
        norm: over the channels, "frobenius" or "l1" (the sum of absolute values).
        **options: those of `solve` (`dt`, `rtol`, `gradient`, ...).

    Returns:
        `[N]` for a target or a source, `[P]` for pairs; in the dtype of u0.

    Raises:
        ValueError: not exactly one of target, source and pairs; nodes that are not there; an unknown norm or option.
        TypeError: the solve cannot be differentiated; or not twice, for `source`.

    Reference: J. Topping et al., Understanding over-squashing and bottlenecks on graphs via curvature (2022), Lemma 1.
    """
    check_options(list(options))
    graph = as_graph(graph)
    x0 = u0.unsqueeze(1) if u0.dim() == 1 else u0
    if x0.dim() != 2 or x0.shape[0] != graph.num_nodes:
        raise ValueError(f"u0 has shape {tuple(u0.shape)}; expected ({graph.num_nodes}, channels), one row per node")

    def final(u: Tensor) -> Tensor:
        if isinstance(pde, GraphPDE):
            return simulate(pde, graph, u, t, method, **options).u[-1]
        options.setdefault("space", graph.space)
        return solve(pde, u, t, method, **options).y[-1]

    return influence(final, x0, target=target, source=source, pairs=pairs, norm=norm)
