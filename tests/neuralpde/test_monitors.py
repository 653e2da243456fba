"""Every observable that is exported: one number per graph, a batch as each graph alone, differentiable, free of labels."""

import dataclasses
import inspect
import warnings

import numpy as np
import pytest
import torch
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from neuralpde import Graph, Monitor, monitors, simulate
from neuralpde.monitors import (
    AttentionEntropy,
    DirichletEnergy,
    EffectiveRank,
    EnergyOverVariance,
    Hamiltonian,
    KernelDistance,
    Mass,
    Norm,
    NumericalRank,
    Observable,
    RayleighQuotient,
    energy_density,
    per_channel,
    per_component,
    verdict,
)
from neuralpde.pdes import Wave
from solvers import Dense, LinearFlow, PerGraph, SparseOperator, solve

NORMALIZATIONS = ["none", "sym", "sym_loops", "rw", "col"]


def observables():
    exported = [getattr(monitors, name) for name in monitors.__all__]
    exported = dict.fromkeys(exported)  # one may have two names
    return [c for c in exported if inspect.isclass(c) and issubclass(c, Observable) and c is not Observable]


WORDS = {
    "normalization": NORMALIZATIONS,
    "scale": ["sum", "mean", "root_mean"],
    "part": ["total", "kinetic", "potential"],
    "kind": ["edge", "node", "class", "dirichlet", "area", "tv"],
    "method": ["symplectic_euler", "leapfrog"],
    "over": ["edges", "all", "near", "far"],
    "relative": [False, True],
}


def variants():
    """The example of each exported observable, and it with every value of its word-like arguments."""
    for cls in observables():
        fields = [f.name for f in dataclasses.fields(cls) if f.name in WORDS]
        yield pytest.param(cls, {}, id=cls.__name__)
        for name, word in [(field, word) for field in fields for word in WORDS[field]]:
            try:
                dataclasses.replace(cls.example()[0], **{name: word})
            except ValueError:  # a word of another observable
                continue
            yield pytest.param(cls, {name: word}, id=f"{cls.__name__}-{word}")


every = pytest.mark.parametrize(("cls", "arguments"), list(variants()))


def made(cls, arguments):
    """An observable and what its states look like: positions and momenta, positive."""
    observable, _, state = cls.example()
    return dataclasses.replace(observable, **arguments), (state.dim() == 3, bool((state > 0).all()))


def random_graph(n, seed, weighted=True):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(0, n, (2, 3 * n), generator=generator)
    ring = torch.stack([torch.arange(n - 1), torch.arange(1, n)])  # connected
    pairs = torch.unique(torch.cat([ring, pairs[:, pairs[0] < pairs[1]]], dim=1), dim=1)
    weight = torch.rand(pairs.shape[1], generator=generator, dtype=torch.float64) + 0.5 if weighted else None
    return Graph.from_edges(pairs, weight, num_nodes=n, undirected=True)


def random_state(graph, paired, seed, channels=3):
    paired, positive = paired if isinstance(paired, tuple) else (paired, False)
    shape = (2,) * paired + (graph.num_nodes, channels)
    state = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return state.abs() + 0.1 if positive else state


def joined(graphs):
    shift = np.cumsum([0, *(g.num_nodes for g in graphs)])
    edges = torch.cat([g.edge_index + s for g, s in zip(graphs, shift, strict=False)], dim=1)
    batch = torch.cat([torch.full((g.num_nodes,), i) for i, g in enumerate(graphs)])
    return Graph.from_edges(edges, torch.cat([g.weight for g in graphs]), num_nodes=int(shift[-1]), batch=batch)


def test_every_observable_offers_its_example():
    assert len(observables()) > 20
    for cls in observables():
        observable, graph, state = cls.example()
        assert type(observable) is cls
        assert observable.name
        assert observable.on(graph)(0.0, state).shape == (1,)


