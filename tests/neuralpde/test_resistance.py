"""Resistances, commute times, gaps and cuts against closed forms and dense algebra."""

import math
from itertools import combinations

import networkx as nx
import pytest
import torch

from neuralpde import Graph, GraphError, Laplacian
from neuralpde.diagnosis import commute_time, effective_resistance, kirchhoff_index, spectral_gap, sweep_cut

PETERSEN = Graph.from_networkx(nx.petersen_graph())
BARBELL = Graph.from_networkx(nx.barbell_graph(5, 2), weight=None)


def every_pair(n: int) -> torch.Tensor:
    return torch.tensor(list(combinations(range(n), 2))).t()


def test_resistances_in_closed_form():
    pairs = every_pair(7)
    hops = (pairs[1] - pairs[0]).double()
    torch.testing.assert_close(effective_resistance(Graph.path(7), pairs), hops)
    torch.testing.assert_close(effective_resistance(Graph.ring(7), pairs), hops * (7 - hops) / 7)
    torch.testing.assert_close(effective_resistance(Graph.complete(7), pairs), torch.full((21,), 2 / 7, dtype=torch.float64))
    adjacent = torch.tensor([PETERSEN.to_scipy()[u, v] > 0 for u, v in every_pair(10).t().tolist()])
    exact = torch.where(adjacent, 6.0, 8.0).double() / 10
    torch.testing.assert_close(effective_resistance(PETERSEN, every_pair(10)), exact)
    across = torch.tensor([[0, 4], [11, 7]])  # from one clique of five to the other, by a path of three edges
    torch.testing.assert_close(effective_resistance(BARBELL, across), torch.tensor([3 + 4 / 5, 3], dtype=torch.float64))


def test_resistances_are_those_of_the_pseudoinverse():
    generator = torch.Generator().manual_seed(1)
    graph = Graph.from_networkx(nx.gnp_random_graph(30, 0.2, seed=1))
    low, high = graph.edge_index.min(0).values, graph.edge_index.max(0).values
    graph = graph.with_weight(torch.rand(30, 30, generator=generator, dtype=torch.float64)[low, high] + 0.1)
    inverse = torch.linalg.pinv(Laplacian(graph).to_dense())
    u, v = every_pair(30)
    exact = inverse[u, u] + inverse[v, v] - 2 * inverse[u, v]
    torch.testing.assert_close(effective_resistance(graph, every_pair(30)), exact, rtol=1e-10, atol=0)
    torch.testing.assert_close(kirchhoff_index(graph), float(exact.sum()), rtol=1e-10, atol=0)
    foster = (graph.edge_weight() * effective_resistance(graph)).sum() / 2
    torch.testing.assert_close(foster, torch.tensor(29.0).double())


def test_commute_is_the_volume_of_the_component_times_resistance():
    two = Graph.from_edges([[0, 1, 2, 4, 5], [1, 2, 0, 5, 6]], undirected=True)  # a triangle, a node alone, a path
    pairs = torch.tensor([[0, 4, 0, 3, 3], [1, 6, 4, 3, 0]])
    inf = math.inf
    assert effective_resistance(two, pairs).tolist() == pytest.approx([2 / 3, 2, inf, 0, inf])
    assert commute_time(two, pairs).tolist() == pytest.approx([4, 8, inf, 0, inf])
    assert kirchhoff_index(two) == inf
    torch.testing.assert_close(commute_time(PETERSEN), torch.full((30,), 18.0).double())


def test_kirchhoff_index_in_closed_form():
    n = 9
    assert kirchhoff_index(Graph.path(n)) == pytest.approx((n**3 - n) / 6)
    assert kirchhoff_index(Graph.ring(n)) == pytest.approx((n**3 - n) / 12)
    assert kirchhoff_index(Graph.complete(n)) == pytest.approx(n - 1)
    assert kirchhoff_index(PETERSEN) == pytest.approx(33)


