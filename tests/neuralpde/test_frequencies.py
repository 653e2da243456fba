"""Energies in bands of frequencies against dense algebra, heat by its exponentials, and spectra of fields by closed forms."""

import math

import networkx as nx
import numpy as np
import pytest
import torch

from neuralpde import GRAND, Diffusion, Graph, GraphCON, GraphError, Laplacian, Wave, simulate
from neuralpde.diagnosis import band_energies, field_spectrum, heat_rate, laplacian_spectrum

GRID = Graph.grid(9, 7)
X = torch.randn(63, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
T = torch.linspace(0, 4, 9, dtype=torch.float64)
NORMALIZATIONS = ("none", "sym", "sym_loops", "rw", "col")


def heat(graph, x, normalization="none", rate=1.0):
    """exp(-rate t L) x at the times T, by the dense exponential of L with its own definition."""
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = 1.0
    d = a.sum(1)
    n = torch.eye(len(d), dtype=torch.float64)
    loops = (d + 1).rsqrt()
    matrix = {
        "none": torch.diag(d) - a,
        "sym": n - d.rsqrt()[:, None] * a * d.rsqrt(),
        "sym_loops": n - loops[:, None] * (a + n) * loops,
        "rw": n - a / d[:, None],
        "col": n - a / d,
    }[normalization]
    return torch.stack([torch.linalg.matrix_exp(-rate * float(t) * matrix) @ x for t in T])


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_every_band_of_heat_decays_as_its_eigenvalues(normalization):
    u = heat(GRID, X, normalization, 0.5)
    found = band_energies(GRID, u, T, normalization=normalization, heat=0.5)
    torch.testing.assert_close(found.energy, found.predicted, rtol=1e-9, atol=1e-13)
    assert found.limits[0].tolist() == [0, 0]
    assert found.modes[0] == 1
    assert int(found.modes.sum()) == 63
    slowest = found.energy[:, 1].diff()
    assert (slowest < 0).all()
    torch.testing.assert_close(found.energy[:, 0], found.energy[:1, 0].expand(9))  # diffusion keeps the kernel
    wrong = band_energies(GRID, u, T, normalization=normalization, heat=1.0)
    assert not torch.allclose(wrong.energy, wrong.predicted, rtol=0.1)


def test_bands_add_up_to_the_norm():
    u = heat(GRID, X)
    for dense in (True, False):
        found = band_energies(GRID, u, dense=dense)
        torch.testing.assert_close(found.energy.sum(1), u.square().sum((1, 2)))
        torch.testing.assert_close(found.share.sum(1), torch.ones(9, dtype=torch.float64))
    assert found.t.tolist() == list(range(9))
    assert found.modes is None


def test_a_mode_falls_into_its_own_band():
    values, vectors = torch.linalg.eigh(Laplacian(GRID, dtype=torch.float64).to_dense())
    for k in (0, 1, 20, 62):
        found = band_energies(GRID, 3 * vectors[:, k : k + 1])
        full = found.limits[found.energy[0] > 1e-12]
        assert len(full) == 1
        low, high = full[0].tolist()
        assert low <= float(values[k]) + 1e-12 and float(values[k]) <= high * (1 + 1e-9)
        assert float(found.energy.max()) == pytest.approx(9)


def test_bands_reach_down_to_the_slowest_mode_where_asked():
    """On a lollipop the octaves hold nearly all modes in the lowest; bands of equal ratio reach its slowest."""
    graph = Graph.from_networkx(nx.lollipop_graph(30, 30))
    values = torch.linalg.eigvalsh(Laplacian(graph, dtype=torch.float64).to_dense())
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = band_energies(graph, x, ratio=None)
    low, high = found.limits[1].tolist()
    step = float(found.limits[2, 1]) / high
    assert low == 0 and high / step == pytest.approx(float(values[1]), rel=1e-9) and step > 2
    assert int(found.modes.sum()) == 60
    assert float(found.energy.sum()) == pytest.approx(float(x.square().sum()))
    with pytest.raises(ValueError, match="ratio = 1"):
        band_energies(graph, x, ratio=1.0)


def test_filters_agree_with_eigenvectors_away_from_the_limits():
    """A mode in the middle of its octave: the polynomial band holds it to rounding, and its neighbours nothing."""
    graph = Graph.ring(200)
    values, vectors = torch.linalg.eigh(Laplacian(graph, dtype=torch.float64).to_dense())
    k = int((values - 4 * 2**-2.5).abs().argmin())
    u = torch.stack([vectors[:, k : k + 1] * math.exp(-float(values[k] * t)) for t in T])
    exact, found = (band_energies(graph, u, T, dense=dense, heat=1.0) for dense in (True, False))
    own = int(exact.energy[0].argmax())
    assert len(exact.limits) == len(found.limits)
    torch.testing.assert_close(found.energy[:, own], exact.energy[:, own], rtol=1e-6, atol=0)
    assert float(found.energy[:, [b for b in range(len(found.limits)) if b != own]].abs().max()) < 1e-6
    torch.testing.assert_close(found.predicted[:, own], exact.energy[:, own], rtol=1e-6, atol=0)


def test_filters_predict_heat_on_a_graph_of_two_parts():
    two = Graph.from_networkx(nx.disjoint_union(nx.path_graph(30), nx.cycle_graph(31)))
    x = torch.randn(61, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u = heat(two, x)
    found = band_energies(two, u, T, dense=False, heat=1.0)
    torch.testing.assert_close(found.energy, found.predicted, rtol=1e-6, atol=1e-10)
    means = torch.stack([x[:30].mean(0).square().sum() * 30 + x[30:].mean(0).square().sum() * 31] * 9)
    torch.testing.assert_close(found.energy[:, 0], means)  # the kernel has a vector on each part


def test_what_is_heat_and_what_is_not():
    assert heat_rate(GRID, Diffusion(0.7).on(GRID, X)) == pytest.approx(0.7)
    for normalization in ("sym", "rw", "col"):
        field = Diffusion(0.3, normalization=normalization).on(GRID, X)
        assert heat_rate(GRID, field, normalization) == pytest.approx(0.3)
        assert heat_rate(GRID, field) is None
    single = Diffusion(0.7).on(GRID, X.float())
    assert heat_rate(GRID, single) == pytest.approx(0.7, rel=1e-5)
    assert heat_rate(GRID, Wave().on(GRID, X)) is None
    uneven = Diffusion(1.0 + (GRID.edge_index.sum(0) % 3).double())
    assert heat_rate(GRID, uneven.on(GRID, X)) is None
    assert heat_rate(GRID, lambda t, u: -u) is None


def test_spectra_of_laplacians():
    ring = 2 - 2 * torch.cos(2 * math.pi * torch.arange(8, dtype=torch.float64) / 8)
    torch.testing.assert_close(laplacian_spectrum(Graph.ring(8)), ring.sort().values)
    torch.testing.assert_close(laplacian_spectrum(Graph.ring(8), "rw"), ring.sort().values / 2)
    complete = laplacian_spectrum(Graph.complete(5), "sym_loops")
    torch.testing.assert_close(complete, torch.tensor([0.0, 1, 1, 1, 1], dtype=torch.float64))


@pytest.mark.parametrize("damping", [0.0, 0.5, 3.0])
def test_an_oscillator_has_pairs(damping):
    field, state = Wave(damping=damping).on(GRID, X), Wave().lift(GRID, X)
    found = field_spectrum(field, state)
    assert found.complete and found.unknowns == 126
    k = np.linalg.eigvalsh(Laplacian(GRID, dtype=torch.float64).to_dense().numpy())
    n = len(k)
    block = np.block([[np.zeros((n, n)), np.eye(n)], [-np.diag(k), -damping * np.eye(n)]])
    assert complex(found.values.sum()) == pytest.approx(np.trace(block), abs=1e-9)
    for s in found.values.tolist():
        assert min(abs(s * s + damping * s + k)) < 1e-9


def test_linear_parts_and_jacobians():
    heat_field = Diffusion(0.5).on(GRID, X)
    found = field_spectrum(heat_field, X)
    torch.testing.assert_close(found.values.real.sort().values, (-0.5 * laplacian_spectrum(GRID)).sort().values)
    assert found.what == "linear part" and not found.values.imag.any()

    def pair(t, y):
        return torch.stack([-y[0] + 2 * y[1], -2 * y[0] - y[1] + y[1] ** 2])

    at = torch.tensor([[3.0], [1.0]], dtype=torch.float64)
    jacobian = field_spectrum(pair, at)
    expected = np.linalg.eigvals(np.array([[-1.0, 2.0], [-2.0, 1.0]]))
    np.testing.assert_allclose(np.sort_complex(jacobian.values.numpy()), np.sort_complex(expected))
    assert "Jacobian" in jacobian.what
    torch.manual_seed(0)
    small = Graph.ring(5)
    pde, x = GraphCON(2, alpha=0.5).double(), X[:5, :2]
    con = field_spectrum(pde.on(small, x), pde.lift(small, x))
    assert con.unknowns == 20
    assert float(con.values.real.mean()) == pytest.approx(-0.25)  # the trace: -alpha on each momentum
    grand = GRAND(4).double()
    assert float(field_spectrum(grand.on(GRID, X[:, [0, 1, 2, 0]]), X).values.real.max()) == pytest.approx(0, abs=1e-9)


def test_of_a_large_graph_the_ends():
    graph = Graph.path(3100)
    found = field_spectrum(Diffusion().on(graph, torch.zeros(3100, 1, dtype=torch.float64)), torch.zeros(3100, 1).double())
    assert not found.complete and found.unknowns == 3100
    assert float(-found.values[0].real) == pytest.approx(4 * math.cos(math.pi / 6200) ** 2, rel=1e-6)


def test_what_is_wrong_is_said():
    for call, error, match in [
        (lambda: band_energies(GRID, X[:5]), ValueError, r"expected \(times, 63, channels\)"),
        (lambda: band_energies(GRID, X, [0.0, 1.0]), ValueError, "2 times for 1 states"),
        (lambda: band_energies(GRID, X, bands=0), ValueError, "at least 1"),
        (lambda: band_energies(GRID, X, normalization="symm"), ValueError, "sym"),
        (lambda: band_energies(Graph.from_edges(torch.tensor([[0, 1], [1, 2]])), X[:3]), GraphError, "undirected"),
        (lambda: band_energies(Graph.path(4000), torch.zeros(4000, 1), dense=True), ValueError, "dense=False"),
        (lambda: laplacian_spectrum(Graph.path(4000)), ValueError, "up to 3,000"),
        (lambda: field_spectrum(lambda t, y: y**2, torch.zeros(1300, 1)), ValueError, "smaller graph or fewer channels"),
    ]:
        with pytest.raises(error, match=match):
            call()


def test_from_a_simulation():
    run = simulate(Diffusion(0.5), GRID, X, T, "dopri5", rtol=1e-10, atol=1e-13)
    found = band_energies(GRID, run.u, run.t, heat=heat_rate(GRID, run.field))
    torch.testing.assert_close(found.energy, found.predicted, rtol=1e-6, atol=1e-10)
