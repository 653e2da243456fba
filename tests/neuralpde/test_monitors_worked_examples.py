"""Monitors on graphs whose answers are known in closed form: barbell, path, cycle, complete graph, Petersen, grid."""

import math

import numpy as np
import pytest
import torch
from torch_geometric.utils import homophily as homophily_of_pyg

from neuralpde import Graph
from neuralpde.monitors import (
    MAD,
    AttentionEntropy,
    ConsensusDistance,
    DirichletEnergy,
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
    MoransI,
    Norm,
    NumericalRank,
    OrderParameter,
    RankOneDistance,
    RayleighQuotient,
    StableRank,
    components,
    per_channel,
    per_component,
)
from neuralpde.operators import Adjacency, Laplacian

NORMALIZATIONS = ["none", "sym", "sym_loops", "rw", "col"]


def petersen():
    outer = [(i, (i + 1) % 5) for i in range(5)]
    inner = [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
    spokes = [(i, i + 5) for i in range(5)]
    return Graph.from_edges(torch.tensor(outer + inner + spokes).t(), num_nodes=10, undirected=True)


def barbell(k, bridge=True):
    one = Graph.complete(k).edge_index
    between = torch.tensor([[k - 1, k], [k, k - 1]])
    return Graph.from_edges(torch.cat([one, one + k] + [between] * bridge, dim=1), num_nodes=2 * k)


def adjacency(graph):
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = graph.edge_weight(torch.float64)
    return a


def laplacian(graph, kind):
    """A Laplacian and the masses in which it is self-adjoint, dense."""
    a = adjacency(graph)
    if kind == "sym_loops":
        a = a + torch.eye(len(a))
    d, one = a.sum(1), torch.eye(len(a))
    matrix = {
        "none": d.diag() - a,
        "sym": one - a * d.rsqrt() * d.rsqrt()[:, None],
        "sym_loops": one - a * d.rsqrt() * d.rsqrt()[:, None],
        "rw": one - a / d[:, None],
        "col": one - a / d,
    }[kind]
    return matrix, {"rw": d, "col": 1 / d}.get(kind, torch.ones_like(d))


def value(observable, graph, x):
    return observable.on(graph)(0.0, torch.as_tensor(x)).item()


def noise(n, channels, seed=0):
    return torch.randn(n, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(expected, rel=1e-13):
    return pytest.approx(expected, rel=rel, abs=1e-13)


# ---- spectra: an eigenvector has its eigenvalue, whatever constant is added to it ------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5])
def test_modes_of_the_path_and_of_the_cycle(k):
    n = 12
    at = torch.arange(n, dtype=torch.float64).unsqueeze(1)
    wave, mode = torch.cos(2 * math.pi * k * at / n), torch.cos(math.pi * k * (at + 0.5) / n)
    for graph, x, low in [
        (Graph.ring(n), wave, 2 - 2 * math.cos(2 * math.pi * k / n)),
        (Graph.path(n), mode, 2 - 2 * math.cos(math.pi * k / n)),
    ]:
        assert value(RayleighQuotient(), graph, x) == close(low)
        assert value(EnergyOverVariance(), graph, 7 + x) == close(low)
        assert value(DirichletEnergy(), graph, x) == close(low * (x**2).sum().item())
        assert value(ConsensusDistance(), graph, 7 + x) == close(x.norm().item())
        assert value(ConsensusDistance(relative=True), graph, x) == close(1.0)
        assert value(KernelDistance(), graph, 7 + x) == close(x.norm().item())
    assert value(MoransI(), Graph.ring(n), 7 + wave) == close(math.cos(2 * math.pi * k / n))


@pytest.mark.parametrize(("eigenvalue", "place"), [(2.0, 1), (5.0, 9)])
def test_modes_of_the_petersen_graph(eigenvalue, place):
    graph = petersen()
    x = torch.linalg.eigh(laplacian(graph, "none")[0])[1][:, place : place + 1] + 3
    assert value(EnergyOverVariance(), graph, x) == close(eigenvalue)
    for kind in ("sym", "rw", "col"):  # of a regular graph
        assert value(EnergyOverVariance(kind), graph, x) == close(eigenvalue / 3)
    assert value(EnergyOverVariance("sym_loops"), graph, x) == close(eigenvalue / 4)
    assert value(MoransI(), graph, x) == close(1 - eigenvalue / 3)
    assert value(KernelDistance("sym"), graph, x) == close(1.0)
    assert value(AttentionEntropy(), graph, x) == close(math.log(3))
    assert value(AttentionEntropy(relative=True), graph, x) == close(1.0)


def test_the_complete_graph_knows_only_the_mean():
    n, graph, x = 7, Graph.complete(7), noise(7, 3)
    assert value(EnergyOverVariance(), graph, x) == close(n)
    assert value(MoransI(), graph, x) == close(-1 / (n - 1))
    assert value(AttentionEntropy(), graph, x) == close(math.log(n - 1))
    label = torch.nn.functional.one_hot(torch.tensor([0, 0, 0, 1, 1, 2, 2])).double()
    assert value(Homophily(), graph, label) == close((6 + 2 + 2) / 42)
    assert value(Homophily("node"), graph, label) == close((3 * 2 + 4 * 1) / 6 / 7)
    assert value(Homophily("class"), graph, label) == 0  # every class sees less of itself than its share


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_every_convention_against_dense_matrices(kind):
    graph = barbell(4).with_weight(0.5 + torch.arange(26).remainder(3).double())
    graph = Graph.from_edges(graph.edge_index, graph.weight).to_undirected()
    x = noise(8, 2)
    low, mass = laplacian(graph, kind)
    energy = torch.einsum("ic,i,ij,jc", x, mass, low, x).item()
    if kind in ("none", "sym", "sym_loops"):
        assert value(DirichletEnergy(kind, "mean"), graph, x) == close(energy / 4, 1e-12)
        assert value(DirichletEnergy(kind, "root_mean"), graph, x) == close((energy / 4) ** 0.5, 1e-12)
        assert value(DirichletEnergy(kind, "root_mean"), graph, 1e-200 * x) == close(1e-200 * (energy / 4) ** 0.5, 1e-12)
    spectrum, vectors = torch.linalg.eig(low)
    k = vectors.real[:, spectrum.abs().argmin()].unsqueeze(1)
    z = x - k * ((k * mass[:, None] * x).sum(0) / (k * mass[:, None] * k).sum())
    variance = (mass[:, None] * z**2).sum().item()
    assert value(EnergyOverVariance(kind), graph, x) == close(energy / variance, 1e-12)
    nearest = x - k @ (k.t() @ x) / (k**2).sum()
    assert value(KernelDistance(kind), graph, x) == close(nearest.norm().item(), 1e-12)
    assert value(KernelDistance(kernel=k), graph, x) == close(nearest.norm().item(), 1e-12)
    assert value(KernelDistance(kind, relative=True), graph, 5e-8 * k) < 1e-14


def test_the_spectra_of_the_grid():
    graph = Graph.grid(10, 10)
    for kind, low, high in [
        ("sym", 0.028598008320, 2.0),
        ("sym_loops", 0.022146668638, 1.578588153364),
        ("none", 0.097886967410, 7.804226065181),
    ]:
        vectors = torch.linalg.eigh(laplacian(graph, kind)[0])[1]
        assert value(RayleighQuotient(kind), graph, vectors[:, 1:2]) == pytest.approx(low, abs=1e-12)
        assert value(RayleighQuotient(kind), graph, vectors[:, -1:]) == pytest.approx(high, abs=1e-12)
        k = torch.linalg.eigh(laplacian(graph, kind)[0])[1][:, :1]
        assert value(EnergyOverVariance(kind), graph, vectors[:, 1:2] + 3 * k) == pytest.approx(low, abs=1e-12)


def test_the_oscillators_of_graphcon_on_the_grid():
    """Pinned: X'' = D^-1/2 A D^-1/2 X - X from uniform X and Y = 0, by its modes."""
    graph = Graph.grid(10, 10)
    x = torch.as_tensor(np.random.default_rng(0).uniform(0, 1, (100, 4)))
    low = Laplacian(graph, "sym", dtype=torch.float64)
    field = type("Field", (), {"stiffness": low})()
    energy = Hamiltonian().on(graph, field)
    assert energy(0.0, torch.stack([x, 0 * x])).item() == pytest.approx(16.659713337250, rel=1e-12)
    lam, v = torch.linalg.eigh(laplacian(graph, "sym")[0])
    omega = lam.clamp(min=0).sqrt().unsqueeze(1)
    later = torch.stack([v @ (torch.cos(10 * omega) * (v.t() @ x)), v @ (-omega * torch.sin(10 * omega) * (v.t() @ x))])
    assert energy(10.0, later).item() == pytest.approx(16.659713337250, rel=1e-12)
    assert value(Norm(), graph, later[0]) == pytest.approx(11.408478816747, rel=1e-12)
    assert value(DirichletEnergy(scale="mean"), graph, later[0]) == pytest.approx(1.239401752316, rel=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_a_layer_of_gcn_contracts_its_own_energy(seed):
    """Cai and Wang (2020): E(relu(A X W)) <= |W|_2^2 max (1 - lambda)^2 E(X) over lambda > 0, with self-loops in A and E."""
    graph = Graph.grid(5, 5)
    x, w = noise(25, 4, seed), noise(4, 4, seed + 10)
    lam = torch.linalg.eigvalsh(laplacian(graph, "sym_loops")[0])
    bound = (torch.linalg.matrix_norm(w, 2) * (1 - lam[1:]).abs().max()).item() ** 2
    a = Adjacency(graph, "sym", self_loops=True, dtype=torch.float64)
    energy = DirichletEnergy("sym_loops")
    assert value(energy, graph, (a.matvec(x) @ w).relu()) <= bound * value(energy, graph, x)
    assert value(energy, graph, x.relu()) <= value(energy, graph, x)


# ---- components and channels ----------------------------------------------------------------------------------------


def test_two_halves_of_a_barbell():
    x = torch.tensor([[1.0]] * 5 + [[-1.0]] * 5)
    whole, cut = barbell(5), barbell(5, bridge=False)
    assert value(DirichletEnergy(), whole, x) == 4
    assert value(ConsensusDistance(), whole, x) == value(ConsensusDistance(), cut, x) == close(10**0.5)
    assert value(KernelDistance(), whole, x) == close(10**0.5)
    assert value(KernelDistance(), cut, x) == 0
    labels = (x[:, 0] < 0).long()
    assert value(Homophily(labels=labels), whole, x) == close(20 / 21)
    assert value(Homophily("node", labels), whole, x) == close((8 + 2 * 4 / 5) / 10)
    assert value(Homophily("class", labels), whole, x) == close(2 * (20 / 21 - 1 / 2))
    assert value(MoransI(), whole, x) == close(19 / 21)
    assert components(cut).tolist() == [0] * 5 + [1] * 5
    masses = per_component(Mass())
    assert masses.on(cut)(0.0, x).tolist() == [5, -5]
    assert masses.on(whole)(0.0, x).tolist() == [0]
    assert value(Mass(), cut, x) == 0


def test_components_are_numbered_by_first_node_and_ignore_directions():
    graph = Graph.from_edges(torch.tensor([[3, 4, 5], [0, 1, 4]]), num_nodes=6)
    assert components(graph).tolist() == [0, 1, 2, 0, 1, 1]
    assert components(Graph.from_edges(torch.empty(2, 0, dtype=torch.int64), num_nodes=2)).tolist() == [0, 1]
    state = torch.stack([noise(6, 2), noise(6, 2, 1)])
    undirected = graph.to_undirected()
    parts = per_component(Hamiltonian()).on(undirected)(0.0, state)
    assert parts.shape == (3,)
    assert parts.sum().item() == close(value(Hamiltonian(), undirected, state))


def test_channels_one_by_one():
    graph, x = petersen().repeat(2), noise(20, 3)
    found = per_channel(DirichletEnergy("sym")).on(graph)(0.0, x)
    assert found.shape == (2, 3)
    torch.testing.assert_close(found.sum(1), DirichletEnergy("sym").on(graph)(0.0, x))
    torch.testing.assert_close(per_channel(MoransI()).on(graph)(0.0, x)[:, 1], MoransI().on(graph)(0.0, x[:, 1]))
    state = torch.stack([x, noise(20, 3, 1)])
    energies = per_channel(Hamiltonian()).on(graph, read=lambda y: y[0])(0.0, state)
    torch.testing.assert_close(energies.sum(1), Hamiltonian().on(graph)(0.0, state))
    norms = per_channel(DirichletEnergy()).on(graph, read=lambda y: y[0])(0.0, state)
    torch.testing.assert_close(norms.sum(1), DirichletEnergy().on(graph)(0.0, x))
    assert per_channel(per_component(Mass())).on(barbell(5, bridge=False))(0.0, noise(10, 3)).shape == (2, 3)


# ---- angles, ranks, phases ------------------------------------------------------------------------------------------


def circle(n):
    angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_points_of_a_circle_on_the_cycle():
    n, graph, x = 12, Graph.ring(12), circle(12)
    turn = 1 - math.cos(2 * math.pi / n)
    assert value(MAD(), graph, x) == close(2 * turn)
    assert value(MAD("near", hops=1), graph, x) == close(turn)
    assert value(MAD("all"), graph, x) == close(n / (n - 1))
    assert value(MAD("far", hops=6), graph, x) == close(2)
    assert value(MADGap(1, 6), graph, x) == close(2 - turn)
    assert value(FeatureHomophily(), graph, x) == value(FeatureHomophily("node"), graph, x) == close(1 - turn)
    assert value(EffectiveRank(), graph, x) == close(2)
    assert value(NumericalRank(), graph, x) == close(2)
    assert value(RankOneDistance(), graph, x) == close(0.5)
    assert math.isnan(value(MADGap(), graph, x))  # no pair is eight hops apart
    assert StableRank is NumericalRank


def test_angles_do_not_cancel_and_zeros_have_none():
    graph = Graph.path(3)
    tilt = torch.tensor([[1.0, 0.0], [1.0, 1e-12], [1.0, 0.0]], dtype=torch.float64)
    assert value(MAD(), graph, 1e-150 * tilt) == close(4 * 0.5e-24 / 3)
    assert value(MAD(), graph, 3 + torch.arange(3.0)) == 0  # one channel of one sign: no angle
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert value(MAD(), graph, x) == close(2 / 3)
    assert value(FeatureHomophily(), graph, x) == close(0)
    assert value(MAD("near", hops=1), graph, x) == close(1)
    assert value(MAD("all"), graph, 0 * x) == 0
    x = x.requires_grad_()
    assert torch.isfinite(torch.autograd.grad(MAD().on(graph)(0.0, x).sum(), x)[0]).all()


def test_a_sample_of_pairs():
    graph, x = Graph.ring(400), circle(400)
    some = MAD("all", sample=40_000, seed=3)
    assert value(some, graph, x) == close(400 / 399)  # every node sees the same
    y = x + 0.3 * noise(400, 2)
    whole = value(MAD("all"), graph, y)
    assert value(some, graph, y) != whole
    assert value(some, graph, y) == value(some, graph, y) == pytest.approx(whole, rel=0.1)


def test_far_pairs_of_one_component_only():
    graph = Graph.path(4).repeat(2)
    x = noise(8, 2)
    far = MAD("far", hops=3).on(graph)(0.0, x)
    for g in range(2):
        a, b = x[4 * g], x[4 * g + 3]
        assert far[g].item() == close(1 - (a @ b / a.norm() / b.norm()).item())


def test_ranks_collapse_beyond_rounding():
    graph = Graph.path(6)
    u, _, vt = torch.linalg.svd(noise(6, 3), full_matrices=False)
    s = torch.tensor([1.0, 1e-9, 1e-12], dtype=torch.float64)
    assert value(RankOneDistance(), graph, u * s @ vt) == pytest.approx(1e-18, rel=1e-5)
    assert math.isnan(value(RankOneDistance(), graph, torch.zeros(6, 3)))


def test_phases():
    angle = 2 * math.pi * torch.arange(12, dtype=torch.float64) / 12
    graph = Graph.ring(12)
    assert value(OrderParameter(), graph, angle) == pytest.approx(0, abs=1e-15)
    assert value(OrderParameter(12), graph, angle) == close(1)
    assert value(OrderParameter(), graph, angle * 0 + 3) == close(1)
    antiphase = math.pi * (angle >= math.pi).double()
    assert value(OrderParameter(), graph, antiphase) == pytest.approx(0, abs=1e-15)
    assert value(OrderParameter(2), graph, antiphase) == close(1)
    assert value(OrderParameter(), graph, torch.polar(1 + angle, antiphase / 2)) == close(2**-0.5)


def test_entropy():
    graph = Graph.ring(8)
    assert value(Entropy(), graph, torch.full((8, 1), 1 / 8)) == close(math.log(8))
    assert value(Entropy(), graph, torch.eye(8)[:, :1]) == 0
    assert math.isnan(value(Entropy(), graph, -torch.ones(8, 1)))
    area = torch.linspace(1, 2, 8, dtype=torch.float64)
    assert value(Entropy(), graph.with_node(area=area), torch.full((8, 1), 2.0)) == close(-24 * math.log(2))
    walk = torch.linalg.matrix_exp(-laplacian(graph, "none")[0]) @ torch.eye(8)[:, :1].double()
    assert 0 < value(Entropy(), graph, walk) < math.log(8)


@pytest.mark.parametrize(("kind", "method"), [("edge", "edge"), ("node", "node"), ("class", "edge_insensitive")])
def test_homophily_is_that_of_pyg(kind, method):
    generator = torch.Generator().manual_seed(2)
    graph = petersen().repeat(3)
    labels = torch.randint(0, 3, (30,), generator=generator)
    labels[[0, 10, 20]] = 2
    theirs = homophily_of_pyg(graph.edge_index, labels, graph.batch, method=method)
    ours = Homophily(kind, labels).on(graph)(0.0, noise(30, 1))
    torch.testing.assert_close(ours, torch.as_tensor(theirs).double(), rtol=1e-6, atol=1e-7)
    unknown = labels.clone()
    unknown[10:20] = -1
    left = Homophily(kind, unknown).on(graph)(0.0, noise(30, 1))
    assert math.isnan(left[1].item())
    torch.testing.assert_close(left[[0, 2]], ours[[0, 2]])


@pytest.mark.filterwarnings("ignore:.*isolated:UserWarning")
def test_the_energy_of_graff():
    graph = Graph.from_edges(barbell(4).edge_index, num_nodes=9)  # and a node alone
    x, omega, weight = noise(9, 3), noise(3, 3, 1), noise(3, 3, 2)
    omega, weight = omega + omega.t(), weight + weight.t()
    normalised = Adjacency(graph, "sym", dtype=torch.float64).matvec(x)

    def exact(omega, weight):
        return (torch.einsum("ic,cd,id", x, omega, x) - torch.einsum("ic,cd,id", x, weight, normalised)).item() / 2

    assert value(GRAFFEnergy(omega, weight), graph, x) == close(exact(omega, weight))
    assert value(GRAFFEnergy(None, weight), graph, x) == close(exact(weight, weight))
    assert value(GRAFFEnergy(omega), graph, x) == close(exact(omega, torch.eye(3).double()))
    assert value(GRAFFEnergy(weight=omega.diagonal()), graph, x) == close(exact(*[omega.diagonal().diag()] * 2))
    joined = x * (graph.degree > 0).unsqueeze(1)
    assert value(GRAFFEnergy(), graph, joined) == close(value(DirichletEnergy("sym"), graph, joined) / 2)
    with pytest.raises(ValueError, match="expected as many"):
        value(GRAFFEnergy(torch.ones(4)), graph, x)
    leaf = x.clone().requires_grad_()
    gradient = torch.autograd.grad(GRAFFEnergy(omega, weight).on(graph)(0.0, leaf), leaf)[0]
    torch.testing.assert_close(gradient, x @ omega - normalised @ weight)  # its gradient flow


def test_words_and_numbers_that_cannot_be():
    for wrong, match in [
        (lambda: MAD("nearr"), "'near'"),
        (lambda: MAD("near", hops=0), "hops = 0"),
        (lambda: MADGap(3, 3), "far above near"),
        (lambda: Homophily("nodes"), "'node'"),
        (lambda: KernelDistance("syn"), "'sym'"),
        (lambda: OrderParameter(0), "harmonic = 0"),
        (lambda: KernelDistance(kernel=torch.ones(4)).on(Graph.path(3)), "one row per node"),
        (lambda: Homophily(labels=torch.zeros(4)).on(Graph.path(3)), "4 labels for 3 nodes"),
    ]:
        with pytest.raises(ValueError, match=match):
            wrong()
