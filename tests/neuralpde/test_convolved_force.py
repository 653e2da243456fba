"""GraphCON's force in one operation: the values and derivatives of the usual ones."""

import pytest
import torch

from neuralpde import Graph, GraphCON, simulate
from neuralpde.pdes.convolved_force import convolved_force


def cases(activation, bias):
    """A force in float32, and the same field in float64, where the usual operations are made."""
    torch.manual_seed(0)
    graph = Graph.grid(50, 60)
    pde = GraphCON(24, "gcn", activation=activation, bias=bias, gamma=0.75)
    u0 = torch.randn(3000, 24)
    if pde.bias is not None:
        torch.nn.init.normal_(pde.bias)
    twin = GraphCON(24, "gcn", activation=activation, bias=bias, gamma=0.75).double()
    twin.load_state_dict(pde.state_dict())
    return [(p, graph, u0.to(p.weight.dtype).requires_grad_()) for p in (pde, twin)]


def force(pde, graph, u0):
    return pde.on(graph, u0).force(torch.zeros(()), u0)


def gradients(pde, graph, u0, again):
    leaves = [u0, *pde.parameters()]
    first = torch.autograd.grad(force(pde, graph, u0).square().mean(), leaves, create_graph=again)
    return torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), leaves) if again else first


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "tanh", "elu", None])
def test_force_and_derivatives(activation, bias):
    mine, exact = cases(activation, bias)
    torch.testing.assert_close(force(*mine).double(), force(*exact), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(force(*mine), force(*mine).clone(), rtol=0, atol=0)
    for again in (False, True):
        for a, b in zip(gradients(*mine, again), gradients(*exact, again), strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


def test_a_training_step_keeps_two_states_a_layer():
    (pde, graph, u0), _ = cases("relu", True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        simulate(pde, graph, u0, 2.0, "symplectic_euler", dt=0.5, save="final")
    assert sum(n >= u0.numel() for n in kept) == 2 * 4 + 1  # and the one that steps taken at once start from


def test_the_operand_is_not_overwritten():
    x, weight = torch.randn(3000, 24), torch.randn(24, 24)
    before = x.clone()
    with torch.no_grad():
        convolved_force(x, x, weight, None, torch.relu, 1.0)
    assert torch.equal(x, before)
