"""fit and evaluate: what they look at, what they leave behind, and that a seed determines all of it."""

from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from neuralpde import FitConfig, Graph, GraphClassifier, NodeClassifier, evaluate, fit
from neuralpde.datasets import digits_grids, load
from neuralpde.models import MLP
from neuralpde.pdes import GRAND, Diffusion
from neuralpde.training import Epoch, GraphBatches, History, preset, seeded
from neuralpde.training.evaluate import graph_scores, node_scores
from neuralpde.training.presets import BASELINES, EQUATIONS
from solvers import PerGraph, Plain


def two_communities(nodes: int = 60, seed: int = 0) -> Graph:
    """Two noisy clusters; neighbours agree more often than features do."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(nodes) % 2
    same = y[:, None] == y[None, :]
    edge = torch.rand(nodes, nodes, generator=generator) < torch.where(same, 0.2, 0.02)
    index = edge.triu(1).nonzero().t()
    x = torch.randn(nodes, 4, generator=generator)
    x[:, 0] += 2.0 * y
    part = torch.arange(nodes) // 2 % 3
    masks = {"train_mask": part == 0, "val_mask": part == 1, "test_mask": part == 2}
    return Graph.from_edges(index, num_nodes=nodes, undirected=True, node={"x": x, "y": y, **masks})


def classifier(seed: int = 0) -> NodeClassifier:
    with seeded(seed):
        return NodeClassifier(4, 2, GRAND(8), t=2.0, method="rk4", dt=0.5, dropout=0.2)


def parameters(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_learns_what_the_neighbours_tell():
    graph, model = two_communities(), classifier()
    history = fit(model, graph, config=FitConfig(epochs=60, lr=0.03))
    assert history.epochs[-1].loss < history.epochs[0].loss / 2
    assert evaluate(model, graph, graph.node["test_mask"]) >= 0.9
    assert not model.training


def test_leaves_the_weights_of_the_best_epoch():
    graph, model = two_communities(), classifier()
    history = fit(model, graph, config=FitConfig(epochs=30, lr=0.05))
    key = [(e.val_accuracy, -e.val_loss) for e in history.epochs]
    assert history.best is history.epochs[key.index(max(key))]
    assert evaluate(model, graph, graph.node["val_mask"]) == history.best.val_accuracy
    short = classifier()
    fit(short, graph, config=FitConfig(epochs=history.best.epoch, lr=0.05))
    assert same(parameters(short), parameters(model))


def test_looks_at_no_test_label_and_needs_no_test_mask():
    graph = two_communities()
    one, other = classifier(), classifier()
    first = fit(one, graph, config=FitConfig(epochs=5))
    node = dict(graph.node)
    test = node.pop("test_mask")
    hidden = replace(graph, node={**node, "y": torch.where(test, -1, node["y"])})
    second = fit(other, hidden, config=FitConfig(epochs=5))
    assert same(parameters(one), parameters(other))
    assert first.series("val_loss") == second.series("val_loss")


def test_one_seed_and_nothing_global():
    graph = two_communities()
    torch.manual_seed(123)
    before = torch.get_rng_state()
    fitted = []
    for seed in (0, 0, 1):
        model = classifier()
        fit(model, graph, config=FitConfig(epochs=3, seed=seed))
        fitted.append(parameters(model))
        assert torch.equal(torch.get_rng_state(), before)
    assert same(fitted[0], fitted[1]) and not same(fitted[0], fitted[2])


def test_patience_ends_a_fit():
    graph, model = two_communities(), classifier()
    history = fit(model, graph, config=FitConfig(epochs=200, lr=0.05, patience=6))
    assert history.stopped == "patience"
    assert len(history.epochs) == history.best.epoch + 6
    assert fit(classifier(), graph, epochs=2).stopped == "epochs"


def test_validates_on_a_mask_or_on_other_data():
    graph, model = two_communities(), classifier()
    history = fit(model, graph, graph.node["test_mask"], config=FitConfig(epochs=3))
    assert evaluate(model, graph, graph.node["test_mask"]) == history.best.val_accuracy
    other = two_communities(seed=1)
    history = fit(model, graph, other, config=FitConfig(epochs=3))
    assert evaluate(model, other, other.node["val_mask"]) == history.best.val_accuracy


def test_takes_data_of_pyg():
    graph = two_communities()
    one, other = classifier(), classifier()
    fit(one, graph, epochs=3)
    fit(other, graph.to_data(), epochs=3)
    assert same(parameters(one), parameters(other))


def test_counts_evaluations_and_tells_each_epoch():
    seen: list[Epoch] = []
    history = fit(classifier(), two_communities(), config=FitConfig(epochs=3), on_epoch=seen.append)
    assert seen == list(history.epochs)
    assert history.series("evaluations") == [16.0] * 3  # 4 steps of rk4
    assert History.from_dict(history.to_dict()) == History(list(history.epochs), "epochs")


def test_scores_are_means_over_the_mask_whatever_the_space():
    logits = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y, mask = torch.tensor([0, 1, 2, -1, 1, 0]), torch.tensor([True, True, False, False, True, False])
    for space in (Plain(), PerGraph(torch.tensor([0, 0, 0, 1, 1, 1]))):
        loss, accuracy = node_scores(space, logits, y, mask)
        torch.testing.assert_close(loss, nn.functional.cross_entropy(logits[mask], y[mask]))
        torch.testing.assert_close(accuracy, (logits.argmax(1) == y)[mask].double().mean())
    loss, accuracy = graph_scores(logits, y.clamp_min(0))
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, y.clamp_min(0)))
    assert float(accuracy) == float((logits.argmax(1) == y.clamp_min(0)).double().mean())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adamx"}, "Did you mean 'adamax'"),
        ({"epochs": 0}, "epochs = 0; expected at least 1"),
        ({"lr": 0.0}, "lr = 0.0; expected a positive number"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0; expected at least 0"),
    ],
)
def test_config_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        FitConfig(**settings)


def test_fit_says_what_is_missing():
    graph = two_communities()
    bare = replace(graph, node={"x": graph.node["x"], "y": graph.node["y"]})
    with pytest.raises(ValueError, match=r"no val_mask, bool of shape \(60,\)"):
        fit(classifier(), bare)
    with pytest.raises(ValueError, match=r"no train_mask, bool of shape \(60,\)"):
        fit(classifier(), bare, graph.node["val_mask"])
    with pytest.raises(ValueError, match="train_mask holds no node"):
        fit(classifier(), graph.with_node(train_mask=torch.zeros(60, dtype=torch.bool)))
    with pytest.raises(ValueError, match=r"of several splits take one"):
        fit(classifier(), graph.with_node(train_mask=torch.ones(60, 10, dtype=torch.bool)))
    with pytest.raises(TypeError, match="task='graph' needs batches"):
        fit(classifier(), graph, task="graph")
    with pytest.raises(TypeError, match="task='node' needs one Graph"):
        fit(classifier(), [graph])
    with pytest.raises(ValueError, match="Known: graph, node"):
        fit(classifier(), graph, task="edge")
    with pytest.raises(ValueError, match="the mask holds no node"):
        evaluate(classifier(), graph, torch.zeros(60, dtype=torch.bool))


def test_classifies_digits_as_grid_graphs():
    """A short training on the pixel grids; ten guesses of ten would be right one time in ten."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    digits = digits_grids()
    train, val, test = digits.split(seed=0)
    with seeded(0):
        model = GraphClassifier(1, 10, Diffusion(1.0, "sym"), 1.0, "rk4", dt=0.5, pos_channels=2)
    batches = [GraphBatches(digits, index, 64, shuffle=index is train) for index in (train, val, test)]
    fit(model, batches[0], batches[1], task="graph", config=FitConfig(epochs=8, lr=0.02, weight_decay=0.0))
    assert evaluate(model, batches[2]) >= 0.85


