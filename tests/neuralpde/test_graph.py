"""The graph: constructors against their definitions, conversions there and back, caches that notice changes."""

import copy
import gc
import math
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from neuralpde.errors import GraphError
from neuralpde.graph import Graph, as_graph
from neuralpde.graph_check import relabel
from solvers import PerGraph, Plain


def dense(graph: Graph) -> torch.Tensor:
    """The adjacency by definition: A[target, source], parallel edges added up."""
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    for (source, target), w in zip(graph.edge_index.t().tolist(), graph.edge_weight().tolist(), strict=True):
        matrix[target, source] += w
    return matrix


@st.composite
def graphs(draw: st.DrawFn, weighted: bool | None = None) -> Graph:
    """Directed multigraphs with self-loops and isolated nodes; weights are exact in float32."""
    n = draw(st.integers(1, 9))
    node = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=20))
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    weight = None
    if draw(st.booleans()) if weighted is None else weighted:
        values = draw(st.lists(st.integers(1, 64), min_size=len(edges), max_size=len(edges)))
        weight = torch.tensor(values, dtype=torch.float32) / 8
    return Graph.from_edges(index, weight, n)


CONSTRUCTED: dict[str, tuple[Callable[[], Graph], Callable[[], Any]]] = {
    "grid": (lambda: Graph.grid(3, 4), lambda: nx.grid_2d_graph(3, 4)),
    "torus": (lambda: Graph.grid(3, 4, periodic=True), lambda: nx.grid_2d_graph(3, 4, periodic=True)),
    "ring": (lambda: Graph.ring(7), lambda: nx.cycle_graph(7)),
    "path": (lambda: Graph.path(6), lambda: nx.path_graph(6)),
    "one": (lambda: Graph.path(1), lambda: nx.path_graph(1)),
    "complete": (lambda: Graph.complete(5), lambda: nx.complete_graph(5)),
}


@pytest.mark.parametrize("name", CONSTRUCTED)
def test_constructors_agree_with_networkx(name: str):
    ours, theirs = CONSTRUCTED[name][0](), CONSTRUCTED[name][1]()
    order = sorted(theirs.nodes)
    expected = torch.from_numpy(nx.to_numpy_array(theirs, nodelist=order))
    assert torch.equal(dense(ours), expected)
    assert ours.undirected
    assert ours.num_edges == 2 * theirs.number_of_edges()


def test_grid_positions_are_column_and_row():
    graph = Graph.grid(2, 3)
    assert graph.pos is not None
    assert graph.pos.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    source, target = graph.edge_index
    assert torch.allclose((graph.pos[source] - graph.pos[target]).norm(dim=1), torch.ones(graph.num_edges))


