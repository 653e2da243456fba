"""Encoder, node and graph classifiers, and what they are compared with."""

import pytest
import torch

from neuralpde import Graph, GraphClassifier, GraphRegressor, Monitor, NodeClassifier, Observable
from neuralpde.models import GCN, MLP, Decoder, Encoder, PDEModel
from neuralpde.models.sparse_features import nonzeros
from neuralpde.pdes import GRAND, Diffusion, GraphCON
from neuralpde.training import seeded


@pytest.fixture
def graph() -> Graph:
    x = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    return Graph.grid(3, 4).with_node(x=x)


def bag_of_words(rows: int = 300, columns: int = 400, share: float = 0.02) -> torch.Tensor:
    return (torch.rand(rows, columns, generator=torch.Generator().manual_seed(0)) < share).float()


def test_sparse_encoder_is_the_dense_one():
    x = bag_of_words()
    encoder = Encoder(400, 8, dropout=0.5).eval()
    assert nonzeros(x) is not None
    torch.testing.assert_close(encoder(x), encoder.linear(x))
    slopes = [torch.autograd.grad(f(x).square().sum(), encoder.parameters()) for f in (encoder, encoder.linear)]
    torch.testing.assert_close(slopes[0], slopes[1])


def test_sparse_dropout_has_the_dense_distribution():
    """Mean and variance of one output over draws: those of a sum of independent Bernoulli terms."""
    x = bag_of_words(share=0.05)
    encoder = Encoder(400, 1, dropout=0.3)
    weight = encoder.linear.weight.detach().squeeze(0)
    with seeded(0), torch.no_grad():
        draws = torch.stack([encoder(x).squeeze(1) for _ in range(2000)])
        expected = encoder.linear(x).squeeze(1)
    variance = (x * weight.square()).sum(1) * 0.3 / 0.7
    deviation = (draws.mean(0) - expected) / (variance / 2000).sqrt()
    assert float(deviation.square().mean()) == pytest.approx(1, abs=5 * (2 / 300) ** 0.5)
    assert float((draws.var(0) / variance).mean()) == pytest.approx(1, abs=0.01)


def test_features_that_change_in_place_are_read_again():
    x = bag_of_words()
    encoder = Encoder(400, 8)
    encoder(x)
    x[0] = 0.0
    torch.testing.assert_close(encoder(x)[0], encoder.linear.bias)


STAY_DENSE = {"dense": torch.ones(300, 400), "small": torch.zeros(3, 4), "learnt": bag_of_words().requires_grad_()}


@pytest.mark.parametrize("x", STAY_DENSE.values(), ids=STAY_DENSE)
def test_dense_small_and_learnt_features_stay_dense(x):
    assert nonzeros(x) is None


def test_dropout_off_outside_training_and_refused_at_one():
    u = torch.randn(5, 3)
    decoder = Decoder(3, 2, dropout=0.9).eval()
    torch.testing.assert_close(decoder(u), decoder.linear(u.relu()))
    with pytest.raises(ValueError, match="dropout = 1; expected 0 <= dropout < 1"):
        Encoder(3, 2, dropout=1)


MODELS = {
    "grand": lambda: NodeClassifier(5, 3, GRAND(8), t=1.0, method="rk4", dt=0.5),
    "graphcon": lambda: NodeClassifier(5, 3, GraphCON(8), t=1.0, method="symplectic_euler", dt=0.5),
    "diffusion": lambda: NodeClassifier(5, 3, Diffusion(), t=0.5, hidden=6),
    "implicit": lambda: NodeClassifier(5, 3, GRAND(8), t=4.0, method="implicit_euler", dt=1.0),
    "mlp": lambda: MLP(5, 3),
    "gcn": lambda: GCN(5, 3, hidden=7, layers=3),
}


@pytest.mark.parametrize("name", MODELS)
def test_node_models(name, graph):
    """Scores for each node, the same by every call; gradients reach every parameter; draws belong to the seed."""
    with seeded(0):
        model = MODELS[name]()
    x = graph.node["x"]
    model.eval()
    scores = model(graph)
    assert scores.shape == (12, 3)
    torch.testing.assert_close(model(x, graph), scores)
    torch.testing.assert_close(model(x, graph.edge_index), scores)
    scores.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in model.parameters())
    model.train()
    drawn = []
    for seed in (1, 1, 2):
        with seeded(seed):
            drawn.append(model(graph))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_relabelling_the_nodes_relabels_the_scores(graph):
    with seeded(0):
        model = MODELS["grand"]().double().eval()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    place = torch.argsort(order)
    x = graph.node["x"].double()
    torch.testing.assert_close(model(x[order], place[graph.edge_index]), model(x, graph)[order], rtol=1e-11, atol=1e-12)


