"""Whether a field is heat on a graph, and at which rate."""

from __future__ import annotations

import torch

from solvers import VectorField, linear_flow

from ..graph import Graph
from ..monitors.energy import check_normalization
from ..operators.laplacian import Laplacian


def heat_rate(graph: Graph, field: VectorField, normalization: str = "none") -> float | None:
    """kappa, if the field is `u' = -kappa L u` with the Laplacian of that name; None if it is anything else.

    A linear field of columns is heat if it does to a random vector what -kappa L does, to rounding.

    Args:
        graph: undirected.
        field: what `pde.on(graph, u0)` returns.
        normalization: of L, as in `DirichletEnergy`.
    """
    check_normalization(normalization)
    flow = linear_flow(field)
    if flow is None or flow.source is not None or not flow.operator.columnwise or flow.operator.shape[0] != graph.num_nodes:
        return None
    kind, loops = ("sym", True) if normalization == "sym_loops" else (normalization, False)
    laplacian = Laplacian(graph, kind, self_loops=loops, dtype=torch.float64)  # type: ignore[arg-type]
    with torch.no_grad():
        v = torch.randn(graph.num_nodes, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(graph.device)
        moved = flow.operator.matvec(v.to(flow.operator.dtype)).to(torch.float64)
        like = laplacian.matvec(v)
        size = graph.space.norm(like).sum()
        if not size > 0:
            return None
        rate = -float(graph.space.dot([(like, moved)]).sum() / size**2)
        left = float(graph.space.norm(moved + rate * like).sum())
    eps = torch.finfo(flow.operator.dtype).eps
    return rate if rate > 0 and left <= 1e3 * eps * rate * float(size) else None
