"""`neuralpde train`: protocols of splits, the largest component, penalties, time-on-validation."""

import json
import os
from pathlib import Path

import pytest

from neuralpde.cli import main

DATA = os.environ.get("NEURALPDE_DATA")


def train(folder: Path, *arguments: object) -> list[dict]:
    assert main(["train", *map(str, arguments), "--quiet", "--out", str(folder)]) == 0
    return json.loads((folder / "run.json").read_text())["runs"]


@pytest.mark.skipif(not DATA, reason="NEURALPDE_DATA is not set: Cora's development split and largest component are not tested")
def test_development_split_of_the_largest_component(tmp_path):
    common = ("--data", "cora", "--pde", "mlp", "--hidden", 4, "--epochs", 1)
    runs = train(tmp_path / "a", *common, "--split", "development", "--component", "largest", "--seeds", 1)
    assert [r["split"] for r in runs] == ["development"]
    sizes = 2485 - 1500  # tested
    for r in runs:
        assert r["test_accuracy"] * sizes == pytest.approx(round(r["test_accuracy"] * sizes), abs=1e-3)
        assert r["val_accuracy"] * 1360 == pytest.approx(round(r["val_accuracy"] * 1360), abs=1e-3)


def test_penalties_and_time_on_validation(tmp_path):
    common = ("--data", "karate", "--pde", "grand", "--epochs", 4, "--seeds", 1)
    (plain,) = train(tmp_path / "a", *common)
    (run,) = train(tmp_path / "b", *common, "--horizon", 2, "--regularisation", "{kinetic: 0.1}")
    assert "time" not in plain and "own_time_test_accuracy" not in plain
    assert 0 < run["time"] <= 8 and 0 <= run["own_time_test_accuracy"] <= 1
    assert run["evaluations_per_epoch"] > plain["evaluations_per_epoch"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--component", "largst"], "largest"),
        (["--split", "development"], "karate has no published split"),
        (["--regularisation", "{kinetics: 1}"], "kinetic"),
        (["--horizon", "0"], "horizon"),
    ],
    ids=str,
)
def test_mistakes(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "karate", *arguments]) == 2
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())
