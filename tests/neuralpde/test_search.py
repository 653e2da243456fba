"""Search: by validation only, on what no table reports; the test set is not there."""

import math
import random
import sys
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from neuralpde import FitConfig, Graph
from neuralpde.datasets import class_split
from neuralpde.training import Choice, Integer, LogUniform, Uniform, blind, search, seeded, tasks
from neuralpde.training.search import _rungs
from neuralpde.training.search_space import drawn
from solvers import IntegrationError

REPORTED = {"reported_splits": [("random", i) for i in range(5)], "reported_seeds": range(5)}
TUNING = ([("random", 100), ("random", 101)], [100, 101])


@dataclass(frozen=True)
class Blobs:
    label: str = "blobs"
    scramble: bool = False

    def __call__(self, split) -> Graph:
        generator = torch.Generator().manual_seed(1)
        y = torch.arange(60) % 2
        x = torch.randn(60, 3, generator=generator)
        x[:, 0] += 1.5 * y
        train, val, test = class_split(y, 5, 15, seed=split[1])
        y = torch.where(test, 1 - y, y) if self.scramble else y
        return Graph.ring(60).with_node(x=x, y=y, train_mask=train, val_mask=val, test_mask=test)


class Linear(nn.Module):
    def __init__(self, channels: int, classes: int, fails: bool):
        super().__init__()
        self.map, self.fails = nn.Linear(channels, classes), fails

    def forward(self, graph):
        if self.fails:
            raise IntegrationError("the state is not finite", None)
        return self.map(graph.node["x"])


@dataclass(frozen=True)
class Regression:
    lr: float
    fails: bool = False
    transform: None = None
    config: FitConfig = field(default_factory=FitConfig)

    def build(self, in_channels, num_classes, seed=0):
        with seeded(seed):
            return Linear(in_channels, num_classes, self.fails)


def make(values):
    return Regression(values["lr"], values.get("fails", False), config=FitConfig(epochs=3, lr=values["lr"]))


SPACE = {"lr": LogUniform(1e-5, 0.3)}


def run(data=None, **options):
    return search(SPACE, make, data or Blobs(), *TUNING, **{**REPORTED, "trials": 6, **options})


def test_finds_what_validates_best():
    rows = []
    found = run(on_run=rows.append)
    assert len(rows) == 6 * 4 and len(found.trials) == 6
    by_hand = {t.number: sum(r["val_accuracy"] for r in rows if r["trial"] == t.number) / 4 for t in found.trials}
    assert found.best.number == max(by_hand, key=lambda n: (by_hand[n], -n))
    assert found.best.score == pytest.approx(max(by_hand.values()))
    assert found.recipe == make(found.best.values) and found.best.values["lr"] > 1e-3
    assert {(r["split"], r["seed"]) for r in rows} == {(f"random {i}", s) for i in (100, 101) for s in (100, 101)}


def test_the_test_set_is_not_computed(monkeypatch):
    """Every score that is computed is on training or validation nodes, with labels that hide the test set."""
    module, masks = sys.modules["neuralpde.training.evaluate"], []  # the package exports the function of that name
    original = module.node_scores

    def watched(space, logits, y, mask, objective):
        masks.append((y.clone(), mask.clone()))
        return original(space, logits, y, mask, objective)

    monkeypatch.setattr(module, "node_scores", watched)
    monkeypatch.setattr(tasks, "node_scores", watched)
    rows = []
    run(trials=2, on_run=rows.append)
    tests = [Blobs()(split).node["test_mask"] for split in TUNING[0]]
    assert len(masks) == 2 * 4 * 3 * 2  # trials, runs, epochs; training and validation
    for y, mask in masks:
        hidden = [test for test in tests if not bool((test & mask).any())]
        assert any(bool((y[test] == -1).all()) for test in hidden)
    assert not any("test" in key for row in rows for key in row)


def test_other_test_labels_change_nothing():
    one, other = run(), run(Blobs(scramble=True))
    assert [t.val_accuracies for t in one.trials] == [t.val_accuracies for t in other.trials]


def test_resumes_and_repeats_nothing(tmp_path):
    path, rows = tmp_path / "search.jsonl", []

    class Stopped(Exception):
        pass

    def stop(row):
        rows.append(row)
        if len(rows) == 7:
            raise Stopped

    whole = run()
    with pytest.raises(Stopped):
        run(path=path, on_run=stop)
    found = run(path=path, on_run=rows.append)
    assert len(rows) == 24 and found == whole
    assert run(path=path, on_run=rows.append) == whole and len(rows) == 24
    more = run(path=path, on_run=rows.append, trials=7)  # the first six are the same
    assert len(rows) == 28 and more.trials[:6] == whole.trials


