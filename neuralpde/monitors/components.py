"""A quantity component by component, where a total over the whole graph would hide what each does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading


def per_component(observable: Observable) -> Observable:
    """The same quantity for every connected component: its readings are `[components]`, not `[graphs]`.

    Components are numbered by their first node, as `components(graph)` has them. Diffusion keeps the mass of each:
    `Monitor(per_component(Mass()))`. Works for every observable.

    Args:
        observable: what to record.
    """
    return _PerComponent(observable)


def components(graph: Graph) -> Tensor:
    """The connected component of every node, `[nodes]` int64, numbered by first node; directions of edges do not matter."""
    source, target = graph.edge_index.cpu().numpy()
    shape = (graph.num_nodes, graph.num_nodes)
    found = connected_components(coo_array((torch.ones(len(source)).numpy(), (source, target)), shape=shape), directed=False)
    label = torch.as_tensor(found[1], dtype=torch.int64)
    first = torch.full((found[0],), graph.num_nodes).scatter_reduce(0, label, torch.arange(graph.num_nodes), "amin")
    return torch.argsort(torch.argsort(first))[label].to(graph.device)


@dataclass(frozen=True, eq=False)
class _PerComponent(Observable):
    observable: Observable

    @property
    def name(self) -> str:
        return f"{self.observable.name} per component"

    @property
    def whole_state(self) -> bool:  # type: ignore[override]
        return self.observable.whole_state

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        return self.observable.on(replace(graph, batch=components(graph)), field, read)
