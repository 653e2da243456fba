"""Time-on-validation: an option of its own, that sees no test label, and says what the model gives without it."""

from dataclasses import replace

import pytest
import torch

from neuralpde import FitConfig, Graph, NodeClassifier, evaluate, fit
from neuralpde.models import MLP
from neuralpde.pdes import GRAND, GraphCON
from neuralpde.training import evaluate_over_time, seeded, time_on_validation


def communities(nodes: int = 60, seed: int = 0) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(nodes) % 2
    edge = torch.rand(nodes, nodes, generator=generator) < torch.where(y[:, None] == y[None, :], 0.2, 0.03)
    x = torch.randn(nodes, 4, generator=generator)
    x[:, 0] += 1.5 * y
    part = torch.arange(nodes) // 2 % 3
    masks = {name: part == i for i, name in enumerate(("train_mask", "val_mask", "test_mask"))}
    return Graph.from_edges(edge.triu(1).nonzero().t(), num_nodes=nodes, undirected=True, node={"x": x, "y": y, **masks})


def classifier(method: str = "rk4", dt: float | None = 0.5, pde=None) -> NodeClassifier:
    with seeded(0):
        return NodeClassifier(4, 2, pde or GRAND(8), t=2.0, method=method, dt=dt, dropout=0.2)


@pytest.mark.parametrize(("method", "dt"), [("rk4", 0.5), ("dopri5", None)])
def test_scores_at_each_time_are_those_of_a_model_with_that_time(method, dt):
    graph, model = communities(), classifier(method, dt)
    fit(model, graph, epochs=8)
    over = evaluate_over_time(model, graph, graph.node["val_mask"])
    assert float(over.t[0]) > 0 and float(over.t[-1]) == 6.0 and 2.0 in over.t.tolist()
    own = over.t.tolist().index(2.0)
    assert float(over.accuracies[own]) == evaluate(model, graph, graph.node["val_mask"])
    for k in (1, over.best, len(over.t) - 1):
        other = NodeClassifier(4, 2, model.pde, t=float(over.t[k]), method=method, dt=dt)
        other.load_state_dict(model.state_dict())
        assert float(over.accuracies[k]) == evaluate(other, graph, graph.node["val_mask"])
    assert float(over.accuracies[over.best]) == float(over.accuracies.max())


def test_at_the_end_with_and_without():
    graph, model = communities(), classifier()
    fit(model, graph, epochs=8)
    found = time_on_validation(model, graph)
    assert found.own_time == 2.0 and found.val_accuracy >= found.own_val_accuracy
    assert found.own_test_accuracy == evaluate(model, graph, graph.node["test_mask"])
    assert found.test_accuracy == evaluate(model, graph, graph.node["test_mask"], time=found.time)


def test_every_epoch_in_a_fit():
    graph, model = communities(), classifier()
    history = fit(model, graph, config=FitConfig(epochs=12, horizon=3))
    plain = fit(classifier(), graph, config=FitConfig(epochs=12))
    assert all(0 < e.time <= 6 for e in history.epochs) and all(e.time is None for e in plain.epochs)
    assert history.series("loss") == plain.series("loss")  # training is the same, only the choice is another
    assert all(a >= b for a, b in zip(history.series("val_accuracy"), plain.series("val_accuracy"), strict=True))
    best = history.best
    assert evaluate(model, graph, graph.node["val_mask"], time=best.time) == best.val_accuracy
    over = evaluate_over_time(model, graph, graph.node["val_mask"])
    assert float(over.t[over.best]) == best.time


def test_sees_no_test_label_and_resumes(tmp_path):
    graph = communities()
    node = dict(graph.node)
    test = node.pop("test_mask")
    blind = replace(graph, node={**node, "y": torch.where(test, -1, node["y"])})
    config = FitConfig(epochs=6, horizon=2, checkpoint=str(tmp_path / "a.pt"))
    one, other = classifier(), classifier()
    first = fit(one, graph, config=config)
    fit(other, blind, config=replace(config, epochs=3, checkpoint=str(tmp_path / "b.pt")))
    again = classifier()
    second = fit(again, blind, config=config, resume=str(tmp_path / "b.pt"))
    for name in ("val_accuracy", "time", "val_loss"):
        assert first.series(name) == second.series(name)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), again.parameters(), strict=True))


def test_fixed_steps_stay_as_they_are():
    graph, model = communities(), classifier("symplectic_euler", 0.5, GraphCON(8))
    over = evaluate_over_time(model, graph, graph.node["val_mask"])
    assert over.t.tolist() == [0.5 * k for k in range(1, 13)]
    assert float(over.accuracies[3]) == evaluate(model, graph, graph.node["val_mask"])


def test_refuses():
    graph = communities()
    with pytest.raises(TypeError, match="MLP has no time to choose"):
        time_on_validation(MLP(4, 2, 8), graph)
    with pytest.raises(TypeError, match="MLP has no time"):
        fit(MLP(4, 2, 8), graph, config=FitConfig(epochs=1, horizon=3))
    with pytest.raises(ValueError, match="task='node' only"):
        fit(classifier(), [graph], [graph], task="graph", config=FitConfig(epochs=1, horizon=3))
    with pytest.raises(ValueError, match="horizon = 0"):
        FitConfig(horizon=0)
    with pytest.raises(TypeError, match="for the nodes of one graph"):
        evaluate(classifier(), [(graph, graph.node["y"])], time=1.0)


def test_the_best_epoch_by_loss():
    graph = communities()
    by_loss, by_accuracy = (classifier() for _ in range(2))
    history = fit(by_loss, graph, config=FitConfig(epochs=20, lr=0.1, select="loss"))
    assert history.best.val_loss == min(history.series("val_loss"))
    other = fit(by_accuracy, graph, config=FitConfig(epochs=20, lr=0.1))
    assert other.series("val_loss") == history.series("val_loss")
    assert other.best.val_accuracy == max(other.series("val_accuracy"))
    assert type(history).from_dict(history.to_dict()).best == history.best
    with pytest.raises(ValueError, match="'loss'"):
        FitConfig(select="los")
