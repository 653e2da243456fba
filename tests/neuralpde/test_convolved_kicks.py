"""Many steps of GraphCON as one operation: values and gradients are those of single steps; where it is taken."""

import pytest
import torch

from neuralpde import Graph, GraphCON, simulate
from neuralpde.operators import dense
from neuralpde.pdes import coupled_oscillators
from solvers import IntegrationError

GRAPH = Graph.grid(18, 18)
pytestmark = pytest.mark.skipif(not dense._HAS_LINEAR, reason="this processor or build of torch has no oneDNN product")


def graphcon(activation="relu", alpha=0.5, gamma=0.8, **options):
    torch.manual_seed(0)
    pde = GraphCON(64, "gcn", alpha, gamma, activation=activation, **options)
    if pde.bias is not None:
        torch.nn.init.normal_(pde.bias, std=0.1)
    return pde


def features():
    return torch.randn(GRAPH.num_nodes, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def leaps(monkeypatch):
    """The numbers of steps that were taken at once."""
    counts, whole = [], coupled_oscillators.Kicks
    monkeypatch.setattr(coupled_oscillators, "Kicks", lambda count, *more: counts.append(count) or whole(count, *more))
    return counts


def solved(pde, u0, save, t=35.0):
    """The state at the end; `save="steps"` looks at every step, so that they are taken one by one."""
    return simulate(pde, GRAPH, u0, t, "symplectic_euler", dt=0.5, save=save).solution.y[-1]


@pytest.mark.parametrize("activation", ["relu", "tanh", None])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_single_steps(activation, alpha, bias, leaps):
    pde = graphcon(activation, alpha, bias=bias)
    weights = [p for p in (pde.weight, pde.bias) if p is not None]
    found = []
    for save in ("steps", "final"):
        u0 = features().requires_grad_()
        y = solved(pde, u0, save)
        towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
        found.append([y.detach(), *torch.autograd.grad((y * towards).sum(), [u0, *weights])])
        assert leaps == ([] if save == "steps" else [64, 5])  # until a look at the state, then until the last step
    with torch.no_grad():
        found.append([solved(pde, features(), "final")])
    for one, at_once in zip(found[0], found[1], strict=True):
        assert float((one - at_once).norm() / one.norm()) < 2e-5
    assert torch.equal(found[2][0], found[1][0])


def test_the_gradient_can_be_differentiated_again(leaps):
    found = []
    for save, kind in (("final", torch.float32), ("final", torch.float64)):
        pde, u0 = graphcon("tanh").to(kind), features().to(kind).requires_grad_()
        y = solved(pde, u0, save, t=4.0)
        (slope,) = torch.autograd.grad(y.square().sum(), u0, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), [u0, pde.weight, pde.bias]))
    assert leaps == [7]  # in float64 they are taken one by one
    for low, high in zip(*found, strict=True):
        assert float((low - high).norm() / high.norm()) < 1e-4


@pytest.mark.parametrize("save", ["final", "steps"])
def test_gradients_that_can_be_differentiated_are_the_gradients(save):
    """Through several functions, whose states depend on the weights of those before: each path counts once."""
    pde, u0 = graphcon("tanh"), features().requires_grad_()
    y = solved(pde, u0, save, t=3.0)
    inputs, loss = [u0, pde.weight, pde.bias], y.square().sum()
    plain = torch.autograd.grad(loss, inputs, retain_graph=True)
    again = torch.autograd.grad(loss, inputs, create_graph=True)
    for one, other in zip(plain, again, strict=True):
        assert other.requires_grad and float((one - other).norm() / one.norm()) < 1e-5


def test_outputs_between_and_stats():
    pde, times = graphcon(), [0.0, 10.2, 20.0]
    with torch.no_grad():
        run = simulate(pde, GRAPH, features(), times, "symplectic_euler", dt=0.5)
        alone = [simulate(pde, GRAPH, features(), [0.0, 10.2], "symplectic_euler", dt=0.5, save="steps").u[-1]]
    assert float((run.u[1] - alone[0]).abs().max()) < 1e-4
    assert run.stats.accepted == run.stats.evaluations == 21 + 20


@pytest.mark.parametrize(
    "options", [{"learned": "gamma"}, {"learned": "alpha"}, {"layers": 4, "dt": 0.5}, {"residual": "skip"}]
)
def test_other_equations_take_their_steps_one_by_one(options, leaps):
    pde = graphcon(**options)
    assert solved(pde, features(), "final", t=2.0).isfinite().all() and leaps == []


def test_learned_edge_weights_have_their_gradient(leaps):
    weight = torch.ones(GRAPH.num_edges, requires_grad=True)
    y = simulate(graphcon(), GRAPH.with_weight(weight), features(), 3.0, "symplectic_euler", dt=0.5, save="final").u
    assert leaps == [] and float(torch.autograd.grad(y.square().sum(), weight)[0].norm()) > 0


def test_a_blow_up_is_placed_at_its_step():
    pde = graphcon(alpha=0.0)
    with torch.no_grad(), pytest.raises(IntegrationError) as error:
        pde.weight.mul_(1e3)
        simulate(pde, GRAPH, features(), 100.0, "symplectic_euler", dt=0.5, save="final", stability_check=False)
    assert error.value.status == "nonfinite" and 0 < error.value.solution.stats.accepted < 64
    assert error.value.solution.y.isfinite().all()


@pytest.mark.parametrize(("activation", "bias"), [("tanh", True), ("relu", False), (None, True)])
def test_reversal_undoes_them_at_once(activation, bias, leaps):
    """The gradient is that of backpropagation, with an output between and one at the end; no state is kept."""
    pde, found = graphcon(activation, alpha=0.1, bias=bias), []
    weights = [p for p in (pde.weight, pde.bias) if p is not None]
    for gradient in ("backprop", "reversible"):
        u0, leaps[:] = features().requires_grad_(), []
        run = simulate(pde, GRAPH, u0, [0.0, 1.234, 4.5], "symplectic_euler", dt=0.05, gradient=gradient, rtol=1e-3)
        loss = run.u[1].square().sum() + run.u[2].sum()
        found.append([run.u.detach(), *torch.autograd.grad(loss, [u0, *weights])])
        assert sum(leaps) > (1.9 if gradient == "reversible" else 0.9) * 90 and len(leaps) < 10
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm() / one.norm()) < 1e-4


@pytest.mark.parametrize("steps", [90, 300])
def test_checkpoints_take_them_too(steps, leaps):
    """Forwards and backwards: the gradient is that of backpropagation, with an output between and one at the end."""
    pde, found = graphcon("tanh", alpha=0.1), []
    for gradient in ("backprop", "checkpoint"):
        u0, leaps[:] = features().requires_grad_(), []
        run = simulate(pde, GRAPH, u0, [0.0, 1.234, steps * 0.05], "symplectic_euler", dt=0.05, gradient=gradient)
        loss = run.u[1].square().sum() + run.u[2].sum()
        found.append([run.u.detach(), *torch.autograd.grad(loss, [u0, pde.weight, pde.bias])])
        assert run.stats.accepted == steps + 1
        taken, pieces = sum(leaps), len(leaps)
        assert taken > (1.5 if gradient == "checkpoint" else 0.9) * steps and pieces < taken / 3
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm() / one.norm()) < 2e-5