def test_batches_cover_every_graph_once_and_shuffle_by_the_seed():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    digits = digits_grids()
    batches = GraphBatches(digits, torch.arange(20), 8, shuffle=True)
    assert len(batches) == 3
    seen = []
    for seed in (0, 0, 1):
        with seeded(seed):
            seen.append([(g.node["x"], y) for g, y in batches])
    assert [len(y) for _, y in seen[0]] == [8, 8, 4]
    order = [torch.cat([y for _, y in epoch]) for epoch in seen]
    assert torch.equal(order[0], order[1]) and not torch.equal(order[0], order[2])
    assert torch.equal(order[0].sort().values, digits.y[:20].sort().values)


def test_mlp_trains_alike():
    graph = two_communities()
    with seeded(0):
        model = MLP(4, 2, hidden=16)
    assert fit(model, graph, epochs=20).best.val_accuracy > 0.6


@pytest.mark.parametrize("model", [*EQUATIONS, *BASELINES])
@pytest.mark.parametrize("data", ["cora", "Digits", "no such data"])
def test_presets_build_and_train(data, model):
    settings = preset(data, model)
    one, other, third = (settings.build(4, 2, seed) for seed in (0, 0, 1))
    assert same(parameters(one), parameters(other)) and not same(parameters(one), parameters(third))
    assert settings.for_seed(7).config == replace(settings.config, seed=7)
    history = fit(one, two_communities(), config=replace(settings.config, epochs=2))
    assert history.epochs[-1].loss < 10 and asdict(settings)["config"]["lr"] == settings.config.lr


def test_presets_name_the_nearest_model():
    with pytest.raises(ValueError, match=r"no model 'grant'\. Did you mean 'grand'"):
        preset("cora", "grant")


def test_presets_beat_the_pictures_alone_on_digits():
    """One seed: with the edges at least two points more than without (97 to 99 against 94 to 96 % were measured)."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    data = load("digits", seed=0)
    reached = {}
    for model in ("grand", "mlp"):
        settings = preset("digits", model)
        network = settings.build(64, 10, 0)
        fit(network, data, config=replace(settings.config, epochs=40))
        reached[model] = evaluate(network, data, data.test_mask)
    assert reached["grand"] >= 0.94 and reached["grand"] >= reached["mlp"] + 0.02
