"""BLEND: attention on features and positions, the frozen and the recomputed form, rewiring, and training with encodings."""

import math

import pytest
import torch
from scipy.linalg import expm

from neuralpde import Graph, GraphError, NodeClassifier, check, encodings, load, save, simulate
from neuralpde.datasets import karate_graph
from neuralpde.pdes import BLEND, GRAND
from neuralpde.transforms import KNN
from solvers import LinearFlow, Semilinear

F64 = torch.float64
ZERO = torch.zeros((), dtype=F64)


@pytest.fixture
def graph():
    return Graph.grid(4, 5).to(F64)


@pytest.fixture
def u0():
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=F64)


def loud(**options):
    """Attention far from uniform."""
    torch.manual_seed(1)
    pde = BLEND(3, 2, **{"pos_channels": 4, "heads": 2, "attention_dim": 8, **options}).double()
    with torch.no_grad():
        for p in pde.parameters():
            p.copy_(torch.randn_like(p) / 2)
    return pde


def dense_attention(graph, scores):
    """Row-wise softmax of scores `[heads, nodes, nodes]` over edges and one loop per node, mean over heads."""
    there = torch.eye(graph.num_nodes, dtype=torch.bool)
    there[graph.edge_index[1], graph.edge_index[0]] = True
    return scores.masked_fill(~there, -torch.inf).softmax(-1).mean(0)


def heads(linear, x, count):
    """`[heads, nodes, width of a head]`."""
    return linear(x).view(len(x), count, -1).transpose(0, 1)


def test_both_channels_diffuse_by_attention_on_both(graph, u0):
    pde = loud()
    z = pde.lift(graph, u0)
    assert torch.equal(z[:, :3], u0)
    torch.testing.assert_close(z[:, 3:], graph.pos @ pde.position.weight.T)
    q, k = heads(pde.query[0], z, 2), heads(pde.key[0], z, 2)
    a = dense_attention(graph, q @ k.mT / math.sqrt(4))
    expected = pde.alpha * (a @ z - z)
    torch.testing.assert_close(pde.on(graph, u0)(ZERO, z), expected, rtol=0, atol=1e-13)
    assert torch.equal(pde.read(torch.stack([z, z])), torch.stack([u0, u0]))


@pytest.mark.parametrize("norm", ["row", "col"])
def test_product_scores_multiply_a_kernel_of_features_and_one_of_positions(graph, u0, norm):
    pde = loud(kernels="product", norm=norm)
    z = pde.lift(graph, u0)
    both = [
        heads(q, x, 2) @ heads(k, x, 2).mT / math.sqrt(2)
        for q, k, x in zip(pde.query, pde.key, (z[:, :3], z[:, 3:]), strict=True)
    ]
    scores = both[0] + both[1]
    a = dense_attention(graph, scores) if norm == "row" else dense_attention(graph, scores.mT).T
    torch.testing.assert_close(pde.on(graph, u0)(ZERO, z), pde.alpha * (a @ z - z), rtol=0, atol=1e-13)


def test_exponential_kernels_multiply(graph, u0):
    pde = loud(score="exp_kernel", kernels="product")
    z = pde.lift(graph, u0)
    far = [
        torch.cdist(heads(q, x, 2), heads(k, x, 2)).square() / (2 * length**2)
        for q, k, x, length in zip(pde.query, pde.key, (z[:, :3], z[:, 3:]), pde.length, strict=True)
    ]
    a = dense_attention(graph, pde.sigma**2 * torch.exp(-far[0]) * torch.exp(-far[1]))
    torch.testing.assert_close(pde.on(graph, u0)(ZERO, z), pde.alpha * (a @ z - z), rtol=0, atol=1e-13)
    joint = loud(score="exp_kernel")
    z = joint.lift(graph, u0)
    far = torch.cdist(heads(joint.query[0], z, 2), heads(joint.key[0], z, 2)).square() / (2 * joint.length**2)
    a = dense_attention(graph, joint.sigma**2 * torch.exp(-far))
    torch.testing.assert_close(joint.on(graph, u0)(ZERO, z), joint.alpha * (a @ z - z), rtol=0, atol=1e-13)


def test_it_is_grand_on_the_joined_state(graph, u0):
    """With the same weights; so what differs from GRAND is what is fed, read and started from."""
    pde, grand = (
        loud(attention="recomputed", source=True),
        GRAND(7, heads=2, attention_dim=8, attention="recomputed", source=True).double(),
    )
    grand.load_state_dict(
        {
            "query.weight": pde.query[0].weight,
            "query.bias": pde.query[0].bias,
            "key.weight": pde.key[0].weight,
            "alpha_raw": pde.alpha_raw,
            "beta": pde.beta,
        }
    )
    z0 = pde.lift(graph, u0).detach()
    blended = simulate(pde, graph, u0, 2.0, "dopri5").u
    torch.testing.assert_close(blended, simulate(grand, graph, z0, 2.0, "dopri5").u[..., :3], rtol=0, atol=1e-12)


