"""Sweeps: each run once, resumed after a stop, the test set behind a wall; tables of what came out."""

import json
import math
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
import torch

from neuralpde import FitConfig, Graph, NodeClassifier, Transform, evaluate, fit
from neuralpde.datasets import class_split
from neuralpde.models import MLP
from neuralpde.pdes import GRAND
from neuralpde.training import Preset, Run, Table, blind, fit_blind, preset, seeded, sweep
from neuralpde.training.blind import Blind
from neuralpde.training.recipe import Named, settings, split_label
from neuralpde.transforms import GDC, PPR, LargestComponent

LOADED: Counter = Counter()


@dataclass(frozen=True)
class Communities:
    """Two noisy clusters of 80 nodes, and a node that hangs on nothing."""

    label: str = "communities"
    scramble: bool = False  # other test labels

    def __call__(self, split) -> Graph:
        LOADED[split] += 1
        generator = torch.Generator().manual_seed(0)
        y = torch.arange(80) % 2
        edge = torch.rand(80, 80, generator=generator) < torch.where(y[:, None] == y[None, :], 0.15, 0.02)
        x = torch.randn(80, 4, generator=generator)
        x[:, 0] += 1.5 * y
        edge[-1], edge[:, -1] = False, False
        train, val, test = class_split(y, 5, 10, seed=split[1])
        y = torch.where(test, 1 - y, y) if self.scramble else y
        node = {"x": x, "y": y, "train_mask": train, "val_mask": val, "test_mask": test}
        return Graph.from_edges(edge.triu(1).nonzero().t(), num_nodes=80, undirected=True, node=node)


@dataclass(frozen=True)
class Small:
    """A recipe of one's own."""

    hidden: int = 8
    config: FitConfig = field(default_factory=lambda: FitConfig(epochs=6, lr=0.05))
    transform: Transform | None = None

    def build(self, in_channels, num_classes, seed=0):
        with seeded(seed):
            return NodeClassifier(in_channels, num_classes, GRAND(self.hidden), 1.0, "rk4", dt=0.5, dropout=0.2)


@dataclass(frozen=True)
class Plain(Small):
    def build(self, in_channels, num_classes, seed=0):
        with seeded(seed):
            return MLP(in_channels, num_classes, self.hidden)


RECIPES = {"grand": Small(), "mlp": Plain()}
SPLITS = [("random", 0), ("random", 1)]


def accuracies(table: Table) -> dict:
    return {(r.recipe, r.split, r.seed): (r.val_accuracy, r.test_accuracy, r.best_epoch) for r in table.runs}


def test_a_run_is_what_one_would_do_by_hand():
    table = sweep({"grand": Small()}, Communities(), [("random", 1)], [3])
    graph, model = Communities()(("random", 1)), Small().build(4, 2, seed=3)
    history = fit(model, graph, config=FitConfig(epochs=6, lr=0.05, seed=3))
    (run,) = table.runs
    assert run.val_accuracy == history.best.val_accuracy and run.best_epoch == history.best.epoch
    assert run.test_accuracy == evaluate(model, graph, graph.node["test_mask"])
    assert run.evaluations == 6 * 8 and run.epochs == 6 and run.parameters == sum(p.numel() for p in model.parameters())
    assert (run.split, run.data, run.seed) == ("random 1", "communities", 3)
    assert run.versions["torch"] == torch.__version__ and run.seconds > 0 and run.when.endswith("Z")


def test_goes_on_where_it_was_stopped_and_repeats_nothing(tmp_path):
    path = tmp_path / "runs.jsonl"
    whole = sweep(RECIPES, Communities(), SPLITS, [0, 1])
    seen: list[Run] = []

    class Stopped(Exception):
        pass

    def stop(run):
        seen.append(run)
        if len(seen) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        sweep(RECIPES, Communities(), SPLITS, [0, 1], path, on_run=stop)
    with path.open("a") as file:
        file.write('{"recipe": "grand", "spl')  # killed while it wrote
    table = sweep(RECIPES, Communities(), SPLITS, [0, 1], path, on_run=seen.append)
    assert len(seen) == 8 and len({(r.recipe, r.split, r.seed) for r in seen}) == 8
    assert accuracies(table) == accuracies(whole)
    LOADED.clear()
    again = sweep(RECIPES, Communities(), SPLITS, [0, 1], path, on_run=seen.append)
    assert len(seen) == 8 and not LOADED and accuracies(again) == accuracies(whole)
    # one seed more, other settings: what is new is run, what was there is kept as it is
    before = path.read_text()
    sweep({"grand": Small()}, Communities(), SPLITS, [2], path)
    other = sweep({"grand": Small(hidden=4)}, Communities(), SPLITS[:1], [0], path)
    assert path.read_text().startswith(before) and [r.settings["hidden"] for r in other.runs] == [4]
    with pytest.warns(UserWarning, match="is no row"), pytest.raises(ValueError, match="'grand' with several settings"):
        Table.read(path)


def test_loads_each_split_once_and_transforms_it_once(tmp_path):
    calls = []

    @dataclass(frozen=True)
    class Counted(Transform):
        keeps = frozenset({"nodes"})

        def apply(self, graph):
            calls.append(graph)
            return graph

    LOADED.clear()
    recipes = {"a": Small(transform=Counted()), "b": Plain(transform=Counted()), "c": Plain()}
    sweep(recipes, Communities(), SPLITS, [0, 1])
    assert LOADED == {("random", 0): 1, ("random", 1): 1} and len(calls) == 2
    for graph in calls:
        assert "test_mask" not in graph.node
        assert bool((graph.node["y"][~(graph.node["train_mask"] | graph.node["val_mask"])] == -1).all())


