"""Classes, labels and numbers of graphs and nodes: losses, scores, the best epoch, the falling learning rate, sweeps."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from graph_tasks import OBJECTIVE, Made, MadeUp, batches, labelled_nodes, made_up, model, plan, sets

from neuralpde import FitConfig, Graph, evaluate, fit, plots, search, sweep
from neuralpde.models import MLP
from neuralpde.training import (
    OBJECTIVES,
    Epoch,
    GraphBatches,
    History,
    LogUniform,
    Plateau,
    Table,
    blind,
    published,
    reaches,
    seeded,
)
from neuralpde.training.evaluate import graph_scores, node_scores, validate
from neuralpde.training.ledger import digest
from neuralpde.training.recipe import settings
from solvers import PerGraph, Plain

KINDS = ("classes", "numbers", "labels")


def outputs(objective: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    out = torch.randn(9, 4, dtype=torch.float64, generator=generator)
    y = {
        "classes": torch.randint(4, (9,), generator=generator),
        "labels": torch.randint(2, (9, 4), generator=generator).double(),
    }.get(objective, torch.randn(9, 4, dtype=torch.float64, generator=generator))
    return out, y


def by_hand(objective: str, out: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """From numpy, row by row."""
    o, t = out.numpy(), y.numpy()
    if objective == "classes":
        p = np.exp(o) / np.exp(o).sum(1, keepdims=True)
        return float(-np.log(p[np.arange(len(t)), t]).mean()), float((o.argmax(1) == t).mean())
    if objective == "labels":
        p, said = 1 / (1 + np.exp(-o)), o > 0
        tp, fp, fn = ((said & (t == 1)).sum(), (said & (t == 0)).sum(), (~said & (t == 1)).sum())
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
        return float(loss), float(2 * precision * recall / (precision + recall))
    error = np.abs(o - t) if objective == "mae" else (o - t) ** 2
    return float(error.mean()), float(error.mean())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_and_scores_by_their_definitions(objective):
    out, y = outputs(objective)
    goal = OBJECTIVES[objective]
    found = [float(v) for v in graph_scores(out, y, goal)]
    assert found == pytest.approx(by_hand(objective, out, y), rel=1e-12)
    mask = torch.arange(9) % 3 != 1
    hidden = torch.where(mask if y.dim() == 1 else mask.unsqueeze(1), y, torch.nan if y.is_floating_point() else -1)
    for space in (Plain(), PerGraph(torch.arange(9) // 3)):
        within = [float(v) for v in node_scores(space, out, hidden, mask, goal)]
        assert within == pytest.approx(by_hand(objective, out[mask], y[mask]), rel=1e-12)
    leaf = out.clone().requires_grad_()
    (grad,) = torch.autograd.grad(node_scores(Plain(), leaf, hidden, mask, goal)[0], leaf)
    assert bool(grad.isfinite().all()) and bool((grad[~mask] == 0).all()) and bool((grad[mask] != 0).any())


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_does_not_depend_on_the_batches(kind):
    whole, network, goal = made_up(kind), model(kind), OBJECTIVES[OBJECTIVE[kind]]
    index = torch.arange(30)
    scores = [validate(network, GraphBatches(whole, index, size), objective=goal) for size in (1, 7, 30)]
    for one in scores[1:]:
        assert one == pytest.approx(scores[0], rel=1e-6)
    network.eval()
    out = torch.cat([network(whole.batch(i.reshape(1))).detach() for i in index])
    assert scores[0] == pytest.approx(
        by_hand(OBJECTIVE[kind], out.double(), whole.y.reshape(out.shape) if kind != "classes" else whole.y), rel=1e-6
    )


def test_a_batch_is_the_graphs_side_by_side():
    whole = made_up("labels", 6)
    first = whole.nodes.cumsum(0) - whole.nodes
    index = torch.tensor([4, 1, 1])
    graph = whole.batch(index)
    alone = [whole.batch(i.reshape(1)) for i in index]
    assert torch.equal(graph.node["x"], torch.cat([g.node["x"] for g in alone]))
    assert torch.equal(graph.pos, torch.cat([g.pos for g in alone]))
    assert torch.equal(whole.targets(index), torch.cat([whole.y[first[i] : first[i] + whole.nodes[i]] for i in index]))
    assert torch.equal(graph.batch, torch.tensor([0] * 8 + [1] * 5 + [2] * 5))
    shift = [0, 8, 13]
    assert torch.equal(graph.edge_index, torch.cat([g.edge_index + s for g, s in zip(alone, shift, strict=True)], 1))
    part = whole.select(index)
    again = part.batch(torch.arange(3))
    assert torch.equal(again.edge_index, graph.edge_index) and torch.equal(part.y, whole.targets(index))


@pytest.mark.parametrize("kind", KINDS)
def test_learns(kind):
    network, (train, val) = model(kind), batches(kind)
    config = FitConfig(epochs=40, lr=0.03, weight_decay=0.0, objective=OBJECTIVE[kind])
    history = fit(network, train, val, task="graph", config=config)
    scores = history.series("val_score")
    best = max(scores) if OBJECTIVES[OBJECTIVE[kind]].larger else min(scores)
    assert history.best.val_score == best and history.metric == OBJECTIVES[OBJECTIVE[kind]].metric
    assert evaluate(network, val, objective=OBJECTIVE[kind]) == pytest.approx(best, rel=1e-6)
    spread = float(made_up("numbers").y.sub(made_up("numbers").y.median()).abs().mean())
    reached = {"classes": 0.9, "labels": 0.9, "numbers": spread / 4}[kind]
    assert best >= reached if kind != "numbers" else best <= reached


def test_nodes_have_labels_and_numbers_too():
    graph = labelled_nodes()
    x = graph.node["x"]
    for objective, y, count in (("labels", (x[:, :2] > 0).float(), 2), ("mse", x[:, :1] - x[:, 1:2], 1), ("mae", x[:, 0], 1)):
        data = graph.with_node(y=y)
        with seeded(0):
            network = MLP(3, count, hidden=16, dropout=0.0)
        config = FitConfig(epochs=80, lr=0.02, weight_decay=0.0, objective=objective)
        history = fit(network, data, config=config)
        first, goal = history.epochs[0].val_score, OBJECTIVES[objective]
        assert history.best.val_score > max(first, 0.85) if goal.larger else history.best.val_score < first / 2
        assert evaluate(network, data, data.node["val_mask"], objective=objective) == history.best.val_score
        hidden = blind(data)
        assert hidden.classes == count
        assert bool(hidden.graph.node["y"][data.node["test_mask"]].isnan().all())


def test_the_best_epoch_goes_in_the_right_direction():
    values = [(0.5, 0.9), (0.3, 0.7), (0.4, 0.2)]
    epochs = [Epoch(i, 1.0, loss, score, 0, 0.0) for i, (score, loss) in enumerate(values)]
    assert History(epochs).best.epoch == 0 and History(epochs, objective="mae").best.epoch == 1
    assert History(epochs, select="loss").best.epoch == History(epochs, select="loss", objective="mse").best.epoch == 2
    equal = [Epoch(0, 1.0, 0.4, 0.5, 0, 0.0), Epoch(1, 1.0, 0.3, 0.5, 0, 0.0), Epoch(2, 1.0, 0.5, 0.5, 0, 0.0)]
    assert History(equal).best.epoch == History(equal, objective="mae").best.epoch == 1
    old = {
        "epochs": [{k: v for k, v in asdict(e).items() if k not in ("val_score", "lr")} | {"val_accuracy": 0.5} for e in epochs]
    }
    assert History.from_dict({**old, "stopped": "epochs"}).epochs[0].val_accuracy == 0.5


def test_patience_is_that_of_the_error():
    network, (train, val) = model("numbers"), batches("numbers")
    config = FitConfig(epochs=300, lr=0.2, weight_decay=0.0, objective="mae", patience=5)
    history = fit(network, train, val, task="graph", config=config)
    assert history.stopped == "patience" and len(history.epochs) == history.best.epoch + 5
    assert history.best.val_score == min(history.series("val_score")) > min(history.series("loss")) / 10


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_learning_rate_falls_as_on_a_plateau(kind):
    """Recomputed from the recorded scores by the rule in words."""
    network, (train, val) = model(kind), batches(kind)
    config = FitConfig(epochs=40, lr=0.2, objective=OBJECTIVE[kind], plateau=Plateau(0.5, 2, after=3, stop_below=0.02))
    history = fit(network, train, val, task="graph", config=config)
    lr, best, bad, rates = 0.2, None, 0, []
    for epoch in history.epochs:
        rates.append(lr)
        if epoch.epoch <= 3:
            continue
        s = epoch.val_score
        better = best is None or (s > best * (1 + 1e-4) if kind == "classes" else s < best * (1 - 1e-4))
        best, bad = (s, 0) if better else (best, bad + 1)
        if bad > 2:
            lr, bad = lr / 2, 0
    assert history.series("lr") == pytest.approx(rates) and rates[-1] < rates[0]
    assert history.stopped == "plateau" and lr < 0.02 <= rates[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_is_the_same_bits_as_unbroken(kind, tmp_path):
    whole, first, second = model(kind), model(kind), model(kind)
    unbroken = fit(whole, *batches(kind), task="graph", config=plan(kind))
    path = str(tmp_path / "fit.pt")
    fit(first, *batches(kind), task="graph", config=plan(kind, epochs=4, checkpoint=path))
    resumed = fit(second, *batches(kind), task="graph", config=plan(kind), resume=path)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), second.state_dict().values(), strict=True))
    for name in ("loss", "val_loss", "val_score", "lr", "penalty"):
        assert resumed.series(name) == unbroken.series(name)
    assert len(set(resumed.series("lr"))) > 1 and resumed.best.epoch == unbroken.best.epoch


@pytest.mark.parametrize("kind", KINDS)
def test_sweeps_and_tables(kind, tmp_path):
    config = FitConfig(epochs=3, lr=0.03, objective=OBJECTIVE[kind], batch_size=5)
    path = tmp_path / "runs.jsonl"
    table = sweep({"a": Made(kind, config)}, MadeUp(kind), [("random", 0), ("random", 1)], [0, 1], path)
    whole, network = sets(kind, 1), model(kind, 1)
    train, val, test = (
        GraphBatches(whole.graphs, i, 5, shuffle=i is whole.train) for i in (whole.train, whole.val, whole.test)
    )
    history = fit(network, train, val, task="graph", config=FitConfig(**{**asdict(config), "seed": 1}))
    (run,) = [r for r in table.runs if (r.split, r.seed) == ("random 1", 1)]
    assert run.val_score == history.best.val_score and run.metric == history.metric
    assert run.test_score == evaluate(network, test, objective=OBJECTIVE[kind])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    named = {"val_accuracy", "test_accuracy"} if kind == "classes" else {"val_score", "test_score", "metric"}
    assert all(named <= row.keys() for row in rows)
    again = Table.read(path)
    assert again.summary("a", "test_score").mean == table.summary("a").mean
    assert ("test MAE" in str(table)) == (kind == "numbers") and "test" in str(table)


def test_a_search_takes_the_smallest_error():
    def make(values):
        return Made("numbers", FitConfig(epochs=6, lr=values["lr"], weight_decay=0.0, objective="mae"))

    given = {"reported_splits": [("random", 0)], "reported_seeds": [0], "trials": 4}
    found = search({"lr": LogUniform(1e-6, 0.1)}, make, MadeUp("numbers"), [("random", 100)], [100], **given)
    errors = [trial.val_scores[0] for trial in found.trials]
    assert found.best.val_scores[0] == min(errors) < max(errors) and found.best.score == -min(errors)
    assert found.recipe == make(found.best.values)


def test_what_is_fitted_sees_no_graph_of_the_test_set(monkeypatch):
    whole = sets("numbers")
    seen: list[int] = []
    original = type(whole.graphs).batch

    def watched(self, index):
        seen.extend(index.tolist())
        return original(self, index)

    monkeypatch.setattr(type(whole.graphs), "batch", watched)
    blind(whole).fit(model("numbers"), FitConfig(epochs=2, objective="mae"))
    assert set(seen) == set(range(20))


def test_older_results_keep_their_keys():
    """Settings that came later are not written where they are at their defaults, so that a sweep knows older rows."""
    plain = settings(FitConfig())
    assert not {"objective", "plateau", "batch_size"} & plain.keys()
    assert digest(plain) == "ca10f06422750ffbca78"
    assert settings(FitConfig(plateau=Plateau()))["plateau"]["class"] == "Plateau"


def test_errors_reach_from_above():
    ours, theirs = published(0.22, 0.01, 5), published(0.214, 0.004, 5)
    assert reaches(ours, theirs, 0.02, larger=False) and not reaches(published(0.3, 0.01, 5), theirs, 0.02, larger=False)
    assert reaches(published(0.1, 0.01, 5), theirs, 0.02, larger=False)


def test_a_picture_of_errors_names_them():
    epochs = [Epoch(i, 1 / i, 1 / i, 1 / i, 0, 0.0) for i in range(1, 9)]
    figure = plots.training(History(epochs, objective="mae"))
    left, right = figure.axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("loss", "validation MAE")
    assert max(right.lines[0].get_ydata()) == 1.0


def test_says_what_does_not_fit():
    whole = made_up("labels")
    batch = [(whole.batch(torch.arange(3)), torch.zeros(3))]
    with pytest.raises(ValueError, match=r"the model gives \(15, 3\) and the labels y are \(3,\); expected 3 labels for each"):
        fit(model("labels"), batch, batch, task="graph", config=FitConfig(objective="labels"))
    with pytest.raises(ValueError, match=r"no objective 'mea'\. Did you mean 'mse' or 'mae'"):
        FitConfig(objective="mea")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"horizon = 3\.0 with objective='labels'"):
        FitConfig(objective="labels", horizon=3.0)
    with pytest.raises(ValueError, match=r"factor = 2; expected 0 < factor < 1"):
        Plateau(factor=2)
    with pytest.raises(ValueError, match="test holds no graph"):
        type(sets("labels"))(whole, torch.arange(3), torch.arange(3), torch.arange(0), 3)
    with pytest.raises(ValueError, match="transform the graphs before they become a GraphList"):
        blind(sets("labels")).transformed(object())  # type: ignore[arg-type]
    graph = Graph.ring(3)
    with pytest.raises(ValueError, match="y has 2 rows; expected one for each of 1 graphs or 3 nodes"):
        type(whole).of([{"x": torch.ones(3, 1), "edge_index": graph.edge_index, "y": torch.ones(2)}])