def test_frozen_is_linear_with_the_exact_solution(graph, u0):
    pde = loud(kernels="product")
    field, z0 = pde.on(graph, u0), pde.lift(graph, u0).detach()
    assert isinstance(field, LinearFlow)
    exact = torch.from_numpy(expm(1.5 * field.operator.to_dense().detach().numpy())) @ z0
    torch.testing.assert_close(simulate(pde, graph, u0, 1.5, rtol=1e-10).u[-1].detach(), exact[:, :3], rtol=0, atol=1e-8)
    moving = loud(kernels="product", attention="recomputed").on(graph, u0)
    assert isinstance(moving, Semilinear) and not isinstance(moving, LinearFlow)
    torch.testing.assert_close(moving(ZERO, z0), field(ZERO, z0), rtol=0, atol=1e-14)


def test_positions_move_the_features(graph, u0):
    pde = loud()
    elsewhere = Graph.from_edges(graph.edge_index, pos=graph.pos.flip(0))
    here, there = (simulate(pde, g, u0, 1.0).u[-1] for g in (graph, elsewhere))
    assert float((here - there).detach().abs().max()) > 1e-2
    scaled = loud(scale=0.0)
    here, there = (simulate(scaled, g, u0, 1.0).u[-1] for g in (graph, elsewhere))
    assert torch.equal(here, there)


def test_source_adds_the_whole_start(graph, u0):
    pde = loud(source=True)
    z = pde.lift(graph, u0)
    without = loud()
    without.load_state_dict({k: v for k, v in pde.state_dict().items() if k != "beta"})
    torch.testing.assert_close(pde.on(graph, u0)(ZERO, z), without.on(graph, u0)(ZERO, z) + pde.beta * z, rtol=0, atol=1e-13)


class TestRewiring:
    def test_edges_are_the_nearest_in_the_joined_state(self, graph, u0):
        pde = loud(rewire=KNN(3, of="state"))
        z = pde.lift(graph, u0).detach()
        nearest = torch.cdist(z, z).fill_diagonal_(torch.inf).topk(3, largest=False).indices
        expected = torch.eye(20, dtype=torch.bool)
        expected[torch.arange(20).unsqueeze(1), nearest] = True
        operator = pde.on(graph, u0).operator.to_dense()
        assert torch.equal(operator != 0, expected | expected.T)

    def test_they_are_chosen_anew_at_every_start(self, graph, u0):
        pde = loud(rewire=KNN(3, of="state"), attention="recomputed")
        first, second = pde.on(graph, u0).graph, pde.on(graph, u0.flip(0)).graph
        assert first.edge_index.shape != second.edge_index.shape or not torch.equal(first.edge_index, second.edge_index)
        assert "state" not in graph.node

    def test_within_each_graph_of_a_batch(self, graph, u0):
        pde = loud(rewire=KNN(3, of="state"))
        both = simulate(pde, graph.repeat(2), torch.cat([u0, u0.flip(0)]), 1.0, rtol=1e-10).u[-1]
        torch.testing.assert_close(both[:20], simulate(pde, graph, u0, 1.0, rtol=1e-10).u[-1], rtol=0, atol=1e-9)

    def test_contract(self, graph, u0):
        report = check(loud(rewire=KNN(3, of="state"), attention="recomputed", source=True), graph, u0)
        assert report.ok, str(report)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attention": "recomputed"},
        {"norm": "col"},
        {"score": "cosine", "attention": "recomputed"},
        {"score": "pearson", "norm": "col"},
        {"score": "exp_kernel", "norm": "col", "source": "detached"},
        {"kernels": "product", "norm": "col", "activation": "squareplus"},
    ],
    ids=str,
)
def test_contract_of_variants(graph, u0, options):
    report = check(loud(**options), graph, u0)
    assert report.ok, str(report)


def test_a_classifier_with_encodings_trains_and_is_saved(tmp_path):
    graph = karate_graph()
    graph = graph.with_node(
        x=torch.eye(34),
        place=torch.cat([encodings.random_walk_returns(graph, 4), encodings.laplacian_eigenvectors(graph, 4)], 1),
    )
    torch.manual_seed(0)
    pde = BLEND(8, 8, pos_channels=4, positions="place", heads=2, rewire=KNN(6, of="state"))
    model = NodeClassifier(34, 2, pde, t=2.0, method="rk4", dt=0.5, input_dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    label, losses = graph.node["y"], []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model(graph), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    save(model, tmp_path / "blend.pt")
    again = load(tmp_path / "blend.pt")
    assert torch.equal(again.eval()(graph), model.eval()(graph)) and again.pde.rewire == KNN(6, of="state")


def test_refusals(graph, u0):
    with pytest.raises(ValueError, match="not a multiple of 8"):
        BLEND(3, attention_dim=12, kernels="product")
    with pytest.raises(ValueError, match="there are products of scaled_dot and of exp_kernel"):
        BLEND(3, score="cosine", kernels="product")
    with pytest.raises(ValueError, match="Did you mean 'product'"):
        BLEND(3, kernels="produkt")
    with pytest.raises(GraphError, match=r"takes positions from 'place', and .* has pos; .*with_node\(place="):
        BLEND(3, positions="place").double().on(graph, u0)
    with pytest.raises(GraphError, match="made for 5 position channels; 'pos' of the graph is"):
        BLEND(3, 5).double().on(graph, u0)
