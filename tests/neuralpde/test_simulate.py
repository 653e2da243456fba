"""simulate: what it takes, what it gives, what it refuses."""

import pytest
import torch

from neuralpde import Graph, Monitor, Simulation, simulate
from neuralpde.monitors import DirichletEnergy, Hamiltonian, Mass
from neuralpde.pdes import GRAND, Diffusion, GraphCON, Wave
from solvers import IntegrationError, Leapfrog

F64 = torch.float64
GRAPH = Graph.grid(4, 4)
U0 = torch.rand(16, 2, generator=torch.Generator().manual_seed(0), dtype=F64)


def test_gives_times_features_and_statistics():
    sim = simulate(Diffusion(), GRAPH, U0, [0.0, 0.5, 1.0], "dopri5")
    assert isinstance(sim, Simulation)
    assert sim.t.tolist() == [0.0, 0.5, 1.0] and sim.u.shape == (3, 16, 2) and torch.equal(sim.u[0], U0)
    assert sim.status == "ok" and sim.stats.evaluations > 0 and sim.solution.y.shape == (3, 16, 2)


def test_times_as_number_list_and_tensor():
    a = simulate(Diffusion(), GRAPH, U0, 1.0, "rk4", dt=0.1).u[-1]
    for t in ([0, 1.0], torch.tensor([0.0, 1.0]), torch.tensor(1.0)):
        torch.testing.assert_close(simulate(Diffusion(), GRAPH, U0, t, "rk4", dt=0.1).u[-1], a, rtol=0, atol=0)


def test_takes_data_and_one_channel():
    u = simulate(Diffusion(), GRAPH.to_data(), U0[:, 0], 1.0, "dopri5").u
    assert u.shape == (2, 16, 1)
    torch.testing.assert_close(u[..., 0], simulate(Diffusion(), GRAPH, U0, 1.0, "dopri5").u[..., 0], rtol=0, atol=1e-6)


def test_second_order_equations_give_positions():
    sim = simulate(Wave(), GRAPH, U0, 1.0, "leapfrog", dt=0.1)
    assert sim.solution.y.shape == (2, 2, 16, 2) and sim.u.shape == (2, 16, 2)
    assert torch.equal(simulate(Wave(), GRAPH, U0, 1.0, Leapfrog(), dt=0.1).u, sim.u)


