"""GRAND: frozen and recomputed attention, the maximum principle, the source, the forms of the released code."""

import pytest
import torch
from scipy.linalg import expm

from neuralpde import Graph, simulate
from neuralpde.pdes import GRAND
from solvers import LinearFlow

F64 = torch.float64


@pytest.fixture
def setting():
    torch.manual_seed(0)
    graph = Graph.grid(4, 5)
    return graph, torch.randn(20, 3, dtype=F64)


def loud(**options):
    """Attention far from uniform."""
    torch.manual_seed(1)
    pde = GRAND(3, **options).double()
    with torch.no_grad():
        for p in pde.parameters():
            p.copy_(torch.randn_like(p))
    return pde


def test_starts_close_to_uniform_with_rate_one_half(setting):
    graph, u0 = setting
    torch.manual_seed(0)
    a = GRAND(3).double().on(graph, u0).operator.to_dense() / 0.5 + torch.eye(20, dtype=F64)
    there = (a > 0).to(F64)
    assert float((a * there.sum(1, keepdim=True) - there).detach().abs().max()) < 0.1
    assert float(GRAND(3).alpha.detach()) == 0.5


@pytest.mark.parametrize("attention", ["frozen", "recomputed"])
@pytest.mark.parametrize("activation", ["softmax", "squareplus"])
def test_maximum_principle(setting, attention, activation):
    graph, u0 = setting
    for method, options in (("dopri5", {}), ("euler", {"dt": 0.5})):
        pde = loud(attention=attention, activation=activation)
        u = simulate(pde, graph, u0, torch.linspace(0, 5, 11), method, **options).u.detach()
        least, most = u.amin(1), u.amax(1)
        assert (least[1:] >= least[:-1] - 1e-6).all() and (most[1:] <= most[:-1] + 1e-6).all()


def test_the_gradient_of_the_rate_in_single_precision():
    """Diffusion smooths, so that it is small beside what it is summed from: by entries it would be 2e-4 off (seed 2)."""

    def gradient(seed: int, dtype: torch.dtype) -> float:
        torch.manual_seed(seed)
        pde, u0, weight = GRAND(16, heads=2, source=True), torch.randn(1600, 16) + 3, torch.zeros(1600, 16)
        weight[torch.randperm(1600)[:40]] = torch.nn.functional.layer_norm(torch.randn(16, 40), (40,)).T
        pde, rtol = pde.to(dtype), 1e-10 if dtype == F64 else 2e-6
        u = simulate(pde, Graph.grid(40, 40), u0.to(dtype), 15.0, "uniformization", rtol=rtol, save="final").u[-1]
        (u * weight.to(dtype)).sum().backward()
        return float(pde.alpha_raw.grad)

    for seed in range(3):
        exact = gradient(seed, F64)
        assert abs(gradient(seed, torch.float32) - exact) < 4e-5 * abs(exact)


def test_column_form_conserves_mass_instead(setting):
    graph, u0 = setting
    for attention in ("frozen", "recomputed"):
        pde = loud(norm="col", attention=attention)
        u = simulate(pde, graph, u0, 3.0, "dopri5").u.detach()
        torch.testing.assert_close(u[-1].sum(0), u0.sum(0), rtol=0, atol=1e-12)
        assert pde.conserved(graph) is not None
    assert loud().conserved(graph) is None and loud(norm="col", source=True).conserved(graph) is None


def test_frozen_is_a_linear_flow_with_the_exact_solution(setting):
    graph, u0 = setting
    pde = loud(source=True)
    field = pde.on(graph, u0)
    assert isinstance(field, LinearFlow)
    a, s = field.operator.to_dense().detach(), field.source.detach()
    block = torch.zeros(40, 40, dtype=F64)
    block[:20, :20], block[:20, 20:] = a, torch.eye(20, dtype=F64)
    flow = torch.from_numpy(expm(1.5 * block.numpy()))
    exact = flow[:20, :20] @ u0 + flow[:20, 20:] @ s
    sim = simulate(pde, graph, u0, 1.5, "dopri5", rtol=1e-10)
    torch.testing.assert_close(sim.u[-1].detach(), exact, rtol=0, atol=1e-8)


def test_recomputed_follows_the_state(setting):
    graph, u0 = setting
    frozen, recomputed = loud(), loud(attention="recomputed")
    t, y = torch.zeros((), dtype=F64), torch.randn(20, 3, dtype=F64)
    at_start = [pde.on(graph, u0)(t, u0) for pde in (frozen, recomputed)]
    torch.testing.assert_close(*at_start, rtol=0, atol=1e-14)
    later = [pde.on(graph, u0)(t, y) for pde in (frozen, recomputed)]
    assert float((later[0] - later[1]).detach().abs().max()) > 0.01
    field = recomputed.on(graph, u0)
    torch.testing.assert_close(field.linear_part(t, y)(y) + field.nonlinear_part(t, y), field(t, y), rtol=0, atol=1e-14)


def test_attention_learns_by_both_gradients(setting):
    graph, u0 = setting
    for attention in ("frozen", "recomputed"):
        pde = loud(attention=attention, source=True)
        grads = []
        for gradient in ("backprop", "adjoint"):
            pde.zero_grad()
            u = simulate(pde, graph, u0, 1.0, "dopri5", rtol=1e-10, atol=1e-12, gradient=gradient).u[-1]
            u.pow(3).sum().backward()
            grads.append({name: p.grad.clone() for name, p in pde.named_parameters()})
        for name, g in grads[0].items():
            assert bool(g.any()), name
            torch.testing.assert_close(grads[1][name], g, rtol=1e-6, atol=1e-8 * float(g.abs().max()), msg=name)


def test_gradient_flows_through_the_source(setting):
    graph, u0 = setting
    pde, u0 = loud(source=True), u0.clone().requires_grad_()
    field = pde.on(graph, u0)
    (g,) = torch.autograd.grad(field.source.sum(), u0)
    torch.testing.assert_close(g, pde.beta.detach().expand_as(g))


def test_isolated_nodes_keep_their_value():
    graph = Graph.from_edges([[0, 1], [1, 0]], num_nodes=3)
    u0 = torch.randn(3, 3, dtype=F64)
    for attention in ("frozen", "recomputed"):
        u = simulate(loud(attention=attention), graph, u0, 2.0, "dopri5").u[-1]
        torch.testing.assert_close(u[2].detach(), u0[2], rtol=0, atol=1e-14)


def test_refusals():
    for arguments, message in (
        ({"attention": "frosen"}, "Did you mean 'frozen'"),
        ({"norm": "rows"}, "Did you mean 'row'"),
        ({"activation": "squareplu"}, "Did you mean 'squareplus'"),
        ({"heads": 3}, "attention_dim = 16 is not a multiple of heads = 3"),
    ):
        with pytest.raises(ValueError, match=message):
            GRAND(4, **arguments)
