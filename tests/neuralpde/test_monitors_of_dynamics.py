"""Monitors along solves and through modules: shadow energies, dissipated work, attention, gradients, hooks, files."""

import csv
import dataclasses
import json
import math
import re

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv

from neuralpde import Graph, Monitor, simulate
from neuralpde.monitors import (
    AttentionEnergy,
    AttentionEntropy,
    ConsensusDistance,
    DirichletEnergy,
    DissipatedPower,
    EffectiveRank,
    EnergyOverVariance,
    Entropy,
    GradientNorms,
    Hamiltonian,
    Mass,
    ModifiedEnergy,
    Norm,
    attach,
    per_component,
    tensorboard,
    to_tensorboard,
)
from neuralpde.pdes import GRAND, Diffusion, Wave
from solvers import LinearFlow, SparseOperator, solve


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- second order ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "order"), [("symplectic_euler", 1), ("leapfrog", 2)])
def test_linear_waves_keep_the_modified_energy_to_rounding(method, order):
    graph, u0 = Graph.grid(4, 5), noise(20, 2)
    swing = []
    for dt in (0.1, 0.05):
        shadow, energy = Monitor(ModifiedEnergy(dt, method)), Monitor(Hamiltonian())
        simulate(Wave(), graph, u0, 10.0, method, dt=dt, monitors=[shadow, energy])
        torch.testing.assert_close(shadow.values, shadow.values[:1].expand_as(shadow.values), rtol=1e-12, atol=0)
        swing.append((energy.values - energy.values[0]).abs().max().item())
    assert math.log2(swing[0] / swing[1]) == pytest.approx(order, abs=0.15)


