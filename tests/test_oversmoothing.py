"""The study of depth: its quick run, and what its tables say."""

import json
import sys

import pytest
from source_tree import ROOT

pytest.importorskip("torch_geometric")

sys.path.insert(0, str(ROOT / "paper_repro"))
try:
    import oversmoothing
    import oversmoothing_models
    import oversmoothing_tables
finally:
    sys.path.remove(str(ROOT / "paper_repro"))


def test_quick(tmp_path):
    assert oversmoothing.main(["--quick", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    models = [*oversmoothing_models.NETWORKS, *oversmoothing_models.EQUATIONS]
    assert [row["model"] for row in found["untrained"]] == models
    for row in found["untrained"]:
        assert row["depths"] == [2, 4, 8]
        assert all(len(values) == 3 for values in row["values"].values())
    shape = {row["model"]: row["shape"] for row in found["untrained"]}
    assert {shape[name] for name in ("GCN", "GAT", "SAGE", "heat", "GRAND-l")} == {"decaying"}
    assert shape["GCNII"] == "stationary"
    for row in found["linear"]:
        off = row["rate"] - row["theory"]["rate"]
        assert abs(off) <= row["tolerance"] * (abs(row["theory"]["rate"]) or 1), row["model"]
    text = (tmp_path / "results.md").read_text()
    assert "**missed**" not in text
    assert text.count("| GCN |") == 2
    assert (tmp_path / "results.png").stat().st_size > 1000


def row(**more):
    theory = {"rate": -0.5, "kind": "bound", "text": ""}
    return {"rate": -1.0, "theory": theory, "verdict": "oversmoothing"} | more


def test_cells_of_the_tables():
    assert oversmoothing_tables._most([row(), row(), row(verdict="steady")], "verdict") == "oversmoothing (2 of 3)"
    assert oversmoothing_tables._rates([row(), row(rate=-2.0), row(rate=None)]) == "-1.5 [-2, -1]"
    assert oversmoothing_tables._against([row(), row(rate=-0.1)]) == "within the bound in 1 of 2"
    assert oversmoothing_tables._theory([row()]) == "at most -0.5"
    assert oversmoothing_tables._against([row(theory={"rate": -0.8, "kind": "exact", "text": ""})]) == "+25 %"