def test_successive_halving_gives_the_best_more_runs():
    rows = []
    found = run(trials=9, halving=2, on_run=rows.append)
    assert _rungs(9, 4, 2) == [(9, 1), (5, 2), (3, 4)] and _rungs(40, 10, 3) == [(40, 1), (14, 3), (5, 9), (2, 10)]
    assert sorted((len(t.val_accuracies) for t in found.trials), reverse=True) == [4, 4, 4, 2, 2, 1, 1, 1, 1]
    assert len(rows) == 9 + 5 + 3 * 2 and len(found.best.val_accuracies) == 4
    first = {r["trial"]: r["val_accuracy"] for r in rows[:9]}
    kept = {t.number for t in found.trials if len(t.val_accuracies) > 1}
    assert min(first[n] for n in kept) >= max(first[n] for n in first if n not in kept)


def test_a_trial_that_fails_is_recorded_and_comes_last(tmp_path):
    space, rows = {"lr": Choice((0.1,)), "fails": Choice((True, False))}, []
    found = search(space, make, Blobs(), *TUNING, **REPORTED, trials=6, seed=1, path=tmp_path / "s.jsonl", on_run=rows.append)
    failed = [t for t in found.trials if t.values["fails"]]
    assert failed and all(t.score == -math.inf for t in failed) and not found.best.values["fails"]
    assert {r["error"] for r in rows if r["val_accuracy"] is None} == {"the state is not finite"}


def test_draws_depend_on_seed_and_number_only():
    space = {"a": Uniform(0, 1), "b": LogUniform(1e-4, 1), "c": Integer(2, 5), "d": Choice(("x", "y"))}
    first = [drawn(space, 0, i) for i in range(200)]
    assert first == [drawn(space, 0, i) for i in range(200)] and first[0] != drawn(space, 1, 0)
    assert all(drawn({"b": space["b"]}, 0, i)["b"] == first[i]["b"] for i in range(5))
    assert {v["c"] for v in first} == {2, 3, 4, 5} and {v["d"] for v in first} == {"x", "y"}
    assert all(0 <= v["a"] <= 1 and 1e-4 <= v["b"] <= 1 for v in first)
    below = sum(v["b"] < 1e-2 for v in first) / 200
    assert 0.4 < below < 0.6  # half of the logarithms
    assert LogUniform(2.0, 2.0).draw(random.Random(0)) == 2.0


@pytest.mark.parametrize(
    ("tuning", "options", "words"),
    [
        (([("random", 3)], [100]), {}, r"splits \['random 3'\] are both"),
        ((["random"], [100]), {}, r"splits \['random 0'\] are both"),
        (([("random", 100)], [4, 100]), {}, r"seeds \[4\] are both"),
        (([], [100]), {}, "0 splits"),
        (TUNING, {"trials": 0}, "trials = 0"),
        (TUNING, {"halving": 1}, "halving = 1"),
    ],
)
def test_refuses_what_is_reported(tuning, options, words):
    with pytest.raises(ValueError, match=words):
        search(SPACE, make, Blobs(), *tuning, **{**REPORTED, "trials": 2, **options})


def test_a_published_split_may_be_tuned_on_with_other_seeds():
    @dataclass(frozen=True)
    class Public(Blobs):
        def __call__(self, split):
            return super().__call__(("random", 0))

    found = search(SPACE, make, Public(), ["public"], [100], reported_splits=["public"], reported_seeds=[0], trials=2)
    assert len(found.trials) == 2
    with pytest.raises(ValueError, match=r"seeds \[0\]"):
        search(SPACE, make, Public(), ["public"], [0], reported_splits=["public"], reported_seeds=[0], trials=2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Uniform(2, 1), "low <= high"),
        (lambda: LogUniform(0, 1), "low > 0"),
        (lambda: Choice(()), "at least one"),
        (lambda: Integer(3, 2), "low <= high"),
    ],
)
def test_refuses_an_empty_space(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


def test_blind_graphs_are_what_is_fitted(monkeypatch):
    seen = []
    original = Regression.build

    def build(self, in_channels, num_classes, seed=0):
        model = original(self, in_channels, num_classes, seed)
        model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        return model

    monkeypatch.setattr(Regression, "build", build)
    run(trials=1)
    assert seen and all("test_mask" not in graph.node for graph in seen)
    expected = blind(Blobs()(("random", 100))).graph.node["y"]
    assert torch.equal(seen[0].node["y"], expected)
