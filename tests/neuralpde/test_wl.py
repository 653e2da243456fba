"""What colour refinement cannot separate, no dynamics from a constant state does; what spectra, rings and cliques can."""

import networkx as nx
import pytest
import torch
from torch import Tensor

from neuralpde import Graph, GraphCON, Laplacian, from_conv, simulate
from neuralpde.diagnosis import wl_colours, wl_distinguishes, wl_pairs

PAIRS = wl_pairs()

# pair -> which of these quantities differ
HEAT_TRACE, RINGS, CLIQUES = "heat trace", "rings", "cliques"
TOLD_BY = {
    "hexagon and two triangles": {HEAT_TRACE, RINGS, CLIQUES},
    "K33 and the prism": {HEAT_TRACE, RINGS, CLIQUES},
    "decalin and bicyclopentyl": {HEAT_TRACE, RINGS},
    "rook and Shrikhande": {RINGS, CLIQUES},
}


def heat_traces(graph: Graph) -> Tensor:
    spectrum = torch.linalg.eigvalsh(Laplacian(graph, dtype=torch.float64).to_dense())
    return torch.exp(-torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)[:, None] * spectrum).sum(1)


def rings(graph: Graph) -> list[int]:
    """Lengths of cycles without chords, up to six."""
    return sorted(len(cycle) for cycle in nx.chordless_cycles(nx.Graph(graph.to_networkx()), length_bound=6))


def cliques(graph: Graph) -> list[int]:
    return sorted(len(clique) for clique in nx.enumerate_all_cliques(nx.Graph(graph.to_networkx())))


@pytest.mark.parametrize("name", PAIRS)
def test_refinement_does_not_tell_the_pairs_apart(name):
    a, b = PAIRS[name]
    assert (a.num_nodes, a.num_edges) == (b.num_nodes, b.num_edges)
    assert not nx.is_isomorphic(nx.Graph(a.to_networkx()), nx.Graph(b.to_networkx()))
    assert not wl_distinguishes(a, b)


@pytest.mark.parametrize("name", PAIRS)
def test_what_tells_the_pairs_apart(name):
    a, b = PAIRS[name]
    told = {HEAT_TRACE} if (heat_traces(a) - heat_traces(b)).abs().max() > 1e-3 else set()
    if HEAT_TRACE not in told:  # cospectral: equal to rounding, not nearly
        torch.testing.assert_close(heat_traces(a), heat_traces(b), rtol=1e-12, atol=0)
    told |= {RINGS} if rings(a) != rings(b) else set()
    told |= {CLIQUES} if cliques(a) != cliques(b) else set()
    assert told == TOLD_BY[name]


def sum_convolution() -> torch.nn.Module:
    from torch_geometric.nn import GraphConv

    torch.manual_seed(0)
    return GraphConv(3, 3).double()


@pytest.mark.parametrize("name", PAIRS)
def test_dynamics_from_a_constant_state_agree_to_rounding(name):
    a, b = PAIRS[name]
    torch.manual_seed(1)
    for pde in (from_conv(sum_convolution()), GraphCON(3).double()):
        ends = []
        for graph in (a, b):
            u0 = torch.tensor([[1.0, -0.5, 0.3]], dtype=torch.float64).repeat(graph.num_nodes, 1)
            ends.append(simulate(pde, graph, u0, 0.5, "rk4", dt=0.05).u[-1])
        colours = wl_colours(a, b)
        for colour in torch.cat(colours).unique().tolist():
            states = torch.cat([end[c == colour] for end, c in zip(ends, colours, strict=True)])
            torch.testing.assert_close(states, states[:1].expand_as(states), rtol=1e-11, atol=1e-13)


def test_a_state_that_is_not_constant_separates():
    hexagon, triangles = PAIRS["hexagon and two triangles"]
    mark = torch.eye(6)[0]
    assert wl_distinguishes(hexagon, triangles, (mark, mark))
    rook, shrikhande = PAIRS["rook and Shrikhande"]
    mark = torch.eye(16)[0]
    assert not wl_distinguishes(rook, shrikhande, (mark, mark))
    two = torch.eye(16)[0] + torch.eye(16)[1] * 2  # a marked edge
    assert wl_distinguishes(rook, shrikhande, (two, two))


def test_colours_of_a_path_and_of_a_tree():
    (colours,) = wl_colours(Graph.path(5))
    assert colours.tolist() == colours.flip(0).tolist()
    assert len(colours.unique()) == 3
    (one,) = wl_colours(Graph.path(5), rounds=1)
    assert len(one.unique()) == 2  # ends and the rest
    assert wl_distinguishes(Graph.path(4), Graph.from_networkx(nx.star_graph(3)))
    assert wl_distinguishes(Graph.path(4), Graph.path(5))


def test_renumbering_nodes_renumbers_colours():
    graph = Graph.from_networkx(nx.gnp_random_graph(20, 0.12, seed=2))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    other = Graph.from_edges(order[graph.edge_index], num_nodes=20)
    (a,), (b,) = wl_colours(graph), wl_colours(other)
    assert torch.equal(b[order], a)
    assert not wl_distinguishes(graph, other)


def test_directions_and_wrong_features():
    source, sink = Graph.from_edges([[0, 0], [1, 2]]), Graph.from_edges([[1, 2], [0, 0]])
    assert wl_distinguishes(source, sink)
    with pytest.raises(ValueError, match="initial has shapes"):
        wl_distinguishes(Graph.ring(3), Graph.ring(4), (torch.zeros(3), torch.zeros(3)))
    with pytest.raises(ValueError, match="no graph"):
        wl_colours()
