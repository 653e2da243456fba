"""GraphCON's couplings, residual forms, learned rates and starts: dense formulae, exact points, rates, contracts."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from neuralpde import Graph, check, simulate
from neuralpde.operators import Adjacency
from neuralpde.pdes import GraphCON
from neuralpde.pdes.coupled_oscillators import CoupledOscillators
from neuralpde.pdes.coupling import Convolution, Layered
from neuralpde.training.presets import equation
from solvers import linear_flow, solve

F64 = torch.float64
GRID, SMALL = Graph.grid(10, 10), Graph.grid(3, 4)
X0 = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (100, 4)))
COUPLINGS = {
    "gcn": {"coupling": "gcn"},
    "gat": {"coupling": "gat", "activation": "elu", "heads": 2},
    "tran-l": {"coupling": "transformer", "heads": 2, "attention_dim": 6},
    "tran-nl": {"coupling": "transformer", "heads": 2, "attention_dim": 6, "attention": "recomputed"},
}


def made(channels=4, **arguments):
    """A double GraphCON whose weights are all random."""
    pde = GraphCON(channels, **arguments).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in pde.named_parameters():
            if not name.endswith("raw"):
                p.copy_(torch.randn(p.shape, generator=generator, dtype=F64) / 2)
    return pde


def features(graph=SMALL, channels=4):
    return torch.randn(graph.num_nodes, channels, generator=torch.Generator().manual_seed(2), dtype=F64)


def neighbours(graph):
    """Edges j -> i and loops, `[i, j]`."""
    held = torch.eye(graph.num_nodes, dtype=torch.bool)
    held[graph.edge_index[1], graph.edge_index[0]] = True
    return held


def dense_attention(pde, x):
    """A(x) of "transformer", from its formula."""
    q, k = ((x @ w).unflatten(1, (pde.heads, -1)) for w in (pde.query, pde.key))
    q = q + pde.query_bias.view(pde.heads, -1)
    scores = torch.einsum("ihd,jhd->hij", q, k) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~neighbours(SMALL), -torch.inf).softmax(-1).mean(0)


def dense_gat(pde, x):
    """F(x) of "gat" without b, from its formula."""
    z = (x @ pde.weight).unflatten(1, (pde.heads, -1))
    at_target, at_source = ((z * v.view(pde.heads, -1)).sum(-1) for v in (pde.left, pde.right))
    scores = F.leaky_relu(at_target[:, None] + at_source[None], 0.2)
    weights = scores.masked_fill(~neighbours(SMALL)[..., None], -torch.inf).softmax(1)
    return torch.einsum("ijh,jhd->ihd", weights, z).flatten(1)


def dense_coupling(name, pde, start):
    """F by dense algebra, with attention of "tran-l" at the start."""
    if name == "gcn":
        a = Adjacency(SMALL, "sym", self_loops=True, dtype=F64).to_dense()
        return lambda x: a @ x @ pde.weight + pde.bias
    if name == "gat":
        return lambda x: dense_gat(pde, x) + pde.bias
    if name == "tran-l":
        held = dense_attention(pde, start)
        return lambda x: held @ x
    return lambda x: dense_attention(pde, x) @ x


@pytest.mark.parametrize("name", COUPLINGS)
@pytest.mark.parametrize("residual", [None, "v1", "v2", "skip"])
def test_force_is_the_dense_formula(name, residual):
    pde = made(alpha=0.3, gamma=0.7, residual=residual, **COUPLINGS[name])
    start, x = features(), features() + 0.5 * features().flip(0)
    f, sigma = dense_coupling(name, pde, start)(x), F.elu if name == "gat" else torch.relu
    z = x if pde.weight is None else x @ pde.weight
    if residual == "v1":
        f = f - (z @ pde.rest + pde.rest_bias)
    elif residual == "v2":
        f = f - z + (x @ pde.rest + pde.rest_bias)
    elif residual == "skip":
        f = f + (x @ pde.rest + pde.rest_bias)
    got = pde.on(SMALL, start).force(torch.zeros((), dtype=F64), x)
    torch.testing.assert_close(got, sigma(f) - 0.7 * x, rtol=0, atol=1e-13)


def test_second_residual_of_a_convolution_is_minus_a_laplacian():
    """(A - I) X W + X R, with W = I and R = 0."""
    pde = made(residual="v2", activation="identity", bias=False, gamma=0.0)
    with torch.no_grad():
        pde.weight.copy_(torch.eye(4)), pde.rest.zero_()
    a = Adjacency(SMALL, "sym", self_loops=True, dtype=F64).to_dense()
    got = pde.on(SMALL, features()).force(torch.zeros(()), features())
    torch.testing.assert_close(got, a @ features() - features(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", COUPLINGS)
def test_degenerate_point_is_a_plain_graph_network(name):
    """dt = alpha = gamma = 1: X_n = sigma(F(X_{n-1})), by dense algebra, whatever Y is."""
    starts = []
    for velocity in ("features", "zero"):
        with pytest.warns(UserWarning, match="plain graph neural network"):
            pde = made(alpha=1.0, gamma=1.0, initial_velocity=velocity, **COUPLINGS[name])
        start = x = features()
        states = simulate(pde, SMALL, start, 20.0, "symplectic_euler", dt=1.0, save="steps").u
        f, sigma = dense_coupling(name, pde, start), F.elu if name == "gat" else torch.relu
        starts.append(states)
        for state in states[1:]:
            x = sigma(f(x))
            torch.testing.assert_close(state, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(*starts, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", COUPLINGS)
def test_two_step_form_of_the_scheme(name):
    """X_{n+1} = (2 - a dt - g dt^2) X_n - (1 - a dt) X_{n-1} + dt^2 sigma(F(X_n)), to rounding."""
    a, g, dt = 0.3, 0.7, 0.25
    pde = GraphCON(4, alpha=a, gamma=g, **COUPLINGS[name]).double()
    x = simulate(pde, SMALL, features(), 20 * dt, "symplectic_euler", dt=dt, save="steps").u.detach()
    f, sigma = dense_coupling(name, pde, features()), F.elu if name == "gat" else torch.relu
    for before, now, after in zip(x, x[1:], x[2:], strict=False):
        with torch.no_grad():
            expected = (2 - a * dt - g * dt**2) * now - (1 - a * dt) * before + dt**2 * sigma(f(now))
        assert float((after - expected).norm()) <= 3e-15 * float(expected.norm())


def test_from_rest_has_the_exact_numbers():
    """sigma = id, W = I, alpha = 0: H, |X(10)| and E(X(10)) of the modal solution from default_rng(0)."""
    pde = GraphCON(4, alpha=0, activation="identity", self_loops=False, bias=False, initial_velocity="zero").double()
    with torch.no_grad():
        pde.weight.copy_(torch.eye(4))
    sim = simulate(pde, GRID, X0, 10.0, "dopri5", rtol=1e-13, atol=1e-13)
    for y in sim.solution.y.detach():
        assert sim.field.energy(0.0, y, GRID.space).item() == pytest.approx(16.659713337250, abs=1e-10)
    x = sim.u[-1].detach()
    assert float(x.norm()) == pytest.approx(11.408478816747, abs=1e-10)
    assert dirichlet(x) == pytest.approx(1.239401752316, abs=1e-10)


def dirichlet(x):
    """(1/n) sum over i and its neighbours j of |x_i - x_j|^2."""
    source, target = GRID.edge_index
    return float((x[source] - x[target]).pow(2).sum() / 100)


def test_damping_takes_the_energy_at_the_rate_of_theory():
    """W = I, sigma = ReLU, F = D^-1 (A + I) X, gamma = 1, alpha = 1/2, from rest: 2 (alpha / 2 - sqrt(alpha^2 / 4 - l))."""
    coupling = Convolution(Adjacency(GRID, "rw", self_loops=True, dtype=F64), Layered(torch.eye(4, dtype=F64)))
    field = CoupledOscillators(coupling, 0.5, 1.0, torch.relu)
    times = [0.0, 50.0, 100.0, 200.0]
    y = solve(field, torch.stack([X0, torch.zeros_like(X0)]), times, "symplectic_euler", dt=0.05).y[:, 0]
    e = [dirichlet(x) for x in y]
    assert e == pytest.approx([2.389, 6.5e-6, 4.8e-8, 2.7e-12], rel=0.02)
    theory = 2 * (0.25 - math.sqrt(0.25**2 - 0.022146668638))
    assert theory == pytest.approx(0.0982, abs=5e-5)
    assert math.log(e[2] / e[3]) / 100 == pytest.approx(0.0981, abs=5e-5)


def test_frozen_attention_without_sigma_is_a_linear_flow():
    pde = made(activation=None, learned=("alpha", "gamma"), **COUPLINGS["tran-l"])
    field, u0 = pde.on(SMALL, features()), features()
    assert field.stiffness is None and linear_flow(field) is field.flow
    dense = field.flow.operator.to_dense()
    torch.testing.assert_close(field.flow.operator.adjoint.to_dense(), dense.mT, rtol=0, atol=0)
    y0 = pde.lift(SMALL, u0)
    exact = (torch.matrix_exp(2 * dense) @ y0.flatten(0, 1)).view_as(y0)[0]
    for method, options, error in (
        ("auto", {}, 1e-8),
        ("leapfrog", {"dt": 0.01}, 1e-4),
        ("crank_nicolson", {"dt": 0.01}, 1e-4),
    ):
        got = simulate(pde, SMALL, u0, 2.0, method, **options).u[-1]
        torch.testing.assert_close(got, exact, rtol=0, atol=error)
    for arguments in ({"activation": "relu"}, {"residual": "skip"}, {"attention": "recomputed"}):
        assert linear_flow(made(**{**COUPLINGS["tran-l"], "activation": None, **arguments}).on(SMALL, u0)) is None


def test_learned_rates():
    pde = made(alpha=0.3, gamma=2.0, learned=["alpha", "gamma"])
    assert pde.alpha.item() == pytest.approx(0.3) and pde.gamma.item() == pytest.approx(2.0)
    assert {n for n, _ in pde.named_parameters()} == {"weight", "bias", "damping.raw", "restoring.raw"}
    fixed = made(alpha=pde.alpha.item(), gamma=pde.gamma.item())
    for method in ("symplectic_euler", "leapfrog", "rk4"):
        one, other = (simulate(p, SMALL, features(), 1.0, method, dt=0.25).u[-1] for p in (pde, fixed))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)
    one.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in pde.parameters())
    with torch.no_grad():
        pde.damping.raw.fill_(-50.0)
    assert 0 < pde.alpha.item() < 1e-20
    pde.reset_parameters()
    assert pde.alpha.item() == pytest.approx(0.3)
    assert made(learned="gamma").alpha == 0.5


def test_learned_gamma_beside_the_force_in_one_operation():
    """float32 and wide enough for oneDNN: the force and its gradients are those of a fixed gamma."""
    torch.manual_seed(0)
    graph, u0 = Graph.grid(16, 16), torch.randn(256, 64)
    fixed, learned = GraphCON(64, gamma=0.8), GraphCON(64, gamma=0.8, learned=("gamma",))
    learned.load_state_dict(fixed.state_dict(), strict=False)
    found = []
    for pde in (fixed, learned):
        x = u0.clone().requires_grad_()
        force = pde.on(graph, u0).force(torch.zeros(()), x)
        found.append((force, *torch.autograd.grad(force.square().sum(), (x, pde.weight, pde.bias))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    force = learned.on(graph, u0).force(torch.zeros(()), u0)
    (raw,) = torch.autograd.grad(force.sum(), learned.restoring.raw)
    torch.testing.assert_close(raw, -u0.sum() * learned.restoring.raw.sigmoid(), rtol=1e-4, atol=1e-3)


def test_double_integrator_with_a_residual():
    """alpha = gamma = 0, the tuned settings on Texas, Wisconsin and Cornell."""
    pde = made(alpha=0.0, gamma=0.0, residual="v2")
    x = y = features()
    a = Adjacency(SMALL, "sym", self_loops=True, dtype=F64).to_dense()
    for _ in range(2):
        y = y + torch.relu((a - torch.eye(12)) @ x @ pde.weight + pde.bias + x @ pde.rest + pde.rest_bias)
        x = x + y
    got = simulate(pde, SMALL, features(), 2.0, "symplectic_euler", dt=1.0).u[-1]
    torch.testing.assert_close(got, x, rtol=1e-14, atol=1e-12)


def test_layers_of_attention_and_of_a_residual():
    """Each layer's keys, queries and R are used once."""
    many = made(alpha=0.2, layers=3, dt=0.5, residual="skip", **COUPLINGS["tran-nl"])
    x = y = features()
    for k in range(3):
        one = made(alpha=0.2, residual="skip", **COUPLINGS["tran-nl"])
        with torch.no_grad():
            for name, p in one.named_parameters():
                p.copy_(many.get_parameter(name)[k])
        y = y + 0.5 * (one.on(SMALL, x).force(torch.zeros(()), x) - 0.2 * y)
        x = x + 0.5 * y
    got = simulate(many, SMALL, features(), 1.5, "symplectic_euler", dt=0.5).u[-1]
    torch.testing.assert_close(got, x, rtol=0, atol=1e-12)


