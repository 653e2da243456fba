"""Energies from one direction of every edge are those of all stored edges, wherever that is so."""

import pytest
import torch

import neuralpde.operators.differences as operators
from neuralpde import Graph
from neuralpde.monitors import DirichletEnergy, EnergyOverVariance, RayleighQuotient, differences, energy_density
from neuralpde.monitors.differences import edge_energy

LADDER = torch.tensor([[0, 1, 2, 3, 0, 4, 1], [1, 2, 3, 4, 4, 4, 3]])  # with a loop


def shuffled(graph: Graph, weight=None) -> Graph:
    order = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(0))
    weight = graph.weight if weight is None else weight
    return Graph.from_edges(graph.edge_index[:, order], None if weight is None else weight[order], num_nodes=graph.num_nodes)


def cases():
    plain = Graph.from_edges(LADDER, num_nodes=6, undirected=True)
    weight = 1 + torch.arange(7, dtype=torch.float64)
    weighted = Graph.from_edges(LADDER, weight, num_nodes=6, undirected=True)
    twice = torch.cat([plain.edge_index, plain.edge_index[:, :4]], dim=1)
    uneven = torch.tensor([[0, 0, 1, 1, 2], [1, 1, 0, 2, 1]])  # two edges there, one of their sum back
    yield pytest.param(shuffled(plain), True, id="plain")
    yield pytest.param(shuffled(weighted), True, id="weighted")
    yield pytest.param(
        shuffled(weighted, weighted.weight.float() * (1 + 3e-7 * torch.rand(weighted.num_edges))), True, id="float32"
    )
    yield pytest.param(Graph.from_edges(twice, num_nodes=6).to_undirected(), True, id="parallel")
    yield pytest.param(
        Graph.from_edges(uneven, torch.tensor([1.0, 2.0, 3.0, 1.0, 1.0]).double(), num_nodes=3), False, id="parallel one way"
    )
    yield pytest.param(Graph.from_edges(LADDER, num_nodes=6), False, id="directed")
    learned = weighted.with_weight(weighted.weight.clone().requires_grad_())
    yield pytest.param(learned, False, id="learned")
    yield pytest.param(shuffled(weighted).repeat(3), True, id="batch")


@pytest.mark.filterwarnings("ignore:.*isolated:UserWarning")
@pytest.mark.parametrize(("graph", "halved"), list(cases()))
def test_the_total_is_that_of_every_edge(graph, halved, monkeypatch):
    seen = []
    inner = operators._Inner.forward
    monkeypatch.setattr(
        operators._Inner,
        "forward",
        staticmethod(lambda ctx, edges, a, b: seen.append(edges.shape[1]) or inner(ctx, edges, a, b)),
    )
    x = torch.randn(graph.num_nodes, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    ours = edge_energy(graph)(x)
    proper = int((graph.edge_index[0] != graph.edge_index[1]).sum())
    assert seen == [proper // 2 if halved else graph.num_edges]
    whole = graph.space.total(energy_density(graph, x))
    torch.testing.assert_close(ours, whole, rtol=1e-13, atol=0)
    for theirs, mine in zip(*(torch.autograd.grad(e.sum(), x) for e in (whole, ours)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "observable", [DirichletEnergy(), DirichletEnergy("sym"), RayleighQuotient("rw"), EnergyOverVariance()]
)
def test_a_reading_gathers_each_undirected_edge_once(observable, monkeypatch):
    """What a reading costs, counted: two gathers of `edges / 2` rows, and no other pass along edges."""
    graph = Graph.grid(6, 6)
    reading, rows = observable.on(graph), []
    blocks = operators._blocks
    monkeypatch.setattr(operators, "_blocks", lambda e, x: (rows.append(e.shape[1]), blocks(e, x))[1])
    squares = differences.edge_squares
    monkeypatch.setattr(differences, "edge_squares", lambda pairs, x: (rows.append(pairs.shape[0]), squares(pairs, x))[1])
    for dtype in (torch.float32, torch.float64):
        reading(0.0, torch.rand(36, 2, dtype=dtype))
        assert rows == [graph.num_edges // 2]
        rows.clear()


@pytest.mark.parametrize("normalization", ["none", "rw", "sym"])
def test_float32_states_are_read_without_cancellation_or_underflow(normalization, monkeypatch):
    """Near agreement, and as small as float32 can be: the energy is that of the same numbers in float64."""
    graph = Graph.grid(7, 9)
    noise = torch.randn(63, 5, generator=torch.Generator().manual_seed(0))
    reading = DirichletEnergy(normalization).on(graph)
    for x in (noise, 1.0 + 1e-6 * noise, 1e-15 * noise, 1e-30 * noise, 1e18 * noise):
        exact = reading(0.0, x.double())
        torch.testing.assert_close(reading(0.0, x), exact, rtol=2e-7, atol=0)
        torch.testing.assert_close(reading(0.0, x.requires_grad_()).detach(), exact, rtol=1e-13, atol=0)
    gathered = []
    monkeypatch.setattr(operators, "_blocks", lambda e, x: gathered.append(x.dtype) or iter(()))
    reading(0.0, noise.detach())
    assert gathered == ([] if normalization != "sym" else [torch.float64])
