"""The recipes for many graphs: what they build, quick runs, and what is said without the data."""

import sys

import pytest
import torch
from source_tree import ROOT

from neuralpde.training import Ledger

sys.path.insert(0, str(ROOT / "paper_repro"))
try:
    import graph_recipes
finally:
    sys.path.remove(str(ROOT / "paper_repro"))

DATA = ("mnist-superpixels", "zinc", "ppi")


def test_parameters_are_as_many_as_the_released_code_has():
    counts = {("mnist-superpixels", 3, 10): 135_178, ("zinc", 1, 1): 97_901}
    for (data, channels, outputs), count in counts.items():
        model = graph_recipes.GRAPH_RECIPES["GraphCON-GCN", data].build(channels, outputs)
        assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("data", DATA)
def test_quick_trains(data, tmp_path, capsys):
    assert graph_recipes.main(["--quick", "--dataset", data, "--results", str(tmp_path)]) == 0
    rows = Ledger(tmp_path / f"quick-{data}.jsonl").rows()
    assert {row["recipe"] for row in rows} == {"GraphCON-GCN", "GraphCON-GAT"}
    metric = {"zinc": "MAE", "ppi": "micro F1"}.get(data)
    for row in rows:
        assert row["epochs"] == 2 and row.get("metric") == metric and row["versions"]["torch"]
    assert ("test MAE" if data == "zinc" else "test %") in capsys.readouterr().out


@pytest.mark.parametrize("data", DATA)
def test_made_up_graphs_are_learned(data):
    """A few epochs more: the loss falls, and every parameter has a gradient."""
    from dataclasses import replace

    from neuralpde.training import blind

    recipe = graph_recipes.quick(graph_recipes.GRAPH_RECIPES["GraphCON-GCN", data])
    sets = graph_recipes.MadeUp(data)(("random", 0))
    model = recipe.build(sets.channels, sets.outputs)
    history = blind(sets).fit(model, replace(recipe.config, epochs=15, lr=0.01))
    assert min(history.series("loss")) < 0.9 * history.epochs[0].loss
    out = model(sets.graphs.batch(torch.arange(3)))
    grads = torch.autograd.grad(out.square().sum(), list(model.parameters()))
    assert all(bool(g.isfinite().all()) and bool((g != 0).any()) for g in grads)


def test_missing_data_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEURALPDE_DATA", str(tmp_path))
    assert graph_recipes.main(["--results", str(tmp_path / "results")]) == 3
    said = capsys.readouterr().err
    for data, file in (("mnist-superpixels", "MNISTSuperpixels.pt"), ("zinc", "train.pickle"), ("ppi", "train_graph.json")):
        assert f"{data}: not run." in said and file in said
