"""Exact solutions on graphs: eigenmodes of paths and cycles, the heat kernel, PageRank, energies."""

import math

import pytest
import torch
from scipy.linalg import expm

from neuralpde import Graph, simulate
from neuralpde.operators import Adjacency, Laplacian, reverse_edges
from neuralpde.pdes import Diffusion, Wave

F64 = torch.float64
N = 12


def path_mode(k, n=N):
    return torch.cos(math.pi * k * (torch.arange(n, dtype=F64) + 0.5) / n), 2 - 2 * math.cos(math.pi * k / n)


def cycle_mode(k, n=N):
    return torch.sin(2 * math.pi * k * torch.arange(n, dtype=F64) / n + 0.3), 2 - 2 * math.cos(2 * math.pi * k / n)


def weighted(graph):
    w = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(5), dtype=F64) + 0.1
    return graph.with_weight(w + w[reverse_edges(graph)])


CASES = [(Graph.path(N), path_mode, k) for k in (0, 1, 5, N - 1)] + [(Graph.ring(N), cycle_mode, k) for k in (1, 3, 6)]


@pytest.mark.parametrize("graph, mode, k", CASES)
def test_heat_on_eigenmodes(graph, mode, k):
    v, rate = mode(k)
    sim = simulate(Diffusion(0.7), graph, v, [0.0, 0.5, 2.0], "dopri5", rtol=1e-10)
    for t, u in zip(sim.t.tolist(), sim.u, strict=True):
        torch.testing.assert_close(u[:, 0], math.exp(-0.7 * rate * t) * v, rtol=0, atol=1e-9)


@pytest.mark.parametrize("graph, mode, k", CASES)
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_wave_frequencies(graph, mode, k, damping):
    v, rate = mode(k)
    omega2 = 1.3**2 * rate - damping**2 / 4
    if omega2 < 0:
        return
    omega = math.sqrt(omega2)
    sim = simulate(Wave(1.3, damping), graph, v, [0.0, 0.7, 3.0], "dopri5", rtol=1e-10)
    for t, u in zip(sim.t.tolist(), sim.u, strict=True):
        extra = damping / 2 * (math.sin(omega * t) / omega if omega else t)
        a = math.exp(-damping * t / 2) * (math.cos(omega * t) + extra)
        torch.testing.assert_close(u[:, 0], a * v, rtol=0, atol=1e-8)


def test_wave_from_a_velocity():
    v, rate = path_mode(3)
    sim = simulate(Wave(velocity=v), Graph.path(N), torch.zeros(N, dtype=F64), 2.0, "dopri5", rtol=1e-10)
    omega = math.sqrt(rate)
    torch.testing.assert_close(sim.u[-1, :, 0], math.sin(2 * omega) / omega * v, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["none", "rw", "sym", "col"])
@pytest.mark.parametrize("method, tolerance", [("dopri5", 1e-8), ("tsit5", 1e-8), ("bosh3", 1e-7)])
def test_heat_kernel(name, method, tolerance):
    graph = weighted(Graph.grid(3, 4))
    kernel = torch.from_numpy(expm(-0.8 * 0.5 * Laplacian(graph, name).to_dense().numpy()))
    sim = simulate(Diffusion(0.5, name), graph, torch.eye(12, dtype=F64), 0.8, method, rtol=1e-9)
    torch.testing.assert_close(sim.u[-1], kernel, rtol=0, atol=tolerance)


def test_wave_with_masses_against_expm():
    graph = weighted(Graph.grid(2, 4))
    mass, damping = torch.rand(2, 8, generator=torch.Generator().manual_seed(2), dtype=F64) + 0.5
    lap = Laplacian(graph).to_dense() / mass[:, None]
    block = torch.zeros(16, 16, dtype=F64)
    block[:8, 8:], block[8:, :8], block[8:, 8:] = torch.eye(8, dtype=F64), -lap, -damping.diag()
    u0 = torch.randn(8, 2, dtype=F64)
    exact = torch.from_numpy(expm(1.5 * block.numpy()))[:8, :8] @ u0
    sim = simulate(Wave(1.0, damping, mass=mass), graph, u0, 1.5, "dopri5", rtol=1e-10)
    torch.testing.assert_close(sim.u[-1], exact, rtol=0, atol=1e-8)


def test_personalised_pagerank_is_one_implicit_euler_step():
    """(I + dt L_rw)^-1 = a (I - (1 - a) P)^-1 with a = 1 / (1 + dt): PPR of restart probability a."""
    graph, restart = weighted(Graph.grid(3, 4)), 0.15
    p = Adjacency(graph, "rw").to_dense()
    eye = torch.eye(12, dtype=F64)
    ppr = restart * torch.linalg.inv(eye - (1 - restart) * p)
    dt = 1 / restart - 1
    sim = simulate(Diffusion(1.0, "rw"), graph, eye, dt, "implicit_euler", dt=dt, rtol=1e-10)
    torch.testing.assert_close(sim.u[-1], ppr, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5"])
def test_diffusion_conserves_mass(method):
    graph = weighted(Graph.grid(4, 5))
    options = {} if method == "dopri5" else {"dt": 0.05}
    for name in ("none", "rw", "sym", "col"):
        pde, u0 = Diffusion(1.0, name), torch.rand(20, 3, dtype=F64)
        sim = simulate(pde, graph, u0, 2.0, method, **options)
        mass = pde.conserved(graph) @ sim.u[-1]
        torch.testing.assert_close(mass, pde.conserved(graph) @ u0, rtol=1e-13, atol=0)


def test_leapfrog_drift_is_of_second_order_and_bounded():
    graph = Graph.grid(6, 6)
    pde, u0 = Wave(normalization="sym"), torch.rand(36, 2, generator=torch.Generator().manual_seed(1), dtype=F64)
    field = pde.on(graph, u0)
    worst = []
    for dt in (0.2, 0.1, 0.05):
        y = simulate(pde, graph, u0, 40.0, "leapfrog", dt=dt, save="steps").solution.y
        energy = torch.stack([field.energy(0.0, state, graph.space) for state in y])
        worst.append(float((energy - energy[0]).abs().max() / energy[0]))
    assert worst[0] / worst[1] == pytest.approx(4, rel=0.1) and worst[1] / worst[2] == pytest.approx(4, rel=0.1)
    assert worst[2] < 1e-3
    pumped = simulate(pde, graph, u0, 40.0, "euler", dt=0.05).solution.y[-1]
    assert float(field.energy(0.0, pumped, graph.space)) > 1.5 * float(energy[0])


def test_leapfrog_limit():
    """dt < 2 / sqrt(lambda_max) = sqrt 2 on a bipartite graph: refused above, bounded below."""
    graph, u0 = Graph.grid(10, 10), torch.rand(100, 1, dtype=F64)
    pde = Wave(normalization="sym")
    with pytest.raises(ValueError, match="unstable here"):
        simulate(pde, graph, u0, 100.0, "leapfrog", dt=1.45)
    assert float(simulate(pde, graph, u0, 400.0, "leapfrog", dt=1.41).u[-1].norm()) < 100