@every
def test_one_number_per_graph_and_a_batch_is_each_graph_alone(cls, arguments):
    observable, paired = made(cls, arguments)
    graphs = [random_graph(n, n) for n in (7, 12, 5)]
    states = [random_state(g, paired, g.num_nodes) for g in graphs]
    alone = [observable.on(g)(0.0, y) for g, y in zip(graphs, states, strict=True)]
    assert all(value.shape == (1,) and value.dtype == torch.float64 for value in alone)
    together = observable.on(joined(graphs))(0.0, torch.cat(states, dim=-2))
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-12, atol=1e-12)


@every
def test_gradients(cls, arguments):
    observable, paired = made(cls, arguments)
    graph = random_graph(6, 1)
    reading = observable.on(graph)
    assert torch.autograd.gradcheck(lambda y: reading(0.0, y), random_state(graph, paired, 2).requires_grad_())


@every
def test_relabelling_changes_nothing(cls, arguments):
    observable, paired = made(cls, arguments)
    graph = random_graph(9, 3)
    y = random_state(graph, paired, 4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(5))
    new = torch.empty_like(order).scatter_(0, order, torch.arange(9))
    twin = Graph.from_edges(new[graph.edge_index].flip(1), graph.weight.flip(0), num_nodes=9)
    expected = observable.on(graph)(0.0, y)
    torch.testing.assert_close(observable.on(twin)(0.0, y[..., order, :]), expected, rtol=1e-12, atol=1e-12)


@every
def test_float32_states_are_reduced_in_float64(cls, arguments):
    """To rounding in float64; where edge differences are taken in float32, to two roundings of a difference."""
    observable, paired = made(cls, arguments)
    graph = random_graph(8, 3)
    y = random_state(graph, paired, 4).float()
    rounded = isinstance(observable, DirichletEnergy) and observable.normalization in ("none", "rw")
    got, exact = observable.on(graph)(0.0, y), observable.on(graph)(0.0, y.double())
    torch.testing.assert_close(got, exact, rtol=2 * 6e-8 if rounded else 1e-14, atol=0)


@every
def test_a_graph_that_is_not_finite_spoils_no_other(cls, arguments):
    observable, paired = made(cls, arguments)
    graph = random_graph(6, 1).repeat(2)
    y = random_state(graph, paired, 2)
    y[..., 2, 1] = torch.nan
    bad, good = observable.on(graph)(0.0, y).tolist()
    assert np.isnan(bad) or cls is AttentionEntropy  # which does not look at features
    assert np.isfinite(good)


# How a quantity grows with the features; None where it is no power (entropy, phases, areas) or takes no size at all.
DEGREES = {"DirichletEnergy": 2, "AttentionEnergy": 2, "GRAFFEnergy": 2, "Hamiltonian": 2, "ModifiedEnergy": 2}
DEGREES |= {"DissipatedPower": 2, "Mass": 1, "Norm": 1, "ConsensusDistance": 1, "KernelDistance": 1, "PDirichletEnergy": 1}
DEGREES |= {"Entropy": None, "OrderParameter": None, "PolyakovEnergy": None}


@every
def test_tiny_float32_states_keep_their_digits(cls, arguments):
    """2^-50 is 1e-15: nothing is rounded on the way there, so all digits have to come back."""
    degree = DEGREES.get(cls.__name__, 0)
    if degree is None:
        return
    if arguments.get("scale") == "root_mean":
        degree = 1
    if arguments.get("relative"):
        degree = 0
    observable, paired = made(cls, arguments)
    graph = random_graph(9, 1)
    for y in (random_state(graph, paired, 2).float(), 1 + 1e-5 * random_state(graph, paired, 2).float()):
        expected, tiny = observable.on(graph)(0.0, y), observable.on(graph)(0.0, 2.0**-50 * y)
        torch.testing.assert_close(tiny * 2.0 ** (50 * degree), expected, rtol=1e-12, atol=0, equal_nan=True)
    for power in (-600, 600) if degree < 2 and cls.__name__ != "PDirichletEnergy" else ():  # squares would leave float64
        scaled = observable.on(graph)(0.0, 2.0**power * y.double())
        torch.testing.assert_close(scaled * 2.0 ** (-power * degree), expected, rtol=1e-12, atol=0, equal_nan=True)


