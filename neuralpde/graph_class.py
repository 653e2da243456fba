"""The graph: edges, weights and what a differential equation needs to know about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from solvers import Pattern, PerGraph, Plain, Space

from .graph_build import Edges, complete_edges, grid_edges, knn_edges, moved, path_edges, repeat_edges, ring_edges, symmetrise
from .graph_check import as_edge_index, check_parts, mirrored, refuse_directed, unpaired, warn_unentered
from .graph_convert import SparseMatrix, data_edges, edges_data, edges_networkx, edges_scipy, networkx_edges, scipy_edges
from .graph_order import in_order, node_order

if TYPE_CHECKING:
    import networkx as nx
    import scipy.sparse as sp
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A weighted directed graph, or several as one block-diagonal graph; make one with `Graph.from_edges` and its kin.

    Edge e goes from `edge_index[0, e]` to `edge_index[1, e]`, as in PyG: an operator gathers at targets,
    `y_i = sum over edges j -> i of w_ji x_j`. Each undirected edge is stored in both directions.

    Args:
        edge_index: `[2, E]` int64, source and target, in the user's order.
        weight: `[E]`, or None for ones.
        num_nodes: N.
        batch: `[N]` int64, the graph of each node, or None for one graph.
        pos: `[N, d]` positions (metres, or whatever the source says).
        edge_attr: `[E, ...]`.
        node: further data with one row per node (features, labels, masks, areas, ...).
        patterns: sparsity patterns made so far, shared by all graphs with these edges; leave it alone.
    """

    edge_index: Tensor
    _: KW_ONLY
    num_nodes: int
    weight: Tensor | None = None
    batch: Tensor | None = None
    pos: Tensor | None = None
    edge_attr: Tensor | None = None
    node: Mapping[str, Tensor] = field(default_factory=dict)
    patterns: dict[str, Pattern] = field(default_factory=dict)

    @property
    def num_edges(self) -> int:
        """Stored (directed) edges: an undirected edge counts twice."""
        return self.edge_index.size(1)

    @property
    def device(self) -> torch.device:
        return self.edge_index.device

    @cached_property
    def num_graphs(self) -> int:
        return 1 if self.batch is None or self.num_nodes == 0 else int(self.batch.max()) + 1

    @property
    def pattern(self) -> Pattern:
        """Where the adjacency is nonzero: rows are targets, columns sources, entries in the order of the edges."""
        if "edges" not in self.patterns:
            source, target = self.edge_index
            self.patterns["edges"] = Pattern(target, source, self.num_nodes, self.num_nodes)
        return self.patterns["edges"]

    @property
    def loop_pattern(self) -> Pattern:
        """As `pattern`, followed by one entry (i, i) per node (E + N entries): what a Laplacian needs."""
        if "loops" not in self.patterns:
            loop = torch.arange(self.num_nodes, device=self.device)
            rows, cols = torch.cat([self.edge_index[1], loop]), torch.cat([self.edge_index[0], loop])
            self.patterns["loops"] = Pattern(rows, cols, self.num_nodes, self.num_nodes)
        return self.patterns["loops"]

    @cached_property
    def space(self) -> Space:
        """How reductions over the nodes are done: over all of them, or graph by graph."""
        return Plain() if self.batch is None else PerGraph(self.batch)

    def edge_weight(self, dtype: torch.dtype | None = None) -> Tensor:
        """The weights `[E]`, ones where there are none; in `dtype` if given."""
        if self.weight is None:
            return torch.ones(self.num_edges, dtype=dtype, device=self.device)
        return self.weight if dtype is None else self.weight.to(dtype)

    @property
    def degree(self) -> Tensor:
        """Weighted in-degree `[N]`: d_i = sum over edges j -> i of w_ji. Differentiable in the weights."""
        if self.weight is not None and self.weight.requires_grad:
            return self._in_degree()
        return self._constant_degree

    @cached_property
    def _constant_degree(self) -> Tensor:
        return self._in_degree()

    def _in_degree(self) -> Tensor:
        weight = self.edge_weight()
        return weight.new_zeros(self.num_nodes).index_add(0, self.edge_index[1], weight)

    @cached_property
    def isolated(self) -> int:
        """Number of nodes that no edge enters (in an undirected graph: isolated nodes)."""
        return int(self._unentered.sum())

    @property
    def _unentered(self) -> Tensor:
        return torch.bincount(self.edge_index[1], minlength=self.num_nodes) == 0

    @cached_property
    def undirected(self) -> bool:
        """Whether every edge has its reverse with the same weight."""
        if self.weight is None and mirrored(self.pattern):
            return True
        missing, unequal = unpaired(self.edge_index, self.weight, self.num_nodes)
        return not bool((missing | unequal).any())

    def require_undirected(self, who: str) -> None:
        """Raise a `GraphError` naming the first edge at fault, unless the graph is undirected; `who` needs that ("Wave")."""
        if not self.undirected:
            refuse_directed(who, self.edge_index, self.weight, self.num_nodes)

    def warn_isolated(self, who: str) -> None:
        """Warn that a degree-normalised operator `who` has zero rows, if the graph has isolated nodes."""
        if self.isolated:
            warn_unentered(who, self._unentered)

    def to(self, device: torch.device | str | torch.dtype | None = None, dtype: torch.dtype | None = None) -> Graph:
        """The graph on a device; with a dtype, its floating data in that dtype. Accepts either one alone."""
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        graph = self._with(moved(self._parts, device, dtype))
        return replace(graph, patterns=self.patterns) if graph.device == self.device else graph

    def with_weight(self, weight: Tensor | None) -> Graph:
        """The same edges with other weights `[E]` (not validated); the sparsity patterns are shared."""
        return replace(self, weight=weight)

    def with_node(self, **data: Tensor) -> Graph:
        """The same graph with further data per node, each `[N, ...]`."""
        return replace(self, node={**self.node, **data})

    def to_undirected(self) -> Graph:
        """Add the missing reverse edges; where both directions exist, both get the mean of their weights."""
        return self if self.undirected else self._with(symmetrise(self._parts))

    def repeat(self, copies: int) -> Graph:
        """So many copies side by side as one block-diagonal graph; `batch` numbers them.

        Raises:
            GraphError: the graph is a batch already, or `copies` is not positive.
        """
        return self._with(repeat_edges(self._parts, copies))

    def reordered(self, method: Literal["rcm"] | Tensor = "rcm") -> tuple[Graph, Tensor]:
        """The graph with its nodes in an order that keeps neighbours close in memory, and that order.

        Node i there is node `order[i]` here, all data per node with it: a state is `x[order]` there, and back
        `y[order.argsort()]`. Edges keep their order. See `graph_order` for when this pays.

        Args:
            method: "rcm" (reverse Cuthill-McKee), or an order of your own, `[N]`.
        """
        order = node_order(self._parts, method)
        return self._with(in_order(self._parts, order)), order

    def to_data(self) -> Data:
        """The graph as a PyG `Data` (`weight` as `edge_weight`, `node` as attributes)."""
        return edges_data(self._parts)

    def to_networkx(self) -> nx.Graph[Any]:
        """The graph in networkx: undirected if it is, a multigraph if it has parallel edges."""
        return edges_networkx(self._parts, self.undirected)

    def to_scipy(self) -> sp.csr_array:
        """The adjacency as a CSR array, entry (i, j) the weight of i -> j (as in `scipy.sparse.csgraph`)."""
        return edges_scipy(self._parts, self.edge_weight())

    @property
    def _parts(self) -> Edges:
        return Edges(self.edge_index, self.num_nodes, self.weight, self.pos, self.batch, self.edge_attr, self.node)

    @classmethod
    def _with(cls, parts: Edges) -> Graph:
        return cls(**parts._asdict())

    def __repr__(self) -> str:
        what = [f"{self.num_nodes:,} nodes", f"{self.num_edges:,} edges"]
        what += [f"{self.num_graphs:,} graphs"] * (self.batch is not None) + ["weighted"] * (self.weight is not None)
        return f"Graph({', '.join(what)}{', node: ' + ', '.join(self.node) if self.node else ''})"

    @classmethod
    def from_edges(
        cls,
        edge_index: Any,
        weight: Tensor | None = None,
        num_nodes: int | None = None,
        *,
        batch: Tensor | None = None,
        pos: Tensor | None = None,
        edge_attr: Tensor | None = None,
        node: Mapping[str, Tensor] | None = None,
        undirected: bool = False,
        signed: bool = False,
        validate: bool = True,
    ) -> Graph:
        """Make a graph of edges, checked once.

        Args:
            edge_index: `[2, E]` integers, source and target (tensor, array or nested list). A 2 x 2 array is taken as
                it is: no test can tell it from its transpose.
            weight: `[E]` floating; None for ones.
            num_nodes: N; None for the largest index + 1 (or the rows of `batch` or `pos`).
            batch, pos, edge_attr, node: see the class.
            undirected: add the missing reverse edges.
            signed: allow negative weights.
            validate: False skips the checks of values (not of shape and type).

        Raises:
            GraphError: what is wrong, where, and what to do.
        """
        index = as_edge_index(edge_index)
        source = f"num_nodes={num_nodes}"
        for name, rows in (("batch", batch), ("pos", pos)):
            if num_nodes is None and rows is not None:
                num_nodes, source = rows.size(0), f"{name} has {rows.size(0)} rows"
        if num_nodes is None:
            num_nodes = int(index.max()) + 1 if index.numel() else 0
        parts = Edges(index, num_nodes, weight, pos, batch, edge_attr, dict(node or {}))
        return cls._checked(parts, source, undirected, signed, validate)

    @classmethod
    def _checked(cls, parts: Edges, source: str, undirected: bool, signed: bool, validate: bool) -> Graph:
        if validate:
            check_parts(parts, source, signed)
        graph = cls._with(parts)
        return graph.to_undirected() if undirected else graph

    @classmethod
    def from_data(cls, data: Data, *, undirected: bool = False, signed: bool = False, validate: bool = True) -> Graph:
        """Read a PyG `Data` or `Batch`: `edge_weight` is the weight, other node-level tensors go to `node`.

        Raises:
            GraphError: as `from_edges`; also for `HeteroData`, no `edge_index`, and non-finite features.
        """
        parts, source = data_edges(data)
        parts = parts._replace(edge_index=as_edge_index(parts.edge_index))
        return cls._checked(parts, source, undirected, signed, validate)

    @classmethod
    def from_networkx(cls, graph: nx.Graph[Any], weight: str | None = "weight", *, signed: bool = False) -> Graph:
        """Read a networkx graph; node i is the i-th of `graph.nodes`, `weight` names the edge attribute.

        Undirected edges are stored both ways; numeric node attributes that all nodes have go to `node`.
        """
        return cls._checked(networkx_edges(graph, weight), f"the graph has {len(graph)} nodes", False, signed, True)

    @classmethod
    def from_scipy(cls, matrix: SparseMatrix, *, signed: bool = False) -> Graph:
        """Read a sparse adjacency; entry (i, j) is the weight of the edge i -> j, as in `scipy.sparse.csgraph`."""
        parts = scipy_edges(matrix)
        return cls._checked(parts, f"the matrix has {parts.num_nodes} rows", False, signed, True)

    @classmethod
    def grid(cls, rows: int, cols: int, periodic: bool = False) -> Graph:
        """Each cell joined to its four neighbours; node r * cols + c at pos (c, r); a torus if `periodic`."""
        return cls._with(grid_edges(rows, cols, periodic))

    @classmethod
    def ring(cls, n: int) -> Graph:
        """The cycle of n nodes: lambda_k(L) = 2 - 2 cos(2 pi k / n)."""
        return cls._with(ring_edges(n))

    @classmethod
    def path(cls, n: int) -> Graph:
        """The path of n nodes: lambda_k(L) = 2 - 2 cos(pi k / n)."""
        return cls._with(path_edges(n))

    @classmethod
    def complete(cls, n: int) -> Graph:
        """Every two nodes joined: lambda(L) = 0 once and n otherwise."""
        return cls._with(complete_edges(n))

    @classmethod
    def knn(cls, points: Tensor, k: int) -> Graph:
        """Points `[N, d]` joined to their k nearest (Euclidean), made undirected; `pos` holds the points."""
        return cls._with(knn_edges(points, k))
