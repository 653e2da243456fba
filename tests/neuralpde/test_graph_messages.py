"""What a graph that cannot be says: type, named node, number, suggestion; and that the suggestion works."""

import warnings

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from neuralpde.errors import CheckpointError, DataMissing, GraphError, NeuralPDEError
from neuralpde.graph import Graph, as_graph
from neuralpde.graph_check import check_features, relabel


def message(make: object, *args: object, **options: object) -> str:
    with pytest.raises(GraphError) as caught:
        make(*args, **options)  # type: ignore[operator]
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def test_errors_are_ours_and_the_fitting_built_in():
    for error, builtin in ((GraphError, ValueError), (DataMissing, FileNotFoundError), (CheckpointError, ValueError)):
        assert issubclass(error, NeuralPDEError)
        assert issubclass(error, builtin)
    assert str(DataMissing("here")) == "here"


def test_index_out_of_range():
    index = torch.tensor([[7, 0], [1, 2]])
    data = Data(x=torch.rand(3, 1), edge_index=index)
    text = message(as_graph, data)
    for part in ("node 7", "column 0", "x has 3 rows", "0..2", "num_nodes=8", "neuralpde.relabel(edge_index)"):
        assert part in text
    assert "num_nodes=3" in message(Graph.from_edges, index, num_nodes=3)
    assert Graph.from_edges(index, num_nodes=8).num_nodes == 8
    new, nodes = relabel(index)
    assert Graph.from_edges(new).num_nodes == nodes.numel() == 4
    assert message(Graph.from_edges, index, pos=torch.zeros(3, 2)).count("pos has 3 rows") == 1


def test_negative_index():
    index = torch.tensor([[0, -1], [1, 2]])
    text = message(Graph.from_edges, index)
    assert "node -1" in text
    assert "column 1" in text
    new, _ = relabel(index)
    assert Graph.from_edges(new).num_nodes == 4


def test_transposed_edge_index():
    index = torch.tensor([[0, 1], [1, 2], [2, 0]])
    text = message(Graph.from_edges, index)
    for part in ("(3, 2)", "(2, E)", "edge_index.t()"):
        assert part in text
    assert Graph.from_edges(index.t()).num_edges == 3
    assert "t()" not in message(Graph.from_edges, torch.zeros(3, 3, dtype=torch.int64))


def test_floating_edge_index():
    index = torch.tensor([[0.0, 1.0], [1.0, 2.0]])
    text = message(Graph.from_edges, index)
    for part in ("float32", "expected integer", "edge_index.long()"):
        assert part in text
    assert Graph.from_edges(index.long()).num_edges == 2
    assert Graph.from_edges(index.int()).edge_index.dtype == torch.int64
    assert "bool" in message(Graph.from_edges, index.bool())


def test_non_finite_features():
    x = torch.zeros(3, 2)
    x[0, 1] = torch.nan
    data = Data(x=x, edge_index=torch.tensor([[0, 1], [1, 0]]))
    text = message(as_graph, data)
    for part in ("x has 1 non-finite value,", "node 0", "feature 1", "x.nan_to_num()"):
        assert part in text
    data.x = x.nan_to_num()
    assert as_graph(data).num_nodes == 3
    x[2, 0] = torch.inf
    text = message(check_features, torch.stack([torch.zeros(3, 2), x]))
    assert "x0 has 2 non-finite values" in text
    assert "node 0, feature 1" in text
    assert "first at node 1." in message(check_features, torch.tensor([0.0, torch.inf]), "u")


def test_directed_where_undirected_is_needed():
    graph = Graph.from_edges([[0, 1, 4], [1, 0, 17]])
    with pytest.raises(GraphError) as caught:
        graph.require_undirected("Wave")
    for part in ("Wave needs an undirected graph", "1 of 3 edges", "no reverse", "4 -> 17", "to_undirected()"):
        assert part in str(caught.value)
    graph.to_undirected().require_undirected("Wave")
    Graph.from_edges([[0, 1, 4], [1, 0, 17]], undirected=True).require_undirected("Wave")