def test_at_gives_every_time_from_one_solve(graph):
    model = NodeClassifier(5, 3, GRAND(8), t=2.0, rtol=1e-5).eval()
    monitor = Monitor(_Largest(), every=1.0)
    seen = model.at(graph, [0.0, 1.0, 2.0, 4.0], monitors=[monitor])
    assert seen.logits.shape == (4, 12, 3) and seen.features.shape == (4, 12, 8)
    torch.testing.assert_close(seen.logits[2], model(graph), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen.features[0], model.encoder(graph.node["x"]))
    assert monitor.t.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert seen.stats.evaluations < 3 * len(seen.t) * model.block.stats.evaluations


def test_at_shows_momenta_and_energies(graph):
    """At the initial time the energy is that of the encoded features, by the edges one by one; gradients pass through all."""
    model = NodeClassifier(5, 3, GraphCON(8), t=1.0, method="symplectic_euler", dt=0.25).eval()
    seen = model.at(graph, [0.0, 0.5, 1.0])
    assert seen.state.shape == (3, 2, 12, 8) and torch.equal(seen.state[:, 0], seen.features)
    source, target = graph.edge_index
    expected = 0.5 * (seen.features[:, source] - seen.features[:, target]).double().square().sum((1, 2))
    assert seen.energies.shape == (3, 1)
    torch.testing.assert_close(seen.energies.squeeze(1), expected)
    seen.energies[-1].sum().backward()
    assert model.encoder.linear.weight.grad.abs().max() > 0


class _Largest(Observable):
    def on(self, graph, field=None, read=None):
        return lambda t, y: graph.space.max(y if read is None else read(y))


def batch_of(*graphs: Graph) -> Graph:
    """Several graphs with `x` and `pos` as one."""
    offsets = [0]
    for g in graphs:
        offsets.append(offsets[-1] + g.num_nodes)
    index = torch.cat([g.edge_index + o for g, o in zip(graphs, offsets, strict=False)], 1)
    batch = torch.repeat_interleave(torch.arange(len(graphs)), torch.tensor([g.num_nodes for g in graphs]))
    x = torch.cat([g.node["x"] for g in graphs])
    pos = torch.cat([g.pos for g in graphs if g.pos is not None])
    return Graph.from_edges(index, batch=batch, pos=pos, node={"x": x})


@pytest.mark.parametrize("pde", [lambda: Diffusion("learnable", "sym"), lambda: GraphCON(16), lambda: GRAND(16)])
def test_graph_classifier_sees_each_graph_alone(pde, graph):
    """Graphs of different sizes in one batch score as they do alone; moving and scaling the positions changes nothing."""
    other = Graph.grid(2, 5).with_node(x=torch.randn(10, 5, generator=torch.Generator().manual_seed(2)))
    with seeded(0):
        model = GraphClassifier(5, 4, pde(), t=1.0, method="rk4", dt=0.25, hidden=16, pos_channels=2).double()
    one, two = graph.to(torch.float64), other.to(torch.float64)
    both = batch_of(one, two)
    scores = model(both)
    assert scores.shape == (2, 4)
    torch.testing.assert_close(scores, torch.cat([model(one), model(two)]))
    moved = Graph.from_edges(both.edge_index, batch=both.batch, pos=3 * both.pos + 7, node=both.node)
    torch.testing.assert_close(model(moved), scores)
    seen = model.at(both, [0.0, 0.5, 1.0])
    assert seen.logits.shape == (3, 2, 4)
    torch.testing.assert_close(seen.logits[-1], scores)
    scores.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def regressor(**options) -> GraphRegressor:
    with seeded(0):
        pde = Diffusion("learnable", "sym")
        return GraphRegressor(5, 2, pde, t=1.0, method="rk4", dt=0.25, hidden=16, pos_channels=2, **options).double()


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_graph_regressor_sees_each_graph_alone_and_adds_up(pool, graph):
    other = Graph.grid(2, 5).with_node(x=torch.randn(10, 5, generator=torch.Generator().manual_seed(2)))
    model = regressor(pool=pool)
    one, two = graph.to(torch.float64), other.to(torch.float64)
    values = model(batch_of(one, two))
    assert values.shape == (2, 2)
    torch.testing.assert_close(values, torch.cat([model(one), model(two)]))
    twice = torch.cat([one.edge_index, one.edge_index + 12], 1)  # two copies of a graph, seen as one
    x, pos = torch.cat([one.node["x"]] * 2), torch.cat([one.pos] * 2)
    both = model(Graph.from_edges(twice, pos=pos, node={"x": x})) - model.decoder.linear.bias
    single = model(one) - model.decoder.linear.bias
    torch.testing.assert_close(both, single if pool == "mean" else 2 * single)
    seen = model.at(batch_of(one, two), [0.0, 1.0])
    torch.testing.assert_close(seen.logits[-1], values)
    assert seen.energies.shape == (2, 2) and bool((seen.energies[1] < seen.energies[0]).all())


