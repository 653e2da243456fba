"""Every monitor on the barbell, path, cycle, complete and Petersen graph, from a mark on one node: closed forms in degrees."""

import math
from inspect import isclass

import networkx as nx
import pytest
import torch

from neuralpde import Graph, monitors
from neuralpde.monitors import (
    MAD,
    AttentionEnergy,
    AttentionEntropy,
    ConsensusDistance,
    DirichletEnergy,
    DissipatedPower,
    EffectiveRank,
    EnergyOverVariance,
    Entropy,
    FeatureHomophily,
    GRAFFEnergy,
    Hamiltonian,
    Homophily,
    KernelDistance,
    MADGap,
    Mass,
    ModifiedEnergy,
    MoransI,
    Norm,
    NumericalRank,
    OrderParameter,
    PDirichletEnergy,
    PolyakovEnergy,
    RankOneDistance,
    RayleighQuotient,
)

GRAPHS = {
    "barbell": nx.barbell_graph(5, 0),
    "path": nx.path_graph(9),
    "cycle": nx.cycle_graph(8),
    "complete": nx.complete_graph(6),
    "petersen": nx.petersen_graph(),
}


@pytest.fixture(params=GRAPHS)
def marked(request):
    """The graph, the degree d of the marked node, those of its neighbours, and twice the number of edges."""
    known = GRAPHS[request.param]
    node = {"barbell": 4, "path": 3}.get(request.param, 0)
    degrees = dict(known.degree())
    x = torch.zeros(len(known), 1, dtype=torch.float64)
    x[node] = 1
    return Graph.from_networkx(known), x, degrees[node], [degrees[j] for j in known[node]], sum(degrees.values())


def check(observable, graph, state, expected):
    assert observable.on(graph)(0.0, state).item() == pytest.approx(expected, rel=1e-13, abs=1e-14), observable.name


def test_energies(marked):
    graph, x, d, near, _ = marked
    n, root = graph.num_nodes, math.sqrt
    for kind, energy, quotient in [
        ("none", d, d),
        ("rw", d, 1),
        ("sym", 1, 1),
        ("sym_loops", d / (d + 1), d / (d + 1)),
        ("col", 1 / d, 1),
    ]:
        check(DirichletEnergy(kind), graph, x, energy)
        check(DirichletEnergy(kind, "mean"), graph, x, 2 * energy / n)
        check(DirichletEnergy(kind, "root_mean"), graph, x, root(2 * energy / n))
        check(RayleighQuotient(kind), graph, x, quotient)
    check(AttentionEnergy(), graph, x, (1 + sum(1 / e for e in near)) / 2)
    check(GRAFFEnergy(), graph, x, 1 / 2)
    check(GRAFFEnergy(torch.tensor([3.0]), torch.tensor([1.0])), graph, x, 3 / 2)
    check(PDirichletEnergy(1.0), graph, x, d)
    check(PDirichletEnergy(3.0), graph, 2 * x, 8 * d / 3)
    check(PolyakovEnergy("dirichlet"), graph, x, d)
    check(PolyakovEnergy("area"), graph, x, root(1 + d) - 1 + d * (root(2) - 1))
    check(PolyakovEnergy("tv", 0.5), graph, x, root(d + 0.25) - 0.5 + d * (root(1.25) - 0.5))


def test_distances_and_correlation(marked):
    graph, x, d, _, volume = marked
    n = graph.num_nodes
    spread = 1 - 1 / n
    check(ConsensusDistance(), graph, 5 + x, math.sqrt(spread))
    check(ConsensusDistance(relative=True), graph, x, math.sqrt(spread))
    check(KernelDistance(), graph, x, math.sqrt(spread))
    check(KernelDistance("sym"), graph, x, math.sqrt(1 - d / volume))
    check(KernelDistance("sym_loops"), graph, x, math.sqrt(1 - (d + 1) / (volume + n)))
    check(EnergyOverVariance(), graph, 3 + x, d / spread)
    check(EnergyOverVariance("sym"), graph, x, 1 / (1 - d / volume))
    check(EnergyOverVariance("rw"), graph, 2 + x, d / (d - d * d / volume))
    check(MoransI(), graph, 4 + x, n / volume * (volume / n**2 - 2 * d / n) / spread)


def test_second_order_energies(marked):
    graph, x, d, _, _ = marked
    state = torch.stack([x, 2 * x])
    check(Hamiltonian(), graph, state, 2 + d / 2)
    check(Hamiltonian("kinetic"), graph, state, 2)
    check(Hamiltonian("potential"), graph, state, d / 2)
    check(DissipatedPower(0.3), graph, state, 1.2)
    check(ModifiedEnergy(0.1, "symplectic_euler"), graph, state, 2 + d / 2 - 0.05 * 2 * d)
    check(ModifiedEnergy(0.1, "leapfrog"), graph, state, 2 + d / 2 - 0.01 / 8 * (d * d + d))


def test_ranks_angles_phases_and_masses(marked):
    graph, x, d, near, volume = marked
    n = graph.num_nodes
    pair = torch.cat([torch.ones_like(x), x], dim=1)  # the marked node at 45 degrees to all others
    turn = 1 - math.sqrt(0.5)
    check(MAD(), graph, pair, 2 * d * turn / n)
    check(MAD("all"), graph, pair, turn)  # zeros do not count
    check(FeatureHomophily(), graph, pair, 1 - 2 * d * turn / volume)
    check(FeatureHomophily("node"), graph, pair, 1 - (turn + sum(turn / e for e in near)) / n)
    if nx.diameter(graph.to_networkx()) >= 4:
        check(MADGap(1, 4), graph, pair, 0.0)
    trace, product = n + 1, n - 1  # of the Gram matrix [[n, 1], [1, 1]]
    high = (trace + math.sqrt(trace**2 - 4 * product)) / 2
    share = math.sqrt(high) / (math.sqrt(high) + math.sqrt(trace - high))
    check(NumericalRank(), graph, pair, trace / high)
    check(RankOneDistance(), graph, pair, 1 - high / trace)
    check(EffectiveRank(), graph, pair, math.exp(-share * math.log(share) - (1 - share) * math.log(1 - share)))
    check(OrderParameter(), graph, math.pi * x, (n - 2) / n)
    check(OrderParameter(2), graph, math.pi * x, 1)
    check(Mass(), graph, pair, n + 1)
    check(Norm(), graph, pair, math.sqrt(n + 1))
    check(Norm("mean"), graph, pair, math.sqrt((n + 1) / (2 * n)))
    check(Entropy(), graph, (1 + x) / (n + 1), math.log(n + 1) - 2 * math.log(2) / (n + 1))
    check(AttentionEntropy(), graph, x, sum(math.log(e) for _, e in graph.to_networkx().degree()) / n)
    label = (x[:, 0] > 0).long()
    check(Homophily(labels=label), graph, x, 1 - 2 * d / volume)
    check(Homophily("node", label), graph, x, 1 - (1 + sum(1 / e for e in near)) / n)


def test_every_exported_observable_is_checked_above():
    exported = [getattr(monitors, name) for name in monitors.__all__]
    observables = {one.__name__ for one in exported if isclass(one) and issubclass(one, monitors.Observable)}
    assert observables - {"Observable"} <= set(globals())