@pytest.mark.parametrize(("n", "d", "k"), [(40, 3, 4), (40, 14, 4), (25, 1, 7)])
def test_knn_is_the_union_of_nearest_neighbours(n: int, d: int, k: int):
    points = torch.randn(n, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    distance = torch.cdist(points, points).fill_diagonal_(math.inf)
    near = torch.zeros(n, n, dtype=torch.bool).scatter_(1, distance.argsort(dim=1)[:, :k], True)
    expected = (near | near.t()).to(torch.float64)
    assert torch.equal(dense(Graph.knn(points, k)), expected)


@pytest.mark.parametrize("chunk", [4_000_000, 100])
def test_the_tree_and_the_pairs_find_the_same_neighbours(chunk: int):
    from neuralpde.graph_build import _nearest_by_pairs, _nearest_by_tree

    points = torch.rand(60, 4, generator=torch.Generator().manual_seed(2))
    tree, pairs = _nearest_by_tree(points, 5), _nearest_by_pairs(points, 5, chunk)
    assert torch.equal(tree.sort(1).values, pairs.sort(1).values)


def test_knn_names_the_point_that_is_not_finite():
    with pytest.raises(GraphError, match=r"points\[3\] is not finite"):
        Graph.knn(torch.tensor([[0.0], [1.0], [2.0], [torch.nan]]), 1)


def test_knn_of_coinciding_points_excludes_the_point_itself():
    graph = Graph.knn(torch.zeros(5, 2), 2)
    assert not bool((graph.edge_index[0] == graph.edge_index[1]).any())
    assert graph.isolated == 0


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_scipy_round_trip(graph: Graph):
    matrix = graph.to_scipy()
    assert np.array_equal(matrix.toarray(), dense(graph).t().numpy())
    assert torch.equal(dense(Graph.from_scipy(matrix)), dense(graph))


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_networkx_round_trip(graph: Graph):
    theirs = graph.to_networkx()
    assert theirs.is_directed() != graph.undirected
    back = Graph.from_networkx(theirs)
    assert torch.equal(dense(back), dense(graph))
    assert (back.weight is None) == (graph.weight is None or graph.num_edges == 0)


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(0, 3))
def test_data_round_trip(graph: Graph, channels: int):
    x = torch.arange(graph.num_nodes * channels, dtype=torch.float32).reshape(graph.num_nodes, channels)
    graph = graph.with_node(x=x, y=torch.arange(graph.num_nodes))
    back = Graph.from_data(graph.to_data())
    assert torch.equal(back.edge_index, graph.edge_index)
    assert back.num_nodes == graph.num_nodes
    assert back.weight is graph.weight
    assert back.node.keys() == graph.node.keys()
    assert all(torch.equal(back.node[key], graph.node[key]) for key in graph.node)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_undirected_means_a_symmetric_adjacency(graph: Graph):
    matrix = dense(graph)
    assert graph.undirected == torch.equal(matrix, matrix.t())
    both = graph.to_undirected()
    assert both.undirected
    if graph.undirected:
        assert both is graph
    else:
        mean = torch.where((matrix != 0) & (matrix.t() != 0), (matrix + matrix.t()) / 2, matrix + matrix.t())
        assert torch.allclose(dense(both), mean)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_degree_isolated_and_patterns_by_definition(graph: Graph):
    matrix = dense(graph)
    assert torch.equal(graph.degree.to(torch.float64), matrix.sum(1))
    assert graph.isolated == int((matrix.sum(1) == 0).sum())
    pattern, loops = graph.pattern, graph.loop_pattern
    assert torch.equal(torch.stack([pattern.cols, pattern.rows]), graph.edge_index)
    assert len(loops) == graph.num_edges + graph.num_nodes
    assert torch.equal(loops.rows[: graph.num_edges], pattern.rows)
    assert loops.rows[graph.num_edges :].tolist() == loops.cols[graph.num_edges :].tolist() == list(range(graph.num_nodes))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1))
def test_relabel_is_a_bijection(pairs: list[tuple[int, int]]):
    index = torch.tensor(pairs).t()
    new, nodes = relabel(index)
    assert torch.equal(nodes[new], index)
    assert int(new.max()) + 1 == nodes.numel() == len(set(nodes.tolist()))
    assert Graph.from_edges(new).num_nodes == nodes.numel()


def test_symmetrised_edge_attributes_follow_their_edge():
    attr = torch.tensor([[10.0], [20.0], [21.0], [30.0]])
    graph = Graph.from_edges([[0, 1, 1, 2], [1, 2, 2, 2]], edge_attr=attr, undirected=True)
    assert graph.edge_index.tolist() == [[0, 1, 2, 1, 2], [1, 2, 2, 0, 1]]
    assert graph.edge_attr is not None
    assert graph.edge_attr.flatten().tolist() == [10, 20, 30, 10, 20]


def test_degree_is_differentiable_again_and_again():
    weight = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    graph = Graph.from_edges([[0, 1, 2], [1, 2, 1]], weight)
    for _ in range(2):
        (grad,) = torch.autograd.grad(graph.degree.square().sum(), weight)
        assert grad.tolist() == [8.0, 4.0, 8.0]


def test_other_weights_share_the_patterns():
    graph = Graph.grid(3, 3)
    other = graph.with_weight(torch.rand(graph.num_edges))
    assert other.pattern is graph.pattern
    assert other.loop_pattern is graph.loop_pattern
    assert not other.undirected
    assert graph.undirected


def test_to_converts_floating_data_only():
    graph = Graph.from_edges(
        [[0, 1], [1, 0]], torch.ones(2), pos=torch.zeros(2, 3), node={"x": torch.ones(2, 1), "y": torch.tensor([0, 1])}
    )
    double = graph.to(torch.float64)
    assert double.weight is not None
    assert double.pos is not None
    assert double.weight.dtype == double.pos.dtype == double.node["x"].dtype == torch.float64
    assert double.edge_index.dtype == double.node["y"].dtype == torch.int64
    assert double.pattern is graph.pattern
    meta = graph.to("meta")
    assert meta.device.type == "meta"
    assert meta.patterns == {}


