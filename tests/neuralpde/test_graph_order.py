"""Graphs in another order: the same graph, and the same solutions."""

import pytest
import torch

from neuralpde import Graph, GraphError, simulate
from neuralpde.operators import Laplacian
from neuralpde.pdes import Diffusion


def scattered(n: int = 120) -> Graph:
    """Nearest neighbours of random points, with something of every kind."""
    draw = torch.Generator().manual_seed(0)
    graph = Graph.knn(torch.rand(n, 2, generator=draw, dtype=torch.float64), 4)
    weight, attr = torch.rand(2, graph.num_edges, generator=draw, dtype=torch.float64)
    return Graph.from_edges(
        graph.edge_index, weight, n, pos=graph.pos, edge_attr=attr, node={"label": torch.arange(n)}, undirected=False
    )


def bandwidth(graph: Graph) -> int:
    return int((graph.edge_index[0] - graph.edge_index[1]).abs().max())


def test_everything_moves_along():
    graph = scattered()
    other, order = graph.reordered()
    assert graph.pos is not None and other.pos is not None and other.weight is graph.weight
    assert other.edge_attr is graph.edge_attr
    assert torch.equal(order[other.edge_index], graph.edge_index)
    assert torch.equal(other.pos, graph.pos[order]) and torch.equal(other.node["label"], order)
    assert torch.equal(order.sort().values, torch.arange(120))
    assert bandwidth(other) < 0.4 * bandwidth(graph)


def test_solutions_move_along():
    graph = scattered().to_undirected()
    other, order = graph.reordered()
    x = torch.randn(120, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    here = simulate(Diffusion(), graph, x, 1.0, "rk4", dt=0.05).u[-1]
    there = simulate(Diffusion(), other, x[order], 1.0, "rk4", dt=0.05).u[-1]
    torch.testing.assert_close(there, here[order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(there[order.argsort()], here, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(Laplacian(other)(x[order]), Laplacian(graph)(x)[order], rtol=1e-12, atol=1e-12)


def test_graphs_of_a_batch_stay_apart():
    batch = scattered(30).repeat(3)
    other, order = batch.reordered()
    assert torch.equal(other.batch, batch.batch)
    assert torch.equal(order // 30, torch.arange(90) // 30)
    assert bandwidth(other) < bandwidth(batch)


@pytest.mark.parametrize("graph", [Graph.from_edges([[], []], num_nodes=0), Graph.from_edges([[], []], num_nodes=3)])
def test_graphs_without_edges(graph):
    other, order = graph.reordered()
    assert other.num_nodes == len(order) == graph.num_nodes and other.num_edges == 0


def test_directed_graphs_and_parallel_edges():
    edges = torch.tensor([[0, 5, 5, 2, 2], [5, 2, 2, 4, 2]])
    other, order = Graph.from_edges(edges, num_nodes=6).reordered()
    assert torch.equal(order[other.edge_index], edges)


def test_an_order_of_your_own():
    graph = scattered(10)
    mine = torch.arange(10).flip(0)
    other, order = graph.reordered(mine)
    assert torch.equal(order, mine) and torch.equal(other.edge_index, 9 - graph.edge_index)
    with pytest.raises(GraphError, match=r"each of 0 \.\. 9 once"):
        graph.reordered(torch.zeros(10, dtype=torch.int64))
    with pytest.raises(GraphError, match="float32 of shape"):
        graph.reordered(torch.rand(10))
    with pytest.raises(GraphError, match="keep each graph's together"):
        graph.repeat(2).reordered(torch.arange(20).flip(0))
    with pytest.raises(ValueError, match="rcm"):
        graph.reordered("rmc")  # type: ignore[arg-type]
