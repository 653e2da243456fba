"""Convolutions of PyG as vector fields: many of them, with weights and without; noise; what is refused."""

import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg

from neuralpde import Graph, check, simulate
from neuralpde.pdes import FromConv, from_conv

F64 = torch.float64
GRAPH = Graph.grid(3, 4)


def mlp(inputs=4):
    return nn.Sequential(nn.Linear(inputs, 4), nn.Tanh(), nn.Linear(4, 4))


CONVS = {
    "GCNConv": lambda: pyg.GCNConv(4, 4),
    "GATConv": lambda: pyg.GATConv(4, 2, heads=2),
    "GATConv mean": lambda: pyg.GATConv(4, 4, heads=3, concat=False),
    "GATv2Conv": lambda: pyg.GATv2Conv(4, 4),
    "SAGEConv": lambda: pyg.SAGEConv(4, 4),
    "GINConv": lambda: pyg.GINConv(mlp()),
    "GraphConv": lambda: pyg.GraphConv(4, 4),
    "TransformerConv": lambda: pyg.TransformerConv(4, 4),
    "ChebConv": lambda: pyg.ChebConv(4, 4, K=3),
    "TAGConv": lambda: pyg.TAGConv(4, 4),
    "SGConv": lambda: pyg.SGConv(4, 4, K=2),
    "ARMAConv": lambda: pyg.ARMAConv(4, 4),
    "LEConv": lambda: pyg.LEConv(4, 4),
    "ClusterGCNConv": lambda: pyg.ClusterGCNConv(4, 4),
    "FeaStConv": lambda: pyg.FeaStConv(4, 4),
    "GatedGraphConv": lambda: pyg.GatedGraphConv(4, 2),
    "ResGatedGraphConv": lambda: pyg.ResGatedGraphConv(4, 4),
    "EdgeConv": lambda: pyg.EdgeConv(mlp(8)),
    "AntiSymmetricConv": lambda: pyg.AntiSymmetricConv(4),
    "GENConv": lambda: pyg.GENConv(4, 4, norm="layer"),
}


def features():
    return torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=F64)


@pytest.mark.parametrize("name", CONVS)
def test_any_convolution_is_a_field(name):
    torch.manual_seed(0)
    conv, u0 = CONVS[name]().double(), features()
    pde = from_conv(conv)
    torch.testing.assert_close(pde.on(GRAPH, u0)(torch.zeros(()), u0), conv(u0, GRAPH.edge_index), rtol=0, atol=0)
    sim = simulate(pde, GRAPH, u0, 0.2, "rk4", dt=0.1)
    sim.u[-1].sum().backward()
    assert sim.u.shape == (2, 12, 4) and any(p.grad is not None and bool(p.grad.any()) for p in conv.parameters())


@pytest.mark.parametrize("name", ["GATConv", "SAGEConv", "GINConv", "GATv2Conv"])
def test_contract(name):
    torch.manual_seed(0)
    report = check(from_conv(CONVS[name]()), GRAPH, features())
    assert report.ok, str(report)


def test_weights_go_to_those_that_take_them():
    u0, weight = features(), torch.rand(GRAPH.num_edges, dtype=F64)
    graph, t = GRAPH.with_weight(weight), torch.zeros(())
    gcn = pyg.GCNConv(4, 4).double()
    torch.testing.assert_close(from_conv(gcn).on(graph, u0)(t, u0), gcn(u0, graph.edge_index, weight))
    with pytest.warns(UserWarning, match="SAGEConv takes no edge weights; those of the graph are not used"):
        from_conv(pyg.SAGEConv(4, 4).double()).on(graph, u0)


def test_edge_attributes():
    u0, attr = features(), torch.randn(GRAPH.num_edges, 3, dtype=F64)
    graph = Graph.from_edges(GRAPH.edge_index, edge_attr=attr)
    conv = pyg.GATConv(4, 4, edge_dim=3).double()
    got = from_conv(conv).on(graph, u0)(torch.zeros(()), u0)
    torch.testing.assert_close(got, conv(u0, graph.edge_index, edge_attr=attr))


def test_widths_must_agree():
    message = "field maps 16 -> 32 features; dx/dt needs equal width. Put the change in the encoder/decoder."
    with pytest.raises(ValueError, match=message):
        from_conv(pyg.GCNConv(16, 32))
    with pytest.raises(ValueError, match="field maps 16 -> 32"):
        from_conv(pyg.GATConv(16, 16, heads=2))
    hidden = from_conv(pyg.GINConv(nn.Linear(16, 32)))  # it does not say its widths
    with pytest.raises(ValueError, match=message):
        simulate(hidden, GRAPH, torch.zeros(12, 16), 1.0, "euler", dt=0.5)
    lazy = from_conv(pyg.SAGEConv(-1, 4))
    assert lazy.channels is None and from_conv(pyg.GCNConv(4, 4)).channels == 4
    with pytest.raises(ValueError, match="channels = 5, and GCNConv takes 4 features"):
        from_conv(pyg.GCNConv(4, 4), 5)


class TestNoise:
    def conv(self):
        return pyg.GATConv(4, 4, dropout=0.5).double()

    def test_active_dropout_is_refused(self):
        pde = from_conv(self.conv())
        with pytest.raises(ValueError, match=r"GATConv has active dropout \(GATConv, rate 0.5\)") as error:
            pde.on(GRAPH, features())
        assert 'noise="frozen"' in str(error.value) and "conv.eval()" in str(error.value)
        pde.eval()
        simulate(pde, GRAPH, features(), 0.2, "rk4", dt=0.1)  # the fix that it suggests

    def test_frozen_draws_one_mask_per_solve(self):
        pde, u0, t = from_conv(self.conv(), noise="frozen"), features(), torch.zeros(())
        torch.manual_seed(0)
        field, other = pde.on(GRAPH, u0), pde.on(GRAPH, u0)
        assert torch.equal(field(t, u0), field(t, u0))
        assert not torch.equal(field(t, u0), other(t, u0))
        torch.manual_seed(0)
        assert torch.equal(pde.on(GRAPH, u0)(t, u0), field(t, u0))
        before = torch.get_rng_state()
        field(t, u0)
        assert torch.equal(torch.get_rng_state(), before)

    def test_frozen_has_the_same_gradient_by_the_adjoint(self):
        pde, u0 = from_conv(self.conv(), noise="frozen"), features()
        grads = []
        for gradient in ("backprop", "adjoint"):
            torch.manual_seed(3)
            u = simulate(pde, GRAPH, u0, 0.05, "dopri5", rtol=1e-10, gradient=gradient).u[-1]
            grads.append(torch.autograd.grad(u.pow(2).sum(), list(pde.parameters())))
        for a, b in zip(*grads, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)

    def test_a_nested_dropout_is_found(self):
        pde = from_conv(pyg.GINConv(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2))).double())
        with pytest.raises(ValueError, match=r"active dropout \(nn.1, rate 0.2\)"):
            pde.on(GRAPH, features())

    def test_training_batch_norm_is_refused(self):
        conv = pyg.GINConv(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))).double()
        for noise in ("refuse", "frozen"):
            with pytest.raises(ValueError, match=r"batch norm in training mode \(nn.1\)"):
                FromConv(conv, noise=noise).on(GRAPH, features())
        conv.eval()
        before = conv.nn[1].running_mean.clone()
        simulate(from_conv(conv), GRAPH, features(), 0.2, "rk4", dt=0.1)
        assert torch.equal(conv.nn[1].running_mean, before)