def test_space_and_number_of_graphs():
    graph = Graph.grid(2, 2)
    assert isinstance(graph.space, Plain)
    batch = graph.repeat(3)
    assert isinstance(batch.space, PerGraph)
    assert (graph.num_graphs, batch.num_graphs) == (1, 3)
    expected = torch.block_diag(*[dense(graph)] * 3)
    assert torch.equal(dense(batch), expected)
    x = torch.arange(12.0).unsqueeze(1)
    assert batch.space.total(x).tolist() == [6.0, 22.0, 38.0]
    assert "3 graphs" in repr(batch)


def test_repeat_agrees_with_a_pyg_batch():
    one = Graph.knn(torch.randn(6, 2, generator=torch.Generator().manual_seed(0)), 2).with_node(x=torch.rand(6, 2))
    theirs = as_graph(Batch.from_data_list([one.to_data()] * 4))  # type: ignore[arg-type]
    ours = one.repeat(4)
    assert ours.num_graphs == theirs.num_graphs == 4
    assert torch.equal(dense(ours), dense(theirs))
    assert ours.batch is not None
    assert theirs.batch is not None
    assert torch.equal(ours.batch, theirs.batch)
    assert torch.equal(ours.node["x"], theirs.node["x"])


def test_data_is_read_once_until_it_changes():
    data = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1], [1, 0]]))
    first = as_graph(data)
    assert as_graph(data) is first
    assert as_graph(first) is first
    data.x = data.x + 1
    second = as_graph(data)
    assert second is not first
    assert torch.equal(second.node["x"], data.x)
    assert second.pattern is first.pattern
    data.edge_weight = torch.tensor([1.0, 2.0])
    assert as_graph(data).weight is data.edge_weight
    data.edge_weight.mul_(-1)
    with pytest.raises(GraphError, match="negative"):
        as_graph(data)
    del data.edge_weight
    data.edge_index[1, 0] = 2
    third = as_graph(data)
    assert third.edge_index[:, 0].tolist() == [0, 2]
    assert third.pattern is not first.pattern
    data.x = torch.rand(5, 2)
    assert as_graph(data).num_nodes == 5


def test_the_cache_lets_go():
    data = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1], [1, 0]]))
    graph = weakref.ref(as_graph(data))
    assert graph() is not None
    del data
    gc.collect()
    assert graph() is None


def test_data_made_under_inference_mode_is_read():
    with torch.inference_mode():
        data = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1], [1, 0]]))
        assert as_graph(data).num_nodes == 3
    assert as_graph(data).num_edges == 2


def test_as_graph_takes_networkx_and_scipy():
    path = nx.path_graph(4)
    assert torch.equal(dense(as_graph(path)), dense(Graph.path(4)))
    matrix = sp.csr_matrix(nx.to_numpy_array(path))
    assert torch.equal(dense(as_graph(matrix)), dense(Graph.path(4)))
    with pytest.raises(TypeError, match=r"got a list; expected a Graph.*Graph\.from_edges"):
        as_graph([[0, 1], [1, 0]])  # type: ignore[arg-type]


def test_networkx_attributes():
    theirs = nx.Graph()
    theirs.add_node("a", pos=(0.0, 1.0), size=3, name="x")
    theirs.add_node("b", pos=(2.0, 3.0), size=4, name="y")
    theirs.add_edge("a", "b", weight=0.5, length=7.0)
    graph = Graph.from_networkx(theirs, weight="length")
    assert graph.pos is not None
    assert graph.weight is not None
    assert graph.pos.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert graph.node["size"].tolist() == [3, 4]
    assert "name" not in graph.node
    assert graph.weight.tolist() == [7.0, 7.0]
    assert Graph.from_networkx(theirs, weight=None).weight is None


def test_empty_graphs():
    for graph in (Graph.from_edges([]), Graph.from_edges(torch.empty(2, 0)), Graph.from_edges([[], []], num_nodes=3)):
        assert graph.num_edges == 0
        assert graph.undirected
        assert graph.isolated == graph.num_nodes
        assert graph.to_undirected() is graph
        assert graph.degree.tolist() == [0.0] * graph.num_nodes
    assert Graph.from_networkx(nx.empty_graph(3)).num_nodes == 3


def test_copies_and_pickles():
    graph = Graph.grid(2, 3).with_node(x=torch.rand(6, 1))
    _ = graph.loop_pattern, graph.undirected
    for twin in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert torch.equal(twin.edge_index, graph.edge_index)
        assert torch.equal(twin.node["x"], graph.node["x"])
