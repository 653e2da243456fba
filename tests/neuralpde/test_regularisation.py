"""Kinetic energy and Jacobian along the solution: right values, gradients of what is evaluated, training by them."""

from dataclasses import dataclass

import pytest
import torch

from neuralpde import FitConfig, Graph, GraphPDE, NodeClassifier, PDEBlock, fit, simulate
from neuralpde.models import MLP
from neuralpde.models.quadrature import (
    JacobianNorm,
    KineticEnergy,
    clenshaw_curtis,
    nodes_and_weights,
    step_times,
)
from neuralpde.pdes import GRAND, Diffusion, GraphCON
from neuralpde.training import seeded
from neuralpde.training.regularise import regularised

F64 = torch.float64


def labelled(nodes: int = 12, channels: int = 3) -> Graph:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(nodes) % 2
    x = torch.randn(nodes, channels, generator=generator, dtype=F64) + y[:, None]
    masks = {name: torch.arange(nodes) % 3 == i for i, name in enumerate(("train_mask", "val_mask", "test_mask"))}
    return Graph.ring(nodes).with_node(x=x, y=y, **masks)


def model(seed: int = 0, **options) -> NodeClassifier:
    with seeded(seed):
        made = NodeClassifier(
            3, 2, GRAND(4, heads=2, attention_dim=4, source=True), 2.0, hidden=4, input_dropout=0.0, **options
        )
        with torch.no_grad():
            for p in made.parameters():
                p.add_(0.3 * torch.randn_like(p))
    return made.double().train()


@pytest.mark.parametrize("count", [3, 9, 17])
def test_clenshaw_curtis_is_exact_for_polynomials(count):
    nodes, weights = clenshaw_curtis(count, 2.0)
    assert nodes[0] == 0 and nodes[-1] == 2.0 and sorted(nodes) == nodes
    for degree in range(count):
        exact = 2.0 ** (degree + 1) / (degree + 1)
        assert sum(w * x**degree for x, w in zip(nodes, weights, strict=True)) == pytest.approx(exact, rel=1e-12)


def test_nodes_do_not_change_the_steps():
    assert nodes_and_weights("symplectic_euler", 0.5, 2.0) == ([0, 0.5, 1.0, 1.5, 2.0], None)
    assert nodes_and_weights("dopri5", 0.5, 2.0) == clenshaw_curtis(17, 2.0)
    assert step_times(0.4, 1.0, 10) == [0, 0.4, 0.8, 1.0] and step_times(0.1, 1.0, 5) == pytest.approx(
        [0, 0.2, 0.4, 0.6, 0.8, 1]
    )
    graph, pde = labelled(), GraphCON(3).double()
    for method in ("symplectic_euler", "leapfrog", "rk4", "dopri5", "crank_nicolson"):
        plain, with_integrals = (PDEBlock(pde, 2.0, method, dt=0.5) for _ in range(2))
        with_integrals.quadratures = (KineticEnergy(),)
        torch.testing.assert_close(with_integrals(graph), plain(graph), rtol=1e-13, atol=1e-13)
        assert len(with_integrals.integrals) == 1 and with_integrals.integrals[0].requires_grad