@every
def test_one_channel_and_one_component_are_the_whole(cls, arguments):
    observable, paired = made(cls, arguments)
    graph = random_graph(7, 1)
    y = random_state(graph, paired, 2, channels=1)
    expected = observable.on(graph)(0.0, y)
    torch.testing.assert_close(per_channel(observable).on(graph)(0.0, y), expected.unsqueeze(1), equal_nan=True)
    torch.testing.assert_close(per_component(observable).on(graph)(0.0, y), expected, rtol=1e-12, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize("cls", observables(), ids=lambda c: c.__name__)
def test_names_tell_variants_apart(cls):
    found = [made(*one.values)[0] for one in variants() if one.values[0] is cls]
    settings = {tuple(str(getattr(one, f.name)) for f in dataclasses.fields(one)) for one in found}
    assert len({one.name for one in found}) == len(settings)


@pytest.mark.parametrize("cls", observables(), ids=lambda c: c.__name__)
def test_the_value_of_the_example(cls):
    stated = {"DirichletEnergy": 5.0, "RayleighQuotient": 0.5, "Mass": 4.0, "Norm": 5.0, "Hamiltonian": 4.5}
    stated |= {"EffectiveRank": 2.0, "NumericalRank": 1.25}
    stated |= {"AttentionEnergy": 3.75, "AttentionEntropy": np.log(2) / 3, "ConsensusDistance": 8**0.5}
    stated |= {"DissipatedPower": 2.5, "EnergyOverVariance": 15 / 14, "Entropy": 1.5 * np.log(2)}
    stated |= {"FeatureHomophily": 0.125**0.5, "GRAFFEnergy": 3.0, "Homophily": 0.5, "KernelDistance": 3**0.5}
    stated |= {"MAD": (4 - 2**0.5) / 3, "MADGap": 0.5**0.5, "ModifiedEnergy": 4.6, "MoransI": 0.4}
    stated |= {"OrderParameter": 5**0.5 / 3, "RankOneDistance": 0.2}
    stated |= {"PolyakovEnergy": 2**0.5 + 6**0.5 + 5**0.5 - 3, "PDirichletEnergy": 3.0}
    observable, graph, y = cls.example()
    assert observable.on(graph)(0.0, y).item() == pytest.approx(stated[cls.__name__], rel=1e-14)


# ---- energies -------------------------------------------------------------------------------------------------------


def barbell(k):
    """Two complete graphs of k nodes, joined by one edge between nodes k - 1 and k."""
    one = Graph.complete(k).edge_index
    bridge = torch.tensor([[k - 1, k], [k, k - 1]])
    return Graph.from_edges(torch.cat([one, one + k, bridge], dim=1))


def test_stated_values():
    half = torch.tensor([0.0] * 4 + [1.0] * 4, dtype=torch.float64)
    assert DirichletEnergy().on(barbell(4))(0, half).item() == 1.0  # only the bridge is cut
    assert DirichletEnergy(scale="mean").on(barbell(4))(0, half).item() == 0.25
    assert RayleighQuotient().on(barbell(4))(0, half - 0.5).item() == 0.5
    indicator = torch.eye(6, dtype=torch.float64)[:, :1]
    assert DirichletEnergy().on(Graph.complete(6))(0, indicator).item() == 5.0
    assert DirichletEnergy("sym").on(Graph.complete(6))(0, indicator).item() == pytest.approx(1.0, rel=1e-15)
    assert DirichletEnergy("sym_loops").on(Graph.complete(6))(0, indicator).item() == pytest.approx(5 / 6, rel=1e-15)


@pytest.mark.parametrize(("graph", "angle"), [(Graph.path(9), np.pi / 9), (Graph.ring(9), 2 * np.pi / 9)])
def test_modes_have_their_eigenvalue_as_quotient(graph, angle):
    x = torch.cos(2 * angle * (torch.arange(9, dtype=torch.float64) + 0.5))
    assert RayleighQuotient().on(graph)(0, x).item() == pytest.approx(2 - 2 * np.cos(2 * angle), rel=1e-13)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_energies_against_matrices(kind):
    graph, x = random_graph(10, 7), random_state(random_graph(10, 7), False, 8)
    a = torch.zeros(10, 10, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = graph.weight
    one, d = torch.eye(10, dtype=torch.float64), a.sum(1)
    loops = (d + 1).rsqrt()
    laplacian, mass, kernel = {
        "none": (d.diag() - a, torch.ones(10), torch.ones(10)),
        "sym": (one - d.rsqrt()[:, None] * a * d.rsqrt(), torch.ones(10), d.sqrt()),
        "sym_loops": (one - loops[:, None] * (a + one) * loops, torch.ones(10), 1 / loops),
        "rw": (one - a / d[:, None], d, torch.ones(10)),
        "col": (one - a / d, 1 / d, d),
    }[kind]
    mass, kernel = mass.double(), kernel.double()
    energy, size = (x * (mass[:, None] * (laplacian @ x))).sum(), (x * mass[:, None] * x).sum()
    torch.testing.assert_close(DirichletEnergy(kind).on(graph)(0, x)[0], energy, rtol=1e-13, atol=0)
    torch.testing.assert_close(RayleighQuotient(kind).on(graph)(0, x)[0], energy / size, rtol=1e-13, atol=0)
    assert DirichletEnergy(kind).on(graph)(0, kernel).item() < 1e-28


def test_sym_loops_is_the_operator_of_pyg():
    """Also where some nodes have a self-loop of another weight already."""
    graph = random_graph(8, 2)
    loops = torch.tensor([[1, 4], [1, 4]])
    weight = torch.cat([graph.weight, torch.tensor([0.3, 2.0], dtype=torch.float64)])
    graph = Graph.from_edges(torch.cat([graph.edge_index, loops], dim=1), weight)
    index, values = gcn_norm(graph.edge_index, graph.weight, graph.num_nodes)
    x = random_state(graph, False, 3)
    expected = (x * x).sum() - (values * (x[index[0]] * x[index[1]]).sum(1)).sum()
    torch.testing.assert_close(DirichletEnergy("sym_loops").on(graph)(0, x)[0], expected, rtol=1e-13, atol=0)


def test_tiny_differences_do_not_cancel():
    graph, x = Graph.grid(20, 20), random_state(Graph.grid(20, 20), False, 1)
    exact = DirichletEnergy().on(graph)(0, x).item()
    assert DirichletEnergy().on(graph)(0, 1e-15 * x).item() == pytest.approx(1e-30 * exact, rel=1e-13)
    step = torch.zeros(400, 1)
    step[0] = 2.0**-20
    assert DirichletEnergy().on(graph)(0, 1 + step).item() == 2 * 2.0**-40  # tr(x'Lx) in float32 gives noise of 1e-5
    assert RayleighQuotient().on(graph)(0, 1e-200 * x).item() == pytest.approx(RayleighQuotient().on(graph)(0, x).item())
    assert RayleighQuotient().on(graph)(0, 1e200 * x).item() == pytest.approx(RayleighQuotient().on(graph)(0, x).item())


def test_blocks_of_edges_add_up(monkeypatch):
    graph, x = random_graph(20, 1), random_state(random_graph(20, 1), False, 2).requires_grad_()
    whole = energy_density(graph, x).pow(2).sum()
    gradient = torch.autograd.grad(whole, x)[0]
    monkeypatch.setattr("neuralpde.operators.differences._BLOCK", 12)
    parts = energy_density(graph, x).pow(2).sum()
    torch.testing.assert_close(parts, whole, rtol=1e-14, atol=0)
    torch.testing.assert_close(torch.autograd.grad(parts, x)[0], gradient, rtol=1e-13, atol=1e-13)


def test_energies_are_differentiable_twice_and_in_the_weights():
    graph, x = random_graph(5, 1), random_state(random_graph(5, 1), False, 2).requires_grad_()
    weight = graph.weight.clone().requires_grad_()
    inputs = (x, weight)
    assert torch.autograd.gradcheck(lambda x, w: energy_density(graph, x, w), inputs)
    assert torch.autograd.gradgradcheck(lambda x, w: energy_density(graph, x, w), inputs)
    for kind in NORMALIZATIONS:
        assert torch.autograd.gradcheck(lambda w, k=kind: DirichletEnergy(k, weight=w).on(graph)(0, x), (weight,))


def test_no_edges_by_channels_tensor_is_kept():
    graph, x = Graph.complete(60), torch.randn(60, 32, dtype=torch.float64, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        DirichletEnergy("sym").on(graph)(0, x).sum().backward()
    assert max(kept) < 3 * graph.num_edges < graph.num_edges * 32


def test_isolated_nodes_and_empty_graphs():
    graph = Graph.from_edges(torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
    x = torch.tensor([1.0, 3.0, 100.0], dtype=torch.float64)
    for kind in NORMALIZATIONS:
        assert torch.isfinite(RayleighQuotient(kind).on(graph)(0, x)).all()
        assert DirichletEnergy(kind).on(graph)(0, x).item() == pytest.approx(2.0 if kind == "sym_loops" else 4.0)
    bare = Graph.from_edges(torch.empty(2, 0, dtype=torch.int64), num_nodes=2)
    assert DirichletEnergy().on(bare)(0, x[:2]).item() == 0


def test_complex_features_count_by_their_modulus():
    graph, x = random_graph(6, 1), torch.randn(6, 2, dtype=torch.complex128)
    for observable in (DirichletEnergy(), Norm()):
        total = observable.on(graph)(0, x).item()
        parts = [observable.on(graph)(0, part).item() for part in (x.real, x.imag)]
        assert total == pytest.approx(sum(parts) if isinstance(observable, DirichletEnergy) else np.hypot(*parts))


# ---- kernels, masses, energies of fields ----------------------------------------------------------------------------


def laplacian(graph, kind="none"):
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = graph.edge_weight(torch.float64)
    d = a.sum(1)
    m = d.diag() - a
    return {"none": m, "sym": m * d.rsqrt() * d.rsqrt()[:, None], "rw": m / d[:, None], "col": m / d}[kind]


@pytest.mark.parametrize("theirs", ["none", "sym", "rw", "col"])
@pytest.mark.parametrize("ours", ["none", "sym", "rw", "col"])
@pytest.mark.parametrize("cls", [DirichletEnergy, RayleighQuotient, EnergyOverVariance, KernelDistance])
def test_warns_where_the_kernel_is_not_that_of_the_dynamics(cls, ours, theirs):
    graph = random_graph(12, 5)
    field = LinearFlow(Dense(-laplacian(graph, theirs)))
    kernel = {"none": 0, "rw": 0, "sym": 1, "col": 2}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cls(ours).on(graph, field)
    assert bool(caught) == (kernel[ours] != kernel[theirs])
    assert all("does not annihilate" in str(one.message) for one in caught)


@dataclasses.dataclass(frozen=True, eq=False)
class Quartic:
    """H = |p|^2 / 2 + c sum q^4."""

    c: torch.Tensor

    def velocity(self, t, p):
        return p

    def energy(self, t, y, space):
        return space.total(y[1] ** 2) / 2 + self.c * space.total(y[0] ** 4)

    def __call__(self, t, y):
        return torch.stack([y[1], -4 * self.c * y[0] ** 3])


class Opaque:
    """The same, but what it holds cannot be seen."""

    velocity, energy, __call__, c = Quartic.velocity, Quartic.energy, Quartic.__call__, 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class Oscillator:
    """q'' = -K q with masses m: m K is symmetric."""

    stiffness: SparseOperator
    mass: torch.Tensor | None = None
    damping: float = 0.0

    def velocity(self, t, p):
        return p

    def force(self, t, q):
        return -self.stiffness.matvec(q)

    def __call__(self, t, y):
        return torch.stack([self.velocity(t, y[1]), self.force(t, y[0]) - self.damping * y[1]])


def sparse(matrix):
    at = matrix.nonzero().t()
    return SparseOperator.from_edges(at.flip(0), matrix[at[0], at[1]], matrix.shape[0])


@pytest.mark.parametrize("source", ["mass", "area"])
def test_hamiltonian_of_a_linear_force_is_kept_with_the_mass_of_the_field(source):
    graph = random_graph(10, 2)
    matrix = laplacian(graph, "rw")
    area = graph.degree if source == "area" else None
    field = Oscillator(sparse(matrix), graph.degree if source == "mass" else None)
    graph = graph if area is None else graph.with_node(area=area)
    y = random_state(graph, True, 3)
    reading = Hamiltonian().on(graph, field)
    expected = (graph.degree[:, None] * y[1] ** 2).sum() / 2 + DirichletEnergy().on(graph)(0, y[0]) / 2
    torch.testing.assert_close(reading(0, y), expected, rtol=1e-13, atol=0)
    end = solve(field, y, 5.0, "dopri5", rtol=1e-10, atol=1e-12).y[-1]
    torch.testing.assert_close(reading(5, end), expected, rtol=1e-8, atol=0)
    parts = [Hamiltonian(part).on(graph, field)(0, y) for part in ("kinetic", "potential")]
    torch.testing.assert_close(sum(parts), expected, rtol=1e-13, atol=0)


def test_energies_of_a_wave_in_its_own_coordinates():
    """Wave solves for sqrt(m) u with a symmetric stiffness: areas must not count twice, and u has constants as kernel."""
    graph = random_graph(10, 2).with_node(area=torch.linspace(1, 2, 10, dtype=torch.float64))
    u0 = random_state(graph, False, 3)
    energies = [Monitor(Hamiltonian(part)) for part in ("total", "kinetic", "potential")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch = [*energies, roughness := Monitor(DirichletEnergy()), Monitor(Mass())]
        simulate(Wave(mass=graph.node["area"]), graph, u0, 2.0, "dopri5", rtol=1e-10, monitors=watch)
    total, kinetic, potential = (m.values for m in energies)
    torch.testing.assert_close(potential, roughness.values / 2, rtol=1e-12, atol=0)
    torch.testing.assert_close(total, kinetic + potential)
    torch.testing.assert_close(total, total[:1].expand_as(total), rtol=1e-8, atol=0)
    torch.testing.assert_close(watch[-1].values, watch[-1].values[:1].expand_as(total), rtol=1e-9, atol=1e-9)


def test_hamiltonian_does_not_lose_a_smooth_float32_wave():
    graph = Graph.path(2000)
    x = 1 + 1e-3 * torch.cos(torch.pi * (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000).unsqueeze(1)
    y = torch.stack([x, 0 * x]).float()
    index = torch.cat([graph.edge_index, torch.arange(2000).repeat(2, 1)], dim=1)
    values = torch.cat([-torch.ones(graph.num_edges), graph.degree])
    field = Oscillator(SparseOperator.from_edges(index, values.float(), 2000, symmetric=True))
    got, exact = Hamiltonian().on(graph, field)(0, y).item(), DirichletEnergy().on(graph)(0, y[0]).item() / 2
    assert got == pytest.approx(exact, rel=1e-5)  # in float32, q'Kq is wrong by more than itself


def test_hamiltonian_asks_the_field_first_or_says_what_is_missing():
    graph, y = random_graph(4, 1), random_state(random_graph(4, 1), True, 1)
    for field in (Quartic(torch.tensor(0.25)), Opaque()):
        kinetic, potential = (y[1] ** 2).sum() / 2, (y[0] ** 4).sum() / 4
        for part, expected in [("total", kinetic + potential), ("kinetic", kinetic), ("potential", potential)]:
            torch.testing.assert_close(Hamiltonian(part).on(graph, field)(0, y)[0], expected, rtol=1e-13, atol=0)
    with pytest.raises(TypeError, match="stiffness"):
        Hamiltonian().on(graph, lambda t, y: y)
    with pytest.raises(ValueError, match="stack"):
        Hamiltonian().on(graph)(0, y[0])


def test_mass_takes_the_weights_of_the_field_then_the_areas_of_the_graph():
    graph = Graph.path(3).with_node(area=torch.tensor([1.0, 2.0, 3.0]))
    x = torch.tensor([1.0, 1.0, 10.0])
    field = Oscillator(sparse(laplacian(graph)), torch.tensor([1.0, 0.0, 0.0]))
    assert Mass().on(Graph.path(3))(0, x).item() == 12
    assert Mass().on(graph)(0, x).item() == 33
    assert Mass().on(graph, field)(0, x).item() == 1
    assert Mass(torch.ones(3)).on(graph, field)(0, x).item() == 12
    with pytest.raises(ValueError, match="one per node"):
        Mass().on(graph, Oscillator(sparse(laplacian(graph)), torch.ones(5)))


def test_norms_and_ranks_do_not_overflow():
    graph, x = random_graph(5, 1), random_state(random_graph(5, 1), False, 2)
    for observable in (Norm(), Norm("mean")):
        value = observable.on(graph)(0, x).item()
        assert observable.on(graph)(0, 1e200 * x).item() == pytest.approx(1e200 * value, rel=1e-14)
        assert observable.on(graph)(0, 1e-200 * x).item() == pytest.approx(1e-200 * value, rel=1e-14)
        assert observable.on(graph)(0, 0 * x).item() == 0
    assert np.isinf(Norm().on(graph)(0, torch.full((5, 1), torch.inf)).item())
    for observable in (EffectiveRank(), NumericalRank()):
        value = observable.on(graph)(0, x).item()
        assert observable.on(graph)(0, 1e200 * x).item() == pytest.approx(value, rel=1e-12)
        assert observable.on(graph)(0, torch.ones(5, 1) @ torch.randn(1, 3)).item() == pytest.approx(1, abs=1e-6)
        assert np.isnan(observable.on(graph)(0, 0 * x).item())


def test_ranks_against_numpy():
    graph, x = random_graph(30, 1), random_state(random_graph(30, 1), False, 2, channels=6)
    s = np.linalg.svd(x.numpy(), compute_uv=False)
    p = s / s.sum()
    assert EffectiveRank().on(graph)(0, x).item() == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-13)
    assert NumericalRank().on(graph)(0, x).item() == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-13)


def test_a_batch_need_not_be_sorted():
    batch = torch.tensor([1, 0, 1, 0, 1])
    graph = Graph.from_edges(torch.tensor([[0, 2, 1, 3], [2, 0, 3, 1]]), num_nodes=5, batch=batch)
    x = random_state(graph, False, 2)
    for observable in (EffectiveRank(), Norm(), DirichletEnergy(scale="mean")):
        got = observable.on(graph)(0, x)
        one = Graph.from_edges(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        torch.testing.assert_close(got[:1], observable.on(one)(0, x[batch == 0]))
    assert isinstance(graph.space, PerGraph)


def test_features_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="expected 3 nodes on axis -2"):
        Norm().on(Graph.path(3))(0, torch.ones(4, 2))
    for wrong in (lambda: DirichletEnergy("symm"), lambda: Norm("men"), lambda: Hamiltonian("kinetik")):
        with pytest.raises(ValueError, match=r"'(sym|mean|kinetic)'"):
            wrong()


def test_read_composes():
    graph, y = random_graph(5, 1), random_state(random_graph(5, 1), True, 2)
    torch.testing.assert_close(Norm().on(graph, read=lambda y: y[0])(0, y)[0], y[0].norm())


def test_a_monitored_solve():
    graph = random_graph(10, 3)
    values, vectors = torch.linalg.eigh(laplacian(graph))
    field, u0 = LinearFlow(Dense(-laplacian(graph), symmetric=True)), vectors[:, 1:2].contiguous()
    watch = [Monitor(DirichletEnergy(), every=0.25), Monitor(Mass(), every=0.25), Monitor(Norm(), every=0.25)]
    solve(field, u0, 1.0, rtol=1e-9, callbacks=[m.attach(graph, field, (0.0, 1.0)) for m in watch])
    energy, mass, norm = watch
    expected = values[1] * torch.exp(-2 * values[1] * energy.t)
    torch.testing.assert_close(energy.values[:, 0], expected, rtol=1e-6, atol=0)
    assert mass.values.abs().max() < 1e-12
    found = verdict(40 * energy.t, energy.values, norm.values)
    assert found.shape.word == "stationary"
    assert found.scale.rate == pytest.approx(-values[1].item() / 40, rel=1e-6)


# ---- the verdict ----------------------------------------------------------------------------------------------------

T = np.linspace(0, 10, 41)
FLAT = np.ones_like(T)


@pytest.mark.parametrize(
    ("norm_rate", "shape_rate", "meaning"),
    [
        (0, -0.8, "oversmoothing"),
        (-0.4, -0.8, "collapsing and oversmoothing"),
        (0.5, -0.4, "exploding and oversmoothing"),
        (0, 0, "steady"),
        (-0.4, 0, "fading, with its shape kept"),
        (0.3, 0, "exploding, with its shape kept"),
        (0, 0.3, "sharpening"),
        (-0.4, 0.4, "fading and sharpening"),
        (0.4, 0.4, "exploding and sharpening"),
        (0, -0.15, "inconclusive"),
    ],
)
def test_verdicts(norm_rate, shape_rate, meaning):
    norm = np.exp(norm_rate * T)
    found = verdict(T, norm**2 * np.exp(shape_rate * T), norm)
    assert found.meaning == meaning
    assert found.scale.rate == pytest.approx(norm_rate, abs=1e-12)
    assert found.shape.rate == pytest.approx(shape_rate, abs=1e-12)
    assert str(found).startswith(meaning)


def test_verdict_is_honest():
    assert verdict(T, 50 ** np.sin(T), FLAT).meaning == "inconclusive"  # comes and goes: neither a trend nor stationary
    blown = np.where(T > 5, np.nan, np.exp(3 * T))
    found = verdict(T, blown, blown**0.5)
    assert found.meaning == "exploding, with its shape kept"
    assert "not finite from t = 5.25" in str(found)
    assert verdict(T, 0 * T, FLAT).shape.word == "stationary"  # at the floor all along
    assert verdict(T, np.where(T > 5, 0.0, np.exp(-5 * T)), FLAT).shape.word == "decaying"
    assert verdict([0.0], [1.0], [1.0]).meaning == "inconclusive"
    assert verdict(T, FLAT, FLAT, 1 + np.exp(-T)).rank.word == "decaying"
    assert verdict(T, FLAT, FLAT, 1 + np.exp(-T)).rank.rate == pytest.approx(-1)
    with pytest.raises(ValueError, match="equally many"):
        verdict(T, FLAT[:3], FLAT)
    with pytest.raises(ValueError, match="negative"):
        verdict(T, -FLAT, FLAT)
