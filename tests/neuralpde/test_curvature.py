"""Curvatures against the closed forms of the papers, and against their definitions spelt out."""

import math

import networkx as nx
import pytest
import torch
from scipy.optimize import linprog

from neuralpde import Graph, GraphError
from neuralpde.diagnosis import (
    balanced_forman_cost,
    balanced_forman_curvature,
    bottleneck_map,
    forman_curvature,
    lin_lu_yau_curvature,
    ollivier_curvature,
)

TORUS = Graph.grid(7, 8, periodic=True)
CUBE = Graph.from_networkx(nx.convert_node_labels_to_integers(nx.hypercube_graph(4)))
RANDOM = nx.gnp_random_graph(24, 0.25, seed=3)


def tree(r: int) -> tuple[Graph, torch.Tensor]:
    """Nodes with r + 1 neighbours, three levels deep, and the mask of edges between inner nodes."""
    graph = Graph.from_networkx(nx.full_rary_tree(r, 1 + r + r * r + r**3))
    both = graph.degree[graph.edge_index].min(0).values
    return graph, (both == r + 1)


def constant(values: torch.Tensor, expected: float) -> None:
    torch.testing.assert_close(values, torch.full_like(values, expected), rtol=0, atol=1e-12)


def test_forman_in_closed_form():
    constant(forman_curvature(Graph.ring(6)), 0)
    constant(forman_curvature(Graph.ring(3), augmented=True), 3)
    constant(forman_curvature(Graph.complete(6)), 6 - 12)
    constant(forman_curvature(Graph.complete(6), augmented=True), 6)
    constant(forman_curvature(TORUS, augmented=True), -4)
    graph, inner = tree(3)
    constant(forman_curvature(graph)[inner], 4 - 8)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [(Graph.ring(3), 3 / 2), (Graph.ring(4), 1), (Graph.ring(5), 0), (Graph.ring(6), 0), (Graph.ring(9), 0), (TORUS, 0)]
    + [(Graph.complete(n), n / (n - 1)) for n in (3, 4, 5, 8)],
)
def test_balanced_forman_has_the_values_of_the_paper(graph, expected):
    constant(balanced_forman_curvature(graph), expected)


@pytest.mark.parametrize("r", [2, 3])
def test_balanced_forman_of_trees_and_leaves(r):
    graph, inner = tree(r)
    value = balanced_forman_curvature(graph)
    constant(value[inner], 4 / (r + 1) - 2)
    constant(value[graph.degree[graph.edge_index].min(0).values == 1], 0)


def test_balanced_forman_of_the_bridge():
    graph = Graph.from_networkx(nx.barbell_graph(5, 0))
    bridge = (graph.edge_index == torch.tensor([[4], [5]])).all(0)
    constant(balanced_forman_curvature(graph)[bridge], -1.2)


def by_definition(graph: nx.Graph, i: int, j: int) -> float:
    """Definition 1 of Topping et al., word by word."""
    near, far = set(graph[i]), set(graph[j])
    if min(len(near), len(far)) == 1:
        return 0.0
    shared = near & far

    def squares(a: set[int], b: set[int], i: int, j: int) -> list[int]:
        return [n for k in a - b - {j} if (n := len((set(graph[k]) & b) - a - {i}))]

    here, there = squares(near, far, i, j), squares(far, near, j, i)
    high, low = max(len(near), len(far)), min(len(near), len(far))
    value = 2 / len(near) + 2 / len(far) - 2 + 2 * len(shared) / high + len(shared) / low
    return value + ((len(here) + len(there)) / (max(here + there) * high) if here + there else 0.0)


def test_balanced_forman_is_its_definition(monkeypatch):
    from neuralpde.diagnosis import edge_blocks

    graph = Graph.from_networkx(RANDOM)
    expected = torch.tensor([by_definition(RANDOM, i, j) for i, j in graph.edge_index.t().tolist()], dtype=torch.float64)
    torch.testing.assert_close(balanced_forman_curvature(graph), expected, rtol=0, atol=1e-12)
    monkeypatch.setattr(edge_blocks.edge_blocks, "__defaults__", (50,))  # one or two edges at a time
    torch.testing.assert_close(balanced_forman_curvature(graph), expected, rtol=0, atol=1e-12)
    triangles = torch.tensor([len(set(RANDOM[i]) & set(RANDOM[j])) for i, j in graph.edge_index.t().tolist()])
    torch.testing.assert_close(forman_curvature(graph, augmented=True) - forman_curvature(graph), 3.0 * triangles.double())