def test_gaps_in_closed_form():
    n, pi = 12, math.pi
    assert spectral_gap(Graph.path(n)) == pytest.approx(1 - math.cos(pi / (n - 1)), abs=1e-12)
    assert spectral_gap(Graph.path(n), "none") == pytest.approx(2 - 2 * math.cos(pi / n), abs=1e-12)
    assert spectral_gap(Graph.ring(n)) == pytest.approx(1 - math.cos(2 * pi / n), abs=1e-12)
    assert spectral_gap(Graph.complete(n)) == pytest.approx(n / (n - 1), abs=1e-12)
    assert spectral_gap(Graph.complete(n), "none") == pytest.approx(n, abs=1e-12)
    assert spectral_gap(PETERSEN, "none") == pytest.approx(2, abs=1e-12)
    assert spectral_gap(Graph.path(600)) == pytest.approx(1 - math.cos(pi / 599), abs=1e-11)  # by Lanczos
    assert spectral_gap(Graph.from_networkx(nx.barbell_graph(5, 0)), "none") == pytest.approx(0.298437881, abs=1e-9)
    assert spectral_gap(Graph.from_edges([[0, 2], [1, 3]], undirected=True)) == 0
    assert spectral_gap(Graph.from_edges([[0], [1]], num_nodes=3, undirected=True)) == 0


def least_conductance(graph: Graph) -> float:
    """By looking at every cut."""
    dense = torch.as_tensor(graph.to_scipy().toarray()).double()
    masks = torch.tensor([[(k >> i) & 1 for i in range(graph.num_nodes)] for k in range(1, 2 ** (graph.num_nodes - 1))])
    x = masks.to(dense.dtype)
    across = ((x @ dense) * (1 - x)).sum(1)
    volume = x @ dense.sum(1)
    return float((across / torch.minimum(volume, dense.sum() - volume)).min())


@pytest.mark.parametrize(
    "graph",
    [Graph.path(9), Graph.ring(10), Graph.complete(6), PETERSEN, BARBELL],
    ids=["path", "ring", "K6", "petersen", "barbell"],
)
def test_cheeger_and_the_sweep(graph):
    cut, h = sweep_cut(graph), least_conductance(graph)
    assert cut.lower - 1e-12 <= h <= cut.conductance + 1e-12
    assert cut.conductance <= cut.upper + 1e-12
    source, target = graph.edge_index
    across = float((cut.side[source] != cut.side[target]).sum()) / 2
    volume = float(graph.degree[cut.side].sum())
    assert cut.conductance == pytest.approx(across / min(volume, graph.num_edges - volume))


def test_the_sweep_finds_the_bridge_and_the_gap_between_components():
    cut = sweep_cut(BARBELL)
    assert cut.conductance == pytest.approx(1 / 23)
    assert cut.side[:6].all() != cut.side[6:].all()
    apart = sweep_cut(Graph.from_edges([[0, 1, 2, 4, 5], [1, 2, 0, 5, 6]], undirected=True))
    assert (apart.conductance, apart.upper) == (0, 0)


def test_directed_graphs_and_strange_pairs_are_refused():
    for function in (effective_resistance, commute_time, kirchhoff_index, spectral_gap, sweep_cut):
        with pytest.raises(GraphError, match="undirected"):
            function(Graph.from_edges([[0], [1]]))
        with pytest.raises(GraphError, match="not negative; got -2 at edge 0"):
            function(Graph.ring(4).with_weight(torch.tensor([-2.0, 1, 1, 1, -2, 1, 1, 1])))
    with pytest.raises(ValueError, match=r"nodes 0\.\.4"):
        effective_resistance(Graph.ring(5), torch.tensor([[0], [5]]))
    with pytest.raises(ValueError, match="normalization"):
        spectral_gap(Graph.ring(5), "rv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least two"):
        sweep_cut(Graph.from_edges([[], []], num_nodes=3))