@pytest.mark.parametrize("pde", [Diffusion(), Wave(), GraphCON(2).double(), GRAND(2).double()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("dt", [None, 0.05])
def test_auto_chooses_and_is_right(pde, dt):
    exact = simulate(pde, GRAPH, U0, 1.0, "dopri5", rtol=1e-10).u[-1]
    sim = simulate(pde, GRAPH, U0, 1.0, dt=dt)
    assert "chosen because" in sim.message
    torch.testing.assert_close(sim.u[-1], exact, rtol=0, atol=2e-3)


def test_monitors_see_the_solve():
    energy, mass = Monitor(DirichletEnergy(), every=0.25), Monitor(Mass())
    simulate(Diffusion(), GRAPH, U0, 1.0, "rk4", dt=0.1, monitors=[energy, mass])
    assert energy.t.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert bool((energy.values[1:] < energy.values[:-1]).all())
    torch.testing.assert_close(mass.values, mass.values[:1].expand_as(mass.values), rtol=1e-13, atol=0)
    h = Monitor(Hamiltonian())
    simulate(Wave(damping=0.3), GRAPH, U0, 5.0, "leapfrog", dt=0.01, monitors=[h])
    assert bool((h.values[1:] < h.values[:-1] + 1e-4).all()) and float(h.values[-1]) < 0.5 * float(h.values[0])


def test_a_batch_of_graphs_is_each_alone():
    batch = GRAPH.repeat(3)
    u0 = torch.cat([U0, 2 * U0, 3 * U0])
    options = {"method": "rk4", "dt": 0.1}
    together = simulate(GRAND(2).double(), batch, u0, 1.0, **options)
    assert together.u.shape == (2, 48, 2)
    torch.manual_seed(0)
    pde = GRAND(2, attention="recomputed").double()
    whole, alone = (simulate(pde, g, u, 1.0, **options).u[-1] for g, u in ((batch, u0), (GRAPH, 2 * U0)))
    torch.testing.assert_close(whole[16:32], alone, rtol=0, atol=1e-13)


def test_refusals():
    with pytest.raises(ValueError, match=r"u0 has shape \(5, 2\); expected \(16, channels\)"):
        simulate(Diffusion(), GRAPH, U0[:5], 1.0)
    with pytest.raises(ValueError, match="Did you mean 'dt'"):
        simulate(Diffusion(), GRAPH, U0, 1.0, dtt=0.1)
    with pytest.raises(ValueError, match="Did you mean 'dopri5'"):
        simulate(Diffusion(), GRAPH, U0, 1.0, "dopri54")
    with pytest.raises(ValueError, match=r"u0 is float64 and parameter .conductivity\.raw. is float32"):
        simulate(Diffusion("learnable"), GRAPH, U0, 1.0)
    with pytest.raises(TypeError, match="Leapfrog needs a field with velocity"):
        simulate(Diffusion(), GRAPH, U0, 1.0, "leapfrog", dt=0.1)
    with pytest.raises(IntegrationError) as error:
        simulate(Diffusion(), GRAPH, U0, 100.0, "dopri5", max_steps=3)
    assert error.value.solution is not None


def test_an_explicit_step_beyond_its_limit_is_refused_and_the_fix_works():
    with pytest.raises(ValueError, match=r"Euler with dt = 0.5 is unstable here: it needs dt <= 0\.2\d+") as error:
        simulate(Diffusion(), GRAPH, U0, 5.0, "euler", dt=0.5)
    limit = float(str(error.value).split("dt <= ")[1].split(" ")[0])
    top = float(torch.linalg.eigvalsh(Diffusion().on(GRAPH, U0).operator.to_dense()).abs()[0])
    assert limit == pytest.approx(2 / top, rel=1e-3)
    with pytest.warns(UserWarning, match="may be unstable"):  # Lanczos bounds lambda_max from below, degrees from above
        assert float(simulate(Diffusion(), GRAPH, U0, 5.0, "euler", dt=limit).u[-1].abs().max()) <= 1
    assert float(simulate(Diffusion(), GRAPH, U0, 5.0, "crank_nicolson", dt=0.5).u[-1].abs().max()) <= 1


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((Diffusion, GRAPH, U0, 1.0), {}, TypeError, ["the class Diffusion", "Diffusion()"]),
        ((GRAPH, Diffusion(), U0, 1.0), {}, TypeError, ["Graph", "GraphPDE"]),
        ((Diffusion(), GRAPH, U0.numpy(), 1.0), {}, TypeError, ["ndarray", "torch.as_tensor"]),
        ((Diffusion(), GRAPH, U0, 1.0), {"monitors": [DirichletEnergy()]}, TypeError, ["Monitor(DirichletEnergy()"]),
        ((Diffusion(), GRAPH, U0, 1.0), {"monitors": Monitor(DirichletEnergy())}, TypeError, ["monitors=[...]"]),
        ((Diffusion(), GRAPH, U0, 1.0), {"step_size": 0.1}, ValueError, ["step_size", "'dt'"]),
        ((Diffusion(), GRAPH, U0, 1.0), {"gradeint": "adjoint"}, ValueError, ["gradient"]),
    ],
    ids=lambda x: "" if not isinstance(x, dict) else ",".join(x) or "arguments",
)
def test_arguments_that_cannot_be_meant(arguments, options, error, words):
    with pytest.raises(error) as caught:
        simulate(*arguments, **options)
    for word in words:
        assert word in str(caught.value)