def test_graph_regressor_learns_a_number_of_each_graph():
    """The mean degree of rings and paths of different sizes."""
    graphs = [Graph.ring(n) for n in (4, 5, 6, 8)] + [Graph.path(n) for n in (3, 4, 5, 7)]
    graphs = [g.with_node(x=g.degree.float().unsqueeze(1)) for g in graphs]
    targets = torch.stack([g.degree.float().mean() for g in graphs]).unsqueeze(1)
    with seeded(0):
        model = GraphRegressor(1, 1, Diffusion(), t=0.5, method="rk4", dt=0.25, hidden=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(torch.cat([model(g) for g in graphs]), targets)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0] and losses[-1] < 0.02


def test_graph_regressor_answers_another_pool():
    with pytest.raises(ValueError, match="Did you mean 'mean'"):
        regressor(pool="maen")


def test_models_share_one_shape():
    for cls in (NodeClassifier, GraphClassifier, GraphRegressor):
        assert cls.__bases__ == (PDEModel,) and "forward" not in vars(cls) and "at" not in vars(cls)


def test_graph_classifier_names_missing_positions(graph):
    model = GraphClassifier(5, 4, Diffusion(), pos_channels=3)
    with pytest.raises(ValueError, match="pos of 2 axes; this model was made for pos_channels=3"):
        model(graph)


def test_wrong_width_is_named(graph):
    with pytest.raises(ValueError, match="x has 5 features; this model was made for 4"):
        NodeClassifier(4, 3, GRAND(8))(graph)


def test_mlp_needs_no_edges():
    assert MLP(5, 3)(torch.randn(4, 5)).shape == (4, 3)


def test_an_encoder_has_an_activation_and_may_have_no_bias():
    x = torch.randn(5, 3)
    encoder = Encoder(3, 2, activation="relu", bias=False)
    assert torch.equal(encoder(x), (x @ encoder.linear.weight.t()).relu())
    model = NodeClassifier(3, 2, GRAND(4), t=1.0, encoder_activation="tanh").eval()
    assert torch.allclose(model.encode(Graph.path(5), x), torch.tanh(model.encoder.linear(x)), atol=1e-6)
    with pytest.raises(ValueError, match="'rleu'"):
        Encoder(3, 2, activation="rleu")


def test_a_gcn_drops_the_nonzeros_of_its_features_and_is_pygs_in_evaluation():
    from torch_geometric.nn import GCNConv

    graph = Graph.ring(300)
    x = torch.zeros(300, 400)
    x[:, :20] = torch.rand(300, 20)  # sparse enough to be multiplied as a sparse matrix
    model = GCN(400, 3, hidden=8, dropout=0.5)
    first, last = GCNConv(400, 8), GCNConv(8, 3)
    with torch.no_grad():
        for conv, ours in zip((first, last), model.convs, strict=True):
            conv.lin.weight.copy_(getattr(ours.lin, "linear", ours.lin).weight)
            conv.bias.copy_(ours.bias.normal_())
    expected = last(first(x, graph.edge_index).relu(), graph.edge_index)
    assert torch.allclose(model.eval()(x, graph.edge_index), expected, atol=1e-5)
    odd = torch.tensor([[0, 1, 2, 2, 7], [1, 2, 2, 0, 3]])  # directed, with a loop
    for edges in (odd, odd[:, [0, 1, 3, 4]], torch.cat([odd, odd.flip(0)], 1)):
        weight = torch.rand(edges.shape[1])
        weight = (weight + 1).requires_grad_()
        expected = last(first(x, edges, weight).relu(), edges, weight)
        ours = model(x, edges, weight)
        assert torch.allclose(ours, expected, atol=1e-5)
        a, b = (torch.autograd.grad(out.square().sum(), weight)[0] for out in (ours, expected))
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    assert "propagate" not in vars(model.convs[0])
    model.train()
    with torch.no_grad():
        draws = torch.stack([model.convs[0].lin(x) for _ in range(400)])
        exact = x @ first.lin.weight.t()
    assert not torch.equal(draws[0], draws[1])
    assert float((draws.mean(0) - exact).norm() / exact.norm()) < 3 / 20  # a mean of 400 draws, each of relative size about one
