"""Where a predicted rate holds, where it does not, and the slowest modes of what is too large for dense algebra."""

import math

import pytest
import torch
from torch import nn

from neuralpde import GRAND, Diffusion, Graph, diagnose
from neuralpde.diagnose_modes import slowest_modes
from neuralpde.diagnose_theory import flow_theory
from neuralpde.models import PDEBlock
from neuralpde.monitors import DirichletEnergy
from solvers import linear_flow

GRID = Graph.grid(6, 6)
X = torch.rand(36, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Layers(nn.Module):
    """Graph convolutions `X <- between(X, conv(X))`."""

    def __init__(self, count: int, between, **options):
        super().__init__()
        from torch_geometric.nn import GCNConv

        self.convs = nn.ModuleList(GCNConv(4, 4, bias=False, **options) for _ in range(count))
        self.between = between
        self.double()

    def forward(self, x, edge_index):
        for conv in self.convs:
            x = self.between(x, conv(x, edge_index))
        return x


def relu(x, y):
    return y.relu()


def test_the_bound_holds_for_any_layers_in_a_row():
    """Small weights first: the mean of the norms would bound the first layers with the last, not the last ones."""
    model = Layers(24, lambda x, y: y)
    for layer, conv in enumerate(model.convs):
        nn.init.eye_(conv.lin.weight)  # type: ignore[union-attr]
        conv.lin.weight.data *= 0.1 if layer < 12 else 1.0  # type: ignore[union-attr]
        conv.lin.weight.data[0, 1] = 0.01  # type: ignore[union-attr,index]
    found = diagnose(model, GRID, u0=X)
    assert found.theory.kind == "bound"
    assert found.rate <= found.theory.rate
    assert found.rate > found.theory.rate + math.log(0.1)  # above what the mean of the norms gives


@pytest.mark.parametrize(
    ("between", "options", "why"),
    [
        (lambda x, y: x + y.relu(), {}, "raises the energy"),
        (lambda x, y: 3 * y.relu(), {}, "raises the energy"),
        (relu, {"improved": True}, "operator is not"),
        (relu, {"add_self_loops": False}, "operator is not"),
        (relu, {"normalize": False}, "operator is not"),
    ],
    ids=["residual", "gain", "improved", "no loops", "not normalised"],
)
def test_no_bound_is_claimed_where_none_holds(between, options, why):
    torch.manual_seed(0)
    found = diagnose(Layers(6, between, **options), GRID, u0=X)
    assert found.theory.kind == "none"
    assert why in found.theory.text


def test_weights_of_zero_and_graphs_without_edges_are_no_error():
    model = Layers(4, relu)
    for conv in model.convs:
        nn.init.zeros_(conv.lin.weight)  # type: ignore[union-attr]
    assert diagnose(model, GRID, u0=X).verdict.meaning == "inconclusive"
    alone = Graph.from_edges(torch.empty(2, 0, dtype=torch.int64), num_nodes=5)
    found = diagnose(Layers(4, relu), alone, u0=X[:5])
    assert "no edges" in found.theory.text


@pytest.mark.filterwarnings("ignore:.*explicit step:UserWarning")
def test_networks_by_depth_are_measured_at_their_last_layer_only(monkeypatch):
    torch.manual_seed(0)
    deep = Layers(8, relu)
    layers = diagnose(deep, GRID, u0=X)

    def make(depth):
        model = Layers(depth, relu)
        model.load_state_dict({k: v for k, v in deep.state_dict().items() if int(k.split(".")[1]) < depth})
        return model

    readings, bind = [], DirichletEnergy.on

    def counted(observable, graph, field=None, read=None):
        reading = bind(observable, graph, field, read)
        return lambda t, y: (readings.append(t), reading(t, y))[1]

    monkeypatch.setattr(DirichletEnergy, "on", counted)
    found = diagnose(make, GRID, [2, 5, 8], u0=X)
    assert len(readings) == 3 + 2 * 8  # one per depth, and what the deepest one's layers take and give
    for name, values in found.series.items():
        assert values.tolist() == pytest.approx(layers.series[name][[1, 4, 7]].tolist(), rel=1e-12), name


def test_an_equation_in_a_network_is_read_where_it_comes_out():
    torch.manual_seed(0)
    pde = GRAND(4, attention="recomputed").double()

    def make(depth):
        return nn.Sequential(PDEBlock(pde, float(depth), "rk4", dt=1.0))

    found = diagnose(make, GRID, [2, 4, 8], u0=X, call=lambda model, x, graph: model[0](x, graph))
    along = diagnose(pde, GRID, t=8.0, u0=X, method="rk4", dt=1.0)
    assert found.kind == "depth-untrained"
    whole = [abs(along.t - depth).argmin() for depth in (2, 4, 8)]
    assert along.t[whole].tolist() == pytest.approx([2, 4, 8])
    assert found.series["energy"].tolist() == pytest.approx(along.series["energy"][whole].tolist(), rel=1e-10)


# ---- modes of large flows -------------------------------------------------------------------------------------------


def test_the_gap_of_a_large_grid_is_the_closed_form():
    n = 60
    graph = Graph.grid(n, n)
    field = Diffusion().on(graph, torch.zeros(n * n, 1, dtype=torch.float64))
    found = flow_theory(field, torch.zeros(n * n, 1, dtype=torch.float64))
    assert found.kind == "exact"
    assert found.rate == pytest.approx(-2 * (2 - 2 * math.cos(math.pi / n)), rel=1e-8)


def test_the_slowest_modes_of_attention_are_those_of_dense_algebra():
    one = Graph.grid(9, 9)
    graph = Graph.from_edges(torch.cat([one.edge_index, one.edge_index + 81], dim=1), num_nodes=162)  # two components
    torch.manual_seed(0)
    x = torch.randn(162, 4, dtype=torch.float64)
    pde = GRAND(4).double()
    nn.init.normal_(pde.query.weight)
    nn.init.normal_(pde.key.weight)  # attention far from uniform, and not symmetric
    operator = linear_flow(pde.on(graph, x)).operator  # type: ignore[union-attr]
    dense = torch.linalg.eigvals(operator.to_dense())
    at_rest = int((dense.abs() < 1e-10).sum())
    expected = dense.real.sort(descending=True).values[at_rest : at_rest + 4]
    found = slowest_modes(operator)
    assert at_rest == 2
    assert found is not None
    torch.testing.assert_close(found[:4], expected, rtol=1e-8, atol=0)