def test_fits_and_chooses_without_the_test_labels():
    honest, other = (sweep(RECIPES, Communities(scramble=s), SPLITS, [0]) for s in (False, True))
    for a, b in zip(honest.runs, other.runs, strict=True):
        assert (a.val_accuracy, a.best_epoch) == (b.val_accuracy, b.best_epoch)
        assert a.test_accuracy == pytest.approx(1 - b.test_accuracy)  # two classes, the other one each


def test_a_blind_graph_has_no_test_set():
    graph = Communities()(("random", 0))
    found = blind(graph)
    seen = graph.node["train_mask"] | graph.node["val_mask"]
    assert "test_mask" not in found.graph.node and found.classes == 2
    assert torch.equal(found.graph.node["y"], torch.where(seen, graph.node["y"], -1))
    with pytest.raises(ValueError, match="still has its test set"):
        Blind(graph, 2)
    fitted = fit_blind(Small(), found, 0)
    assert "test_accuracy" not in fitted.row()
    with pytest.raises(ValueError, match="no x"):
        blind(Graph.ring(3))


def test_transforms_that_rewire_and_that_cut():
    recipes = {
        "gdc": Small(transform=GDC(PPR(0.2), top_k=8)),
        "cut": Small(transform=LargestComponent()),
        "plain": Small(),
    }
    table = sweep(recipes, Communities(), [("random", 0)], [0])
    graph = Communities()(("random", 0))
    cut = LargestComponent()(graph)
    assert cut.num_nodes == 79
    model = Small().build(4, 2, 0)
    fit(model, cut, config=Small().config)
    assert table.runs[1].test_accuracy == evaluate(model, cut, cut.node["test_mask"])
    assert {r.recipe: r.settings["transform"] and r.settings["transform"]["class"] for r in table.runs} == {
        "gdc": "GDC",
        "cut": "LargestComponent",
        "plain": None,
    }


def test_time_on_validation_gives_both():
    config = FitConfig(epochs=6, lr=0.05, horizon=3)
    table = sweep({"plain": Small(), "over time": Small(config=config)}, Communities(), SPLITS, [0])
    for run in table.runs:
        timed = run.recipe == "over time"
        assert (run.time is not None) == timed and (run.own_time_test_accuracy is not None) == timed
    assert table.summary("over time", "val_accuracy").mean >= table.summary("plain", "val_accuracy").mean
    assert table.summary("over time", "own_time_test_accuracy").count == 2


def test_table():
    base = {"settings": None, "data": "d", "seed": 0, "best_epoch": 1, "epochs": 2, "evaluations": 10, "parameters": 5}
    runs = [
        Run(recipe=name, split=f"random {i}", val_score=0.5, test_score=0.6 + 0.1 * i + gain, seconds=1.0, **base)
        for name, gain in (("a", 0.0), ("b", 0.02))
        for i in range(3)
    ]
    table = Table([*runs, replace(runs[0], seed=1, test_score=0.62)])
    assert table.recipes == ["a", "b"] and table.scores("a") == {"random 0": [0.6, 0.62], "random 1": [0.7], "random 2": [0.8]}
    assert table.summary("a").mean == pytest.approx((0.61 + 0.7 + 0.8) / 3) and table.summary("a").runs == 4
    gain = table.difference("b", "a")
    assert gain.value == pytest.approx((0.01 + 0.02 + 0.02) / 3) and gain.pairs == 3
    text = str(table).splitlines()
    assert text[1].split()[:3] == ["a", "3", "4"] and "72.00 +- 10.00" in text[2]
    with pytest.raises(ValueError, match="no test_accuracy of 'c'; it has a, b"):
        table.summary("c")
    assert math.isnan(Table(runs[:1]).summary("a").std) and str(Table(runs[:1])).splitlines()[1].split()[3:5] == ["60.00", "-"]


def test_rows_are_plain_json_and_presets_are_recipes(tmp_path):
    path = tmp_path / "karate.jsonl"
    quick = replace(preset("karate", "diffusion"), config=FitConfig(epochs=3))
    assert isinstance(quick, Preset)
    table = sweep({"diffusion": quick}, "karate", [("random", 0), ("random", 1)], [0], path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["split"] for r in rows] == ["random 0", "random 1"] and rows[0]["settings"]["config"]["epochs"] == 3
    assert accuracies(Table.read(path)) == accuracies(table)


def test_settings_and_labels():
    assert settings(Small(transform=GDC(top_k=4)))["transform"]["kernel"] == {"class": "PPR", "alpha": 0.15}
    assert settings({"f": torch.relu}) and settings([1, None, "a"]) == [1, None, "a"]
    for odd in (lambda: 0, torch.zeros(2)):
        with pytest.raises(TypeError, match="cannot be written among the settings"):
            settings({"x": odd})
    labels = [split_label(s) for s in (None, "public", "random", 3, ("geom-gcn", 3), ("development", 7))]
    assert labels == ["default", "public", "random 0", "geom-gcn 3", "geom-gcn 3", "development 7"]
    assert Named("cora", "largest").label == "cora, largest component"


@pytest.mark.parametrize(("recipes", "got"), [([], "a list"), ({}, "an empty mapping")])
def test_recipes_have_names(recipes, got):
    with pytest.raises(TypeError, match=f"recipes is {got}; expected them by name"):
        sweep(recipes, "karate", [("random", 0)], [0])