def test_unequal_weights_of_the_two_directions():
    graph = Graph.from_edges([[0, 1], [1, 0]], torch.tensor([1.0, 2.0]))
    assert "2 of 2 edges have another weight than their reverse (first: 0 -> 1)" in message(
        graph.require_undirected, "Diffusion"
    )
    mended = graph.to_undirected()
    mended.require_undirected("Diffusion")
    assert mended.weight is not None
    assert mended.weight.tolist() == [1.5, 1.5]


def test_rounding_does_not_make_a_graph_directed():
    w = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pairs = torch.stack([torch.arange(1000), torch.arange(1, 1001)])
    graph = Graph.from_edges(torch.cat([pairs, pairs.flip(0)], 1), torch.cat([w, w * (1 + 1e-15)]))
    assert graph.undirected


def test_isolated_nodes_warn_on_request_only():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = Graph.from_edges([[0, 2], [2, 0]], num_nodes=5)
    assert graph.isolated == 3
    with pytest.warns(UserWarning, match=r"3 isolated nodes \(first: 1\) keep their value; .*Laplacian") as caught:
        graph.warn_isolated("Laplacian")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Graph.grid(2, 2).warn_isolated("Laplacian")


def test_negative_weights():
    index, weight = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.tensor([-3.0, 1.0, -1.0])
    text = message(Graph.from_edges, index, weight)
    for part in ("2 weights are negative", "least -3 at edge 0", "signed=True", "weight.abs()"):
        assert part in text
    assert Graph.from_edges(index, weight, signed=True).weight is weight
    assert Graph.from_edges(index, weight.abs()).num_edges == 3
    assert "1 weight is negative" in message(as_graph, Data(edge_index=index[:, :1], edge_weight=weight[:1]))


def test_weights_of_the_wrong_kind():
    index = torch.tensor([[0, 1], [1, 0]])
    text = message(Graph.from_edges, index, torch.ones(2, 1))
    assert "(2, 1)" in text
    assert "weight.squeeze(-1)" in text
    assert Graph.from_edges(index, torch.ones(2, 1).squeeze(-1)).num_edges == 2
    text = message(Graph.from_edges, index, torch.tensor([1, 2]))
    assert "int64" in text
    assert "weight.float()" in text
    bad = torch.tensor([1.0, torch.inf])
    text = message(Graph.from_edges, index, bad)
    assert "1 non-finite value, first at edge 1" in text
    keep = bad.isfinite()
    assert Graph.from_edges(index[:, keep], bad[keep]).num_edges == 1


def test_rows_and_batches_that_do_not_fit():
    index = torch.tensor([[0, 1], [1, 0]])
    assert "x has shape (3, 1); expected 2 rows" in message(Graph.from_edges, index, node={"x": torch.rand(3, 1)})
    assert "edge_attr has shape (3, 1); expected 2 rows, one per edge" in message(
        Graph.from_edges, index, edge_attr=torch.rand(3, 1)
    )
    assert "0 -> 1, graphs 0 and 1" in message(Graph.from_edges, index, batch=torch.tensor([0, 1]))
    assert "(2,)" in message(Graph.from_edges, index, num_nodes=2, batch=torch.tensor([0, 0, 1]))
    assert "batch already" in message(Graph.path(3).repeat(2).repeat, 2)


def test_validate_false_skips_the_checks_of_values():
    graph = Graph.from_edges([[0, 9], [1, 0]], torch.tensor([-1.0, 1.0]), 2, validate=False)
    assert graph.num_nodes == 2


def test_data_that_is_no_graph():
    assert "to_homogeneous()" in message(as_graph, HeteroData())
    assert "no edge_index" in message(as_graph, Data(x=torch.rand(3, 1)))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Graph.ring(2), "n=2: expected at least 3 for a ring"),
        (lambda: Graph.path(0), "n=0: expected at least 1"),
        (lambda: Graph.grid(2, 5, periodic=True), "rows=2: expected at least 3 on a periodic grid"),
        (lambda: Graph.knn(torch.rand(4, 2), 4), "expected 1 <= k <= 3"),
        (lambda: Graph.knn(torch.rand(4), 1), "expected (N, d)"),
    ],
)
def test_sizes_that_cannot_be(make: object, part: str):
    assert part in message(make)