@pytest.mark.parametrize(
    ("options", "rel"),
    [({"rtol": 1e-9, "atol": 1e-12}, 1e-6), ({"method": "rk4", "dt": 0.125}, 1e-5), ({"method": "dopri5", "dt": 0.25}, 1e-5)],
    ids=str,
)
def test_values_are_those_of_a_dense_solution(options, rel):
    graph = labelled()
    block = PDEBlock(GRAND.example()[0], 2.0, **options)
    block.quadratures = (KineticEnergy(), JacobianNorm())
    with seeded(0):
        block(graph)
    kinetic, jacobian = (i.detach() for i in block.integrals)
    run = simulate(block.pde, graph, graph.node["x"], torch.linspace(0, 2, 401, dtype=F64), "dopri5", rtol=1e-10, atol=1e-13)
    with seeded(0):
        signs = torch.randint(0, 2, run.u.shape[1:]).mul_(2).sub_(1).to(F64)
    speeds, rows = [], []
    for t, u in zip(run.t, run.u, strict=True):
        leaf = u.detach().requires_grad_()
        f = run.field(t, leaf)
        speeds.append(float(f.detach().square().mean()))
        rows.append(float(torch.autograd.grad(f, leaf, signs)[0].square().mean()))
    simpson = torch.ones(401, dtype=F64) * 2
    simpson[1::2], simpson[0], simpson[-1] = 4, 1, 1
    simpson *= 2 / 400 / 3
    assert float(kinetic) == pytest.approx(float(simpson @ torch.tensor(speeds, dtype=F64)), rel=rel)
    assert float(jacobian) == pytest.approx(float(simpson @ torch.tensor(rows, dtype=F64)), rel=rel)


def test_kinetic_energy_of_decay_in_closed_form():
    """On two nodes u = (1, -1) exp(-2 c t): the integral of 4 c^2 exp(-4 c t) is c (1 - exp(-4 c T)); d/dc as well."""
    pde = Diffusion("learnable").double()
    block = PDEBlock(pde, 1.5, rtol=1e-10, atol=1e-12)
    block.quadratures = (KineticEnergy(), JacobianNorm())
    block(torch.tensor([[1.0], [-1.0]], dtype=F64), Graph.path(2))
    c, e = 1.0, float(torch.tensor(-6.0, dtype=F64).exp())
    (raw,) = pde.parameters()
    dc = torch.autograd.grad(pde.conductivity(), raw)[0]
    value = block.integrals[0]
    assert value.item() == pytest.approx(c * (1 - e), rel=1e-8)
    grad = torch.autograd.grad(value, raw, retain_graph=True)[0]
    assert float(grad / dc) == pytest.approx(1 - e + 6 * e, rel=1e-6)
    # -L = [[-1, 1], [1, -1]]: e'L is 0 or (2, -2) up to sign, |.|^2 / n = 4 c^2 or 0
    assert block.integrals[1].item() in (pytest.approx(0.0, abs=1e-12), pytest.approx(4 * 1.5, rel=1e-8))


def test_jacobian_probe_has_the_mean_of_the_frobenius_norm():
    pde, graph, u0 = Diffusion(1.0), Graph.grid(3, 3), torch.zeros(9, 1, dtype=F64)
    dense = pde.on(graph, u0).operator.to_dense()
    block = PDEBlock(pde, 1.0, "rk4", dt=0.1)
    block.quadratures = (JacobianNorm(),)
    values = []
    with seeded(0):
        for _ in range(60):
            block(u0.clone().requires_grad_(), graph)
            values.append(float(block.integrals[0]))
    found = torch.tensor(values)
    exact = float(dense.square().sum()) / 9
    assert abs(float(found.mean()) - exact) < 3 * float(found.std()) / 60**0.5


@pytest.mark.parametrize("options", [{"gradient": "checkpoint"}, {"gradient": "adjoint"}], ids=str)
def test_gradients_are_those_of_the_evaluated_model_in_every_mode(options):
    graph, found = labelled(), []
    for extra in ({}, options):
        made = model(rtol=1e-9, atol=1e-12, **extra)
        with regularised(made, {"kinetic": 0.5, "jacobian": 0.25}) as penalty, seeded(1):
            made(graph)
            penalty().backward()
        found.append({name: p.grad for name, p in made.named_parameters()})
    for name, grad in found[0].items():
        if name.startswith("decoder"):
            assert grad is None  # it comes after the equation
            continue
        assert grad is not None and bool(grad.abs().max() > 1e-8), name
        torch.testing.assert_close(found[1][name], grad, rtol=1e-5, atol=1e-8)