def test_the_modified_energy_knows_areas():
    graph = Graph.grid(4, 5).with_node(area=torch.linspace(1, 2, 20, dtype=torch.float64))
    shadow = Monitor(ModifiedEnergy(0.1, "leapfrog"))
    simulate(Wave(mass=graph.node["area"]), graph, noise(20, 1), 3.0, "leapfrog", dt=0.1, monitors=[shadow])
    torch.testing.assert_close(shadow.values, shadow.values[:1].expand_as(shadow.values), rtol=1e-12, atol=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """H = |p|^2 / (2 m) + sum over neighbours of d^2 / 2 + d^4 / 4: a Fermi-Pasta-Ulam chain."""

    m: torch.Tensor
    damping: float = 0.0

    def velocity(self, t, p):
        return p / self.m

    def force(self, t, q):
        d = q[1:] - q[:-1]
        pull = d + d**3
        return torch.cat([pull, 0 * q[:1]]) - torch.cat([0 * q[:1], pull])

    def energy(self, t, y, space):
        d = y[0, 1:] - y[0, :-1]
        return ((y[1] ** 2 / self.m).sum() / 2 + (d**2 / 2 + d**4 / 4).sum()).reshape(1)

    def __call__(self, t, y):
        return torch.stack([self.velocity(t, y[1]), self.force(t, y[0]) - self.damping * y[1]])


@pytest.mark.parametrize(("method", "order"), [("symplectic_euler", 2), ("leapfrog", 4)])
def test_other_forces_keep_it_to_the_stated_order(method, order):
    graph, field = Graph.path(6), Chain(torch.tensor(1.5, dtype=torch.float64))
    y0 = torch.stack([noise(6, 1), 0.5 * noise(6, 1, seed=1)])
    drift = []
    for dt in (0.04, 0.02):
        shadow = Monitor(ModifiedEnergy(dt, method)).attach(graph, field, (0.0, 2.0))
        solve(field, y0, 2.0, method, dt=dt, callbacks=[shadow])
        drift.append((shadow.values - shadow.values[0]).abs().max().item())
    assert math.log2(drift[0] / drift[1]) == pytest.approx(order, abs=0.4)


@pytest.mark.parametrize("mass", [False, True])
def test_dissipated_work_is_what_the_energy_lost(mass):
    graph = Graph.grid(3, 4)
    pde = Wave(damping=0.3, mass=torch.linspace(1, 2, 12, dtype=torch.float64) if mass else None)
    power, energy = Monitor(DissipatedPower(), every=0.01), Monitor(Hamiltonian(), every=0.01)
    simulate(pde, graph, noise(12, 2), 2.0, "dopri5", rtol=1e-9, monitors=[power, energy])
    lost = energy.values[0] - energy.values
    assert lost[-1] > 1
    torch.testing.assert_close(power.integral(), lost, rtol=0, atol=3e-6 * energy.values[0].item())


def test_dissipated_power_of_other_masses():
    field, y = Chain(torch.tensor(2.0, dtype=torch.float64), 0.5), torch.stack([noise(6, 1), noise(6, 1, seed=1)])
    power = DissipatedPower().on(Graph.path(6), field)(0.0, y).item()
    y.requires_grad_()
    (gradient,) = torch.autograd.grad(field.energy(0.0, y, None), y)
    assert power == pytest.approx(-(gradient * field(0.0, y)).sum().item(), rel=1e-12)


def test_what_a_field_lacks_is_named():
    with pytest.raises(TypeError, match=r"damping=\.\.\."):
        DissipatedPower().on(Graph.path(3))
    with pytest.raises(TypeError, match="stiffness"):
        ModifiedEnergy(0.1).on(Graph.path(3), lambda t, y: y)
    with pytest.raises(TypeError, match="linear part"):
        AttentionEntropy().on(Graph.path(3), lambda t, y: y)
    with pytest.raises(ValueError, match="'leapfrog'"):
        ModifiedEnergy(0.1, "leapfrogg")


# ---- first order ----------------------------------------------------------------------------------------------------


def test_diffusion_of_a_density():
    graph = Graph.path(6).repeat(2)
    u0 = noise(12, 2).abs()
    watch = [Monitor(o, every=0.5) for o in (Entropy(), per_component(Mass()), EnergyOverVariance(), ConsensusDistance())]
    simulate(Diffusion(1.0), graph, u0, 30.0, "dopri5", rtol=1e-10, atol=1e-14, monitors=watch)
    entropy, mass, ratio, distance = (m.values for m in watch)
    assert (entropy.diff(dim=0) > -1e-9).all()
    torch.testing.assert_close(mass, mass[:1].expand_as(mass))
    lowest = 2 - 2 * math.cos(math.pi / 6)
    torch.testing.assert_close(ratio[40], torch.full((2,), lowest, dtype=torch.float64), rtol=1e-5, atol=0)
    fall = (distance[30] / distance[20]).log() / 5
    torch.testing.assert_close(fall, torch.full((2,), -lowest, dtype=torch.float64), rtol=1e-4, atol=0)


@pytest.mark.parametrize("attention", ["frozen", "recomputed"])
def test_attention_of_a_running_equation(attention):
    graph, u0 = Graph.grid(3, 4), noise(12, 3)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pde = GRAND(3, heads=2, attention_dim=4, attention=attention).double()
    field = pde.on(graph, u0)
    part = field.operator if attention == "frozen" else field.linear_part(torch.tensor(0.0).double(), u0)
    g = part.to_dense().detach()
    g = g - g.diagonal().diag()
    x = u0
    expected = ((g + g.t()) / 2 * (x[:, None] - x[None]).square().sum(-1)).sum().item() / 2
    assert AttentionEnergy().on(graph, field)(0.0, u0).item() == pytest.approx(expected, rel=1e-12)
    p = g / g.sum(1, keepdim=True)
    each = -torch.xlogy(p, p).sum(1)
    assert AttentionEntropy().on(graph, field)(0.0, u0).item() == pytest.approx(each.mean().item(), rel=1e-12)
    share = (each / (g > 0).sum(1).double().log()).mean().item()
    assert AttentionEntropy(relative=True).on(graph, field)(0.0, u0).item() == pytest.approx(share, rel=1e-12)
    watch = [Monitor(AttentionEntropy()), Monitor(AttentionEnergy())]
    simulate(pde, graph, u0, 1.0, "rk4", dt=0.25, monitors=watch)
    assert watch[0].values.shape == (5, 1)
    assert watch[0].values.unique().numel() == (1 if attention == "frozen" else 5)


def test_attention_energy_has_gradients_in_the_attention():
    graph, u0 = Graph.grid(2, 3), noise(6, 3)
    pde = GRAND(3, heads=1, attention_dim=4).double()
    for observable in (AttentionEnergy(), AttentionEntropy()):
        value = observable.on(graph, pde.on(graph, u0))(0.0, u0).sum()
        found = torch.autograd.grad(value, list(pde.parameters()), allow_unused=True)
        assert any(g is not None and g.abs().max() > 0 for g in found)


# ---- gradients ------------------------------------------------------------------------------------------------------


def decay(rate, n=3):
    at = torch.arange(n)
    return LinearFlow(SparseOperator.from_edges(torch.stack([at, at]), torch.full((n,), -rate, dtype=torch.float64), n))


@pytest.mark.parametrize("rate", [1.0, -2.0])
def test_gradient_norms_vanish_or_explode_at_the_rate_of_the_flow(rate):
    """Explicit Euler on u' = -rate u: |d loss / d u(t_k)| = (1 - rate dt)^(N - k) |d loss / d u(T)|."""
    graph, u0 = Graph.path(3), noise(3, 2).requires_grad_()
    norms = GradientNorms(graph)
    end = solve(decay(rate), u0, 1.0, "euler", dt=0.1, callbacks=[norms]).y[-1]
    with pytest.raises(ValueError, match="backward"):
        _ = norms.values
    end.sum().backward()
    k = torch.arange(11, dtype=torch.float64)
    torch.testing.assert_close(norms.t, k / 10)
    torch.testing.assert_close(norms.values[:, 0], 6**0.5 * (1 - 0.1 * rate) ** (10 - k), rtol=1e-12, atol=0)
    norms.clear()
    solve(decay(rate), u0.detach(), 1.0, "euler", dt=0.1, callbacks=[norms])
    with pytest.raises(ValueError, match="requires_grad_"):
        _ = norms.values


def test_gradient_norms_of_a_batch_and_of_adaptive_steps():
    graph, u0 = Graph.path(3).repeat(2), noise(6, 2).requires_grad_()
    norms = GradientNorms(graph)
    sim = simulate(Diffusion(1.0), graph, u0, 1.0, "dopri5", callbacks=[norms])
    (sim.u[-1][:3] ** 2).sum().backward()
    assert norms.values.shape[1] == 2
    assert (norms.values[:, 1] == 0).all()
    assert norms.values[0, 0].item() == pytest.approx(u0.grad.norm().item(), rel=1e-12)


# ---- modules --------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.shared, self.norm = GCNConv(3, 8), GATConv(8, 8), nn.LayerNorm(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x, edge_index):
        x = self.first(x, edge_index).relu()
        for _ in range(2):
            x = self.norm(self.shared(x, edge_index))
        return self.head(x.mean(0))


def test_attach_sees_every_layer_call_by_call():
    torch.manual_seed(0)
    graph, x, model = Graph.grid(3, 4), noise(12, 3).float(), Net()
    seen = []
    handle = model.shared.register_forward_hook(lambda m, i, o: seen.append(o))
    energy = DirichletEnergy("sym_loops")
    with attach(model, [energy, EffectiveRank()], graph, only=(GCNConv, GATConv, nn.LayerNorm)) as recording:
        model(x, graph.edge_index)
    with attach(model, energy, graph) as inside:
        model(x, graph.edge_index)
    assert set(recording.names) < set(inside.names)
    assert {"first.lin", "shared.lin"} <= set(inside.names)  # but nothing of head, which sees no nodes
    assert "head" not in inside.names
    handle.remove()
    assert recording.names == ["first", "shared", "norm", "shared (2)", "norm (2)"]
    first, rank = recording.monitors
    assert first.values.shape == rank.values.shape == (5, 1)
    assert first.t.tolist() == [0, 1, 2, 3, 4]
    assert not first.values.requires_grad
    torch.testing.assert_close(first.values[[1, 3]], torch.stack([energy.on(graph)(0.0, h) for h in seen[:2]]))
    model(x, graph.edge_index)  # the hooks are off
    assert len(recording.names) == 5


def test_attach_chooses_tracks_clears_and_takes_gradients():
    graph, model = Graph.grid(3, 4).repeat(2), Net()
    x = noise(24, 3).float()
    recording = attach(model, [Norm(), GradientNorms(graph)], graph, only=(GCNConv, GATConv), track=True)
    model(x, graph.edge_index).sum().backward(retain_graph=True)
    norm, gradient = recording.monitors
    assert recording.names == ["first", "shared", "shared (2)"]
    assert norm.values.shape == gradient.values.shape == (3, 2)
    assert torch.autograd.grad(norm.values.sum(), model.first.lin.weight)[0].abs().sum() > 0
    recording.clear()
    model(x, graph.edge_index)
    assert len(recording.names) == len(norm.values) == 3
    recording.remove()
    with pytest.raises(ValueError, match="no submodule"):
        attach(model, Norm(), graph, only=nn.Conv2d)
    with pytest.raises(TypeError, match="expected observables"):
        attach(model, [3], graph)


# ---- files ----------------------------------------------------------------------------------------------------------


def recorded(graphs=1):
    graph = Graph.path(3).repeat(2) if graphs == 2 else Graph.path(3)
    monitor = Monitor(Norm()).attach(graph, None, (0.0, 1.0))
    for t in (0.0, 0.1, 0.3):
        monitor.after(t, (1 + t) * torch.ones(graph.num_nodes, 1), 0.1)
    return monitor


@pytest.mark.parametrize("graphs", [1, 2])
def test_tables_and_json(tmp_path, graphs):
    monitor = recorded(graphs)
    rows = list(csv.reader(monitor.to_csv(tmp_path / "a.csv").open()))
    assert rows[0] == ["t", "norm"] if graphs == 1 else ["t", "norm[0]", "norm[1]"]
    assert [[float(v) for v in row] for row in rows[1:]] == torch.cat([monitor.t[:, None], monitor.values], 1).tolist()
    monitor.after(0.4, torch.full((3 * graphs, 1), torch.nan), 0.1)
    back = json.loads(monitor.to_json(tmp_path / "a.json").read_text())
    assert back["name"] == "norm"
    assert back["t"] == monitor.t.tolist()
    assert back["values"] == [*monitor.values[:3].tolist(), [None] * graphs]


def test_tensorboard_where_it_is(tmp_path, monkeypatch):
    written = []
    writer = type("Writer", (), {"add_scalar": lambda self, *row: written.append(row)})()
    to_tensorboard([recorded(), recorded(2)], writer)
    assert [tag for tag, _, _ in written] == ["norm"] * 3 + ["norm/0", "norm/1"] * 3
    assert written[0] == ("norm", recorded().values[0, 0].item(), 0)
    monkeypatch.setattr(tensorboard, "SummaryWriter", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        to_tensorboard(recorded(), tmp_path)


def test_an_integral_is_exact_for_parabolas_and_of_third_order():
    monitor = Monitor(Mass()).attach(Graph.path(1), None, (0.0, 1.0))
    t = torch.tensor([0.0, 0.1, 0.3, 0.7, 0.8], dtype=torch.float64)
    for time in t.tolist():
        monitor.after(time, torch.full((1, 1), 1 + time - 3 * time**2, dtype=torch.float64), 0.1)
    torch.testing.assert_close(monitor.integral()[:, 0], t + t**2 / 2 - t**3, rtol=1e-14, atol=1e-16)
    monitor.clear()
    with pytest.raises(ValueError, match="nothing recorded"):
        monitor.integral()


def test_the_recipe_is_short():
    recipe = re.search(r"def training_step.*?return loss", attach.__doc__, re.S).group()
    assert len(recipe.splitlines()) <= 6