def test_dropout_is_drawn_for_position_and_velocity_apart():
    pde, u0 = made(dropout=0.5), torch.ones(100, 4, dtype=F64)
    torch.manual_seed(0)
    q, p = pde.lift(GRID, u0)
    assert set(q.unique().tolist()) == set(p.unique().tolist()) == {0.0, 2.0} and not torch.equal(q, p)
    assert 0.4 < float((q == p).double().mean()) < 0.6
    rest = made(dropout=0.5, initial_velocity="zero").lift(GRID, u0)[1]
    assert not bool(rest.any())
    q, p = pde.eval().lift(GRID, u0)
    assert torch.equal(q, u0) and torch.equal(p, u0)


CONTRACTS = {
    "tran-l": {"activation": None},
    "tran-l learned": {"learned": ("alpha", "gamma")},
    "tran-nl layers": {"layers": 1, "dt": 10.0, "residual": "skip"},
    "gcn v1": {"residual": "v1", "learned": ("gamma",)},
    "gat v2": {"residual": "v2", "alpha": 0.0, "gamma": 0.0},
    "gat skip": {"residual": "skip", "initial_velocity": "zero"},
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract(name):
    smooth = {"activation": "tanh"}
    report = check(made(**{**COUPLINGS[name.split()[0]], **smooth, **CONTRACTS[name]}), SMALL)
    assert report.ok, str(report)


def test_names_of_the_paper():
    gcn, gat, tran = (equation(f"graphcon-{name}", 4, {}) for name in ("gcn", "gat", "tran"))
    assert (gcn.coupling, gat.coupling, tran.coupling) == ("gcn", "gat", "transformer")
    assert (gcn.activation, gat.activation, tran.activation, tran.attention) == ("relu", "elu", None, "frozen")
    assert equation("graphcon-tran", 4, {"activation": "tanh", "attention": "recomputed"}).activation == "tanh"


def test_refusals():
    for arguments, message in (
        ({"coupling": "transformr"}, "Did you mean 'transformer'"),
        ({"residual": "v3"}, "Known: skip, v1, v2"),
        ({"attention": "frosen"}, "Did you mean 'frozen'"),
        ({"initial_velocity": "rest"}, "Known: features, zero"),
        ({"learned": ("beta",)}, "no rate to learn 'beta'"),
        ({"learned": ("alpha",), "alpha": 0.0}, "alpha must be positive"),
        ({"coupling": "transformer", "heads": 3}, "attention_dim = 16 is not a multiple of heads = 3"),
        ({"coupling": "transformer", "layers": 2, "dt": 1.0}, "one A for all times"),
        ({"dropout": 1.0}, "expected 0 <= dropout < 1"),
    ):
        with pytest.raises(ValueError, match=message):
            GraphCON(4, **arguments)
