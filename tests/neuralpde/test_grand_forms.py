"""The forms of GRAND: scores, rates, mixed channels and walks, augmentation, thresholds, rewiring; what holds of each."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from neuralpde import Graph, GraphError, NodeClassifier, check, simulate
from neuralpde.models.describe import describe, rebuild
from neuralpde.operators.attention_pattern import attention_pattern, walk_weights
from neuralpde.operators.scores import SCORES
from neuralpde.pdes import GRAND
from neuralpde.training.presets import equation, preset
from neuralpde.transform import Transform
from neuralpde.transforms import GDC, PPR
from solvers import LinearFlow, Semilinear

F64 = torch.float64
GRAPH = Graph.grid(3, 4).with_weight((0.5 + torch.rand(17, generator=torch.Generator().manual_seed(0), dtype=F64)).repeat(2))
FORMS = {
    "cosine nl": {"score": "cosine", "attention": "recomputed", "source": True},
    "pearson col": {"score": "pearson", "norm": "col"},
    "kernel nl col": {"score": "exp_kernel", "attention": "recomputed", "norm": "col", "activation": "squareplus"},
    "additive nl": {"score": "additive", "attention": "recomputed", "source": "detached"},
    "mixed channels": {"mix_channels": True, "augment": 2, "alpha": "per_channel", "source": True},
    "mixed channels nl col": {"mix_channels": True, "mix_walk": True, "attention": "recomputed", "norm": "col"},
    "mixed walk reweighted": {"mix_walk": True, "reweight": True, "alpha": 0.7},
    "rate per channel nl col": {"alpha": "per_channel", "attention": "recomputed", "norm": "col", "augment": 1},
    "threshold": {"drop_weakest": 0.3, "reweight": True, "mix_walk": True},
    "rw": {"drop_weakest": 0.3, "attention": "recomputed", "rewire": GDC(PPR(0.2), top_k=4)},
}


def loud(seed=0, channels=3, **options):
    """Attention far from uniform."""
    generator = torch.Generator().manual_seed(seed)
    pde = GRAND(channels, **options).double()
    with torch.no_grad():
        for p in pde.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return pde


def features(channels=3):
    return torch.randn(12, channels, generator=torch.Generator().manual_seed(1), dtype=F64)


@pytest.mark.parametrize("form", FORMS)
def test_contract(form):
    report = check(loud(**FORMS[form]), GRAPH)
    assert report.ok, str(report)


@pytest.mark.parametrize("attention", ["frozen", "recomputed"])
@pytest.mark.parametrize("score", SCORES)
def test_rows_obey_a_maximum_principle_and_columns_keep_mass(score, attention):
    u0 = features()
    for activation in ("softmax", "squareplus"):
        form = {"score": score, "attention": attention, "activation": activation, "mix_walk": True, "reweight": True}
        u = simulate(loud(**form), GRAPH, u0, torch.linspace(0, 4, 5), "euler", dt=0.5).u.detach()
        least, most = u.amin(1), u.amax(1)
        assert (least[1:] >= least[:-1] - 1e-12).all() and (most[1:] <= most[:-1] + 1e-12).all()
        pde = loud(**form, norm="col", drop_weakest=0.2)
        assert pde.conserved(GRAPH) is not None
        u = simulate(pde, GRAPH, u0, 4.0, "euler", dt=0.5).u[-1].detach()
        torch.testing.assert_close(u.sum(0), u0.sum(0), rtol=0, atol=1e-12)


MODES = {
    "checkpoint": {"method": "rk4", "gradient": "checkpoint"},
    "adjoint": {"method": "rk4", "gradient": "adjoint"},
    "implicit adjoint": {"method": "crank_nicolson", "gradient": "adjoint"},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("attention", ["frozen", "recomputed"])
@pytest.mark.parametrize("drop_weakest", [0.0, 0.4])
def test_attention_learns_in_every_gradient_mode(mode, attention, drop_weakest):
    """In the released code neither attention held by an adjoint solve nor thresholded ("hard") attention has a gradient."""
    found = []
    for options in ({"method": "rk4"}, MODES[mode]):
        pde = loud(attention=attention, drop_weakest=drop_weakest, score="exp_kernel", mix_walk=True)
        u = simulate(pde, GRAPH, features(), 0.4, dt=0.05, **options).u[-1]
        u.pow(3).sum().backward()
        found.append({name: p.grad for name, p in pde.named_parameters()})
    for name, g in found[1].items():
        assert g is not None and bool(g.any()), name
        far = float((g - found[0][name]).abs().max())
        assert far <= (0.05 if "implicit" in mode else 1e-4) * float(found[0][name].abs().max()) + 1e-12, name


def test_dense_algebra_of_the_mixed_walk_and_a_fixed_rate():
    u0 = features()
    plain, mixed = (loud(alpha=0.3, mix_walk=walk) for walk in (False, True))
    plain.load_state_dict(mixed.state_dict(), strict=False)
    a = plain.on(GRAPH, u0).operator.to_dense() / 0.3 + torch.eye(12, dtype=F64)
    pattern = attention_pattern(GRAPH)
    walk = torch.zeros(12, 12, dtype=F64).index_put((pattern.rows, pattern.cols), walk_weights(GRAPH))
    g = torch.sigmoid(mixed.share_raw)
    field = mixed.on(GRAPH, u0)
    torch.testing.assert_close(field.operator.to_dense(), 0.3 * ((1 - g) * a + g * walk - torch.eye(12, dtype=F64)))
    assert isinstance(field, LinearFlow) and field.operator.metzler and "alpha_raw" not in dict(plain.named_parameters())
    with pytest.raises(GraphError, match="a random walk needs weights >= 0"):
        mixed.on(GRAPH.with_weight(-GRAPH.weight), u0)


def test_mixed_channels_are_linear_when_frozen():
    pde, u0 = loud(mix_channels=True, heads=2, attention_dim=4), features()
    field = pde.on(GRAPH, u0)
    assert isinstance(field, LinearFlow)
    assert isinstance(loud(mix_channels=True, attention="recomputed").on(GRAPH, u0), Semilinear)
    single = loud(heads=2, attention_dim=4)
    with torch.no_grad():
        for name in ("query", "key"):
            getattr(single, name).load_state_dict(getattr(pde, name).state_dict())
        pde.value.weight.copy_(torch.eye(3, dtype=F64)[[0, 1, 0, 1]])  # both heads carry channels 0 and 1 and return them
        pde.out.weight.copy_(torch.eye(3, dtype=F64)[:, :2])
        pde.alpha_raw.fill_(0.4), single.alpha_raw.fill_(0.4)
    t = torch.zeros((), dtype=F64)
    got, plain = field(t, u0), single.on(GRAPH, u0)(t, u0)
    got = pde.on(GRAPH, u0)(t, u0)
    torch.testing.assert_close(got[:, :2], plain[:, :2])
    torch.testing.assert_close(got[:, 2], -pde.alpha * u0[:, 2])


@pytest.mark.parametrize("attention", ["frozen", "recomputed"])
def test_augmentation(attention):
    """The released code cannot augment with frozen attention."""
    pde = loud(augment=2, mix_channels=True, attention=attention, source=True)
    run = simulate(pde, GRAPH, features(), 1.0, "rk4", dt=0.25)
    assert run.u.shape[1:] == (12, 3) and run.solution.y.shape[1:] == (12, 5)
    assert not run.solution.y[0, :, 3:].any() and run.solution.y[-1, :, 3:].detach().abs().min() > 0
    plain = loud(augment=2, attention=attention)
    run = simulate(plain, GRAPH, features(), 1.0, "rk4", dt=0.25)
    assert not run.solution.y[..., 3:].any()  # nothing feeds them
    model = NodeClassifier(4, 2, pde.float(), t=1.0, method="rk4", dt=0.5)
    assert model(torch.randn(12, 4), Graph.grid(3, 4)).shape == (12, 2)


def test_a_threshold_leaves_out_the_weakest_edges():
    u0 = features()
    whole, left = (
        loud(attention=mode, drop_weakest=share).on(GRAPH, u0) for mode, share in (("frozen", 0), ("recomputed", 0.5))
    )
    a = whole.operator.to_dense().detach()
    proper = (a != 0) & ~torch.eye(12, dtype=torch.bool)
    threshold = a[proper].sort().values[proper.sum() // 2]
    kept = left.attention(u0).to_dense().detach()
    assert torch.equal((kept != 0) & ~torch.eye(12, dtype=torch.bool), proper & (a >= threshold))
    torch.testing.assert_close(kept.sum(1), torch.ones(12, dtype=F64))
    later = left.attention(2 * u0 + 1).to_dense()
    assert torch.equal(later != 0, kept != 0)  # the edges of a solve stay


@dataclass(frozen=True)
class Counted(Transform):
    """Every edge turned around; counts how often."""

    count: ClassVar[list[int]] = []

    @property
    def keeps(self):
        return frozenset({"nodes"})

    def apply(self, graph):
        self.count.append(1)
        return Graph.from_edges(graph.edge_index.flip(0), num_nodes=graph.num_nodes)


def test_a_graph_is_rewired_once():
    graph, u0 = Graph.from_edges([[0, 1], [1, 2]], num_nodes=12), features()
    pde = loud(rewire=Counted())
    for _ in range(3):
        field = pde.on(graph, u0)
    assert len(Counted.count) == 1
    turned = loud().on(Graph.from_edges([[1, 2], [0, 1]], num_nodes=12), u0)
    torch.testing.assert_close(field.operator.to_dense(), turned.operator.to_dense())


def test_names_of_the_paper():
    linear, nonlinear, rewired = (equation(f"grand-{name}", 3, {"heads": 2}).double() for name in ("l", "nl", "nl-rw"))
    assert isinstance(linear.on(GRAPH, features()), LinearFlow) and linear.heads == 2
    field = nonlinear.on(GRAPH, features())
    assert not isinstance(field, LinearFlow) and len(attention_pattern(field.graph)) == GRAPH.num_edges + 12
    dense = len(attention_pattern(rewired.on(GRAPH, features()).graph))
    assert GRAPH.num_edges + 12 < dense < 144  # GDC joins all of a small grid; a tenth of the edges goes
    assert equation("grand-nl-rw", 3, {"rewire": None}).rewire is None
    assert preset("Cora", "GRAND_l").hidden == preset("cora", "grand").hidden == 80
    again = rebuild(describe(rewired))
    assert again.rewire == rewired.rewire and again.drop_weakest == 0.1


def test_refusals():
    for arguments, message in (
        ({"score": "pearsn"}, "Did you mean 'pearson'"),
        ({"score": "pearson", "heads": 8}, "Pearson with heads of width 2; expected at least 3"),
        ({"alpha": "learnt"}, "Did you mean 'learned'"),
        ({"alpha": -1.0}, "alpha = -1.0; expected a finite number >= 0"),
        ({"augment": -1}, "augment = -1; expected a number of channels"),
        ({"drop_weakest": 1.0}, "drop_weakest = 1.0; expected 0 <= drop_weakest < 1"),
    ):
        with pytest.raises(ValueError, match=message):
            GRAND(4, **arguments)