def test_ollivier_in_closed_form():
    constant(ollivier_curvature(Graph.complete(6)), 4 / 5)
    constant(ollivier_curvature(Graph.ring(7)), 0)
    constant(ollivier_curvature(Graph.ring(5)), 0)
    constant(ollivier_curvature(CUBE), 0)
    constant(ollivier_curvature(CUBE, alpha=0.5), 1 / 4)
    graph, inner = tree(3)
    constant(ollivier_curvature(graph)[inner], 4 / 4 - 2)


def test_lin_lu_yau_in_closed_form():
    constant(lin_lu_yau_curvature(Graph.complete(6)), 6 / 5)
    constant(lin_lu_yau_curvature(Graph.ring(4)), 1)
    constant(lin_lu_yau_curvature(Graph.ring(5)), 1 / 2)
    constant(lin_lu_yau_curvature(Graph.ring(6)), 0)
    constant(lin_lu_yau_curvature(CUBE), 2 / 4)
    graph, _ = tree(2)
    degree = graph.degree[graph.edge_index].double()
    torch.testing.assert_close(lin_lu_yau_curvature(graph), (2 / degree).sum(0) - 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_ollivier_is_a_linear_programme_over_the_whole_graph(alpha):
    graph = Graph.from_networkx(RANDOM)
    hops = dict(nx.all_pairs_shortest_path_length(RANDOM))
    n = len(RANDOM)
    cost = torch.tensor([[hops[a].get(b, 9) for b in range(n)] for a in range(n)]).double()
    sums = torch.cat([torch.eye(n).repeat_interleave(n, 1), torch.eye(n).repeat(1, n)]).numpy()
    found = ollivier_curvature(graph, alpha)
    for edge in range(0, graph.num_edges, 19):
        measures = torch.zeros(2, n, dtype=torch.float64)
        for row, node in enumerate(graph.edge_index[:, edge].tolist()):
            measures[row, list(RANDOM[node])] = (1 - alpha) / len(RANDOM[node])
            measures[row, node] += alpha
        exact = linprog(cost.reshape(-1).numpy(), A_eq=sums, b_eq=measures.reshape(-1).numpy()).fun
        assert float(found[edge]) == pytest.approx(1 - exact, abs=1e-9)


def test_lin_lu_yau_is_the_limit_and_both_solvers_of_transport_agree(monkeypatch):
    from neuralpde.diagnosis import transport

    graph = Graph.from_networkx(nx.gnp_random_graph(14, 0.35, seed=5))
    exact = lin_lu_yau_curvature(graph)
    torch.testing.assert_close(ollivier_curvature(graph, 0.999) / 0.001, exact, rtol=0, atol=1e-9)
    monkeypatch.setattr(transport, "_UNITS", 0)
    torch.testing.assert_close(lin_lu_yau_curvature(graph), exact, rtol=0, atol=1e-9)


def test_loops_weights_and_parallel_edges_are_not_read():
    edges = torch.cat([Graph.complete(4).edge_index, torch.tensor([[0, 0, 1], [0, 1, 0]])], 1)
    graph = Graph.from_edges(edges, torch.rand(edges.shape[1]))
    for curvature in (forman_curvature, balanced_forman_curvature, ollivier_curvature, lin_lu_yau_curvature):
        value = curvature(graph)
        assert value.isnan().tolist() == (edges[0] == edges[1]).tolist()
        constant(value[edges[0] != edges[1]], float(curvature(Graph.complete(4))[0]))
        with pytest.raises(GraphError, match="undirected"):
            curvature(Graph.from_edges([[0, 1], [1, 2]]))
        assert curvature(Graph.from_edges([[], []], num_nodes=2)).shape == (0,)
    with pytest.raises(ValueError, match="alpha"):
        ollivier_curvature(graph, 1.0)


def test_the_bottleneck_of_the_barbell_is_its_bridge():
    graph = Graph.from_networkx(nx.barbell_graph(5, 0))
    found = bottleneck_map(graph, 2)
    assert found.narrowest[:, 0].tolist() == [4, 5]
    assert found.curvature[0] == pytest.approx(-1.2)
    assert found.curvature[1] > 0
    assert found.node.tolist() == pytest.approx([float(found.edge[graph.edge_index[0] == v].min()) for v in range(10)])
    lonely = Graph.from_edges([[0, 1, 1], [1, 0, 1]], num_nodes=3)
    assert [math.isnan(x) for x in bottleneck_map(lonely).node.tolist()] == [False, False, True]
    assert bottleneck_map(graph, 1, curvature=lin_lu_yau_curvature(graph)).narrowest.flatten().tolist() == [4, 5]
    with pytest.raises(ValueError, match="one per edge"):
        bottleneck_map(graph, curvature=torch.zeros(3))


def test_the_cost_is_known_beforehand():
    cost = balanced_forman_cost(TORUS)
    assert cost.entries == TORUS.num_edges * 16
    assert cost.seconds > 0
    assert cost.bytes < 10**6