def test_gradient_of_the_penalty_by_differences():
    graph, made = labelled(), model(method="rk4", dt=0.25)

    def penalty_now() -> torch.Tensor:
        with regularised(made, {"kinetic": 0.5, "jacobian": 0.25}) as penalty, seeded(1):
            made(graph)
            return penalty()

    for p in (made.pde.alpha_raw, made.pde.query.weight):
        grad = torch.autograd.grad(penalty_now(), p)[0]
        direction = torch.ones_like(p)
        values = []
        for h in (1e-5, -1e-5):
            with torch.no_grad():
                p.add_(h * direction)
            values.append(penalty_now().item())
            with torch.no_grad():
                p.sub_(h * direction)
        assert float(grad.sum()) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


def test_the_penalty_falls_and_the_evaluated_equation_learns():
    graph = labelled()
    histories, alphas = [], []
    for coefficients in ({}, {"kinetic": 5.0, "jacobian": 5.0}):
        made = model(method="rk4", dt=0.5)
        histories.append(fit(made, graph, config=FitConfig(epochs=25, lr=0.05, weight_decay=0.0, regularisation=coefficients)))
        with seeded(0), regularised(made.train(), {"kinetic": 1.0}) as penalty:
            made(graph)
            alphas.append(float(penalty()))
        assert made.block.quadratures == () and made.block.integrals == ()
    plain, penalised = (h.series("penalty") for h in histories)
    assert set(plain) == {0.0}
    assert penalised[-1] < 0.3 * penalised[0]
    assert alphas[1] < 0.5 * alphas[0]  # of the model that is left, not of a twin
    assert histories[1].epochs[0].evaluations == histories[0].epochs[0].evaluations + 5 + 2 * 9


def test_batches_of_graphs_have_the_mean_of_their_graphs():
    graph = labelled()
    batch = graph.repeat(2)
    pde = GRAND.example()[0]
    values = []
    for g in (graph, batch):
        block = PDEBlock(pde, 1.0, "rk4", dt=0.5)
        block.quadratures = (KineticEnergy(),)
        block(g)
        values.append(block.integrals[0])
    assert values[1].shape == (2,)
    torch.testing.assert_close(values[1], values[0].expand(2))


def test_a_fit_with_penalties_resumes_to_the_same_numbers(tmp_path):
    graph = labelled()
    config = FitConfig(epochs=6, regularisation={"jacobian": 0.1}, checkpoint=str(tmp_path / "a.pt"))
    whole, broken = model(method="rk4", dt=0.5, dropout=0.3), model(method="rk4", dt=0.5, dropout=0.3)
    expected = fit(whole, graph, config=config).series("penalty")
    fit(broken, graph, config=FitConfig(epochs=3, regularisation={"jacobian": 0.1}, checkpoint=str(tmp_path / "b.pt")))
    again = model(method="rk4", dt=0.5, dropout=0.3)
    found = fit(again, graph, config=config, resume=str(tmp_path / "b.pt")).series("penalty")
    assert found == expected


@dataclass(frozen=True, eq=False)
class Still:
    def __call__(self, t, y):
        return torch.ones_like(y)


class Drift(GraphPDE):
    """u' = 1."""

    def on(self, graph, u0):
        return Still()


def test_a_field_that_does_not_depend_on_the_state():
    block = PDEBlock(Drift(), 2.0, "rk4", dt=1.0)
    block.quadratures = (KineticEnergy(), JacobianNorm())
    block(torch.zeros(3, 1, dtype=F64), Graph.path(3))
    assert [float(i) for i in block.integrals] == [pytest.approx(2.0), 0.0]


def test_refuses():
    with pytest.raises(ValueError, match="Did you mean 'kinetic'"):
        FitConfig(regularisation={"kinetics": 1.0})
    with pytest.raises(ValueError, match="expected at least 0"):
        FitConfig(regularisation={"kinetic": -1.0})
    with pytest.raises(ValueError, match="MLP has no PDEBlock whose kinetic"):
        fit(MLP(3, 2, 4).double(), labelled(), config=FitConfig(epochs=1, regularisation={"kinetic": 1.0}))
