"""The machinery of the benchmark suite, on graphs of a few nodes: what it reports, never how fast anything is."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from source_tree import ROOT

pytest.importorskip("torch_geometric")

from benchmarks import allocator, measure, suite, table, targets
from benchmarks.isolate import isolated, streamed
from benchmarks.plan import PLANS, Plan
from benchmarks.row import Row, single

TINY = PLANS["tiny"]
IN_PROCESS = ("gather", "product", "product-backward", "attention", "graphcon", "monitors")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    chosen = [case for case in suite.CASES if case.name in IN_PROCESS]
    return [row for case in chosen for row in suite.measure(case, allocator.DEFAULT, TINY)]


def test_cases_give_rows_with_targets(rows):
    """The products are compared with each other inside the cases, which raise if they differ."""
    assert all(row.low <= row.value <= row.high and row.value > 0 for row in rows)
    assert {row.graph for row in rows if row.case == "A x forward"} == {"Cora-like", "PubMed-like", "terrain"}
    peers = {row.peer for row in rows if row.case == "A x forward"}
    assert peers == {"PyG MessagePassing", "PyG EdgeIndex", "torch CSR", "scipy CSR"}
    named = {(row.case, row.graph, row.peer, row.measure) for row in rows}
    cases = {row.case for row in rows}
    assert not {key for key in targets.TARGETS if key[0] in cases and key[1] != "arxiv-like"} - named


def test_tables_and_picture(rows, tmp_path):
    named = [*rows, single("growth of cost", "edges", "-", "slope", 1.2)]
    table.write(named, {"plan": "tiny"}, ["heat (tuned): the time was up"], tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert text.count("\n| ") == len(named) + 2 and "heat (tuned): the time was up" in text
    assert "slope 1.2 | 1.05 |  | **missed** |" in text
    with (tmp_path / "results.csv").open(newline="") as file:
        assert [float(line["value"]) for line in csv.DictReader(file)] == [row.value for row in named]
    found = json.loads((tmp_path / "results.json").read_text())
    assert len(found["rows"]) == len(named) and found["rows"][-1]["met"] is False and found["rows"][-1]["ours"] is None
    assert (tmp_path / "results.png").stat().st_size > 1000


def test_targets_by_allocator():
    row = Row("A x forward", "PubMed-like", "PyG MessagePassing", "ratio", 20.0, 19.0, 21.0)
    found = targets.target(row)
    assert found is not None and (found.met(row), found.bound("tuned")) == (False, 11)
    slow = single("growth of cost", "T", "-", "slope", 0.5)
    found = targets.target(slow)
    assert found is not None and found.met(slow) is True
    assert targets.target(single("A x forward", "terrain", "PyG MessagePassing", "ratio", 1.0)) is None


def test_rounds_are_interleaved_and_counted(monkeypatch):
    monkeypatch.setattr(measure.gc, "collect", lambda: None)  # slow where a whole test run lies in memory
    calls = []
    plan = Plan("full", 1e-9, (2, 2), False, 1, 60.0, 60.0)
    work = {name: lambda name=name: calls.append(name) for name in ("ours", "peer")}
    seconds = measure.interleave(work, Plan("full", 1.0, (2, 2), False, 1, 60.0, 60.0))
    assert {name: len(s) for name, s in seconds.items()} == {"ours": 2, "peer": 2}
    blocks = [name for i, name in enumerate(calls) if i == 0 or calls[i - 1] != name]
    assert blocks.count("ours") == blocks.count("peer") >= 2
    calls.clear()
    assert {len(s) for s in measure.interleave(work, plan).values()} == {1}, "no time for a round: the first calls count"
    assert Counter(calls) == {"ours": 2, "peer": 2}


def test_ratios_are_of_rounds_not_of_medians():
    (row,) = measure.ratio_rows("w", "g", {"ours": [1.0, 2.0, 4.0], "peer": [3.0, 4.0, 20.0]})
    assert (row.value, row.low, row.high, row.rounds) == (3.0, 2.5, 4.0, 3)
    assert (row.ours, row.theirs) == (2000.0, 4000.0)
    assert measure.slope([1, 10, 100], [2, 2e2, 2e4]) == pytest.approx(2.0)


def test_processes_of_their_own():
    here = os.getpid()
    assert isolated(os.getpid) != here
    assert list(streamed(lambda: iter("abc"), 30.0)) == ["a", "b", "c"]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(streamed(lambda: [1 // 0], 30.0))
    with pytest.raises(RuntimeError, match="exit status 3"):
        list(streamed(lambda: os._exit(3), 30.0))
    with pytest.raises(TimeoutError):
        list(streamed(lambda: [Counter(iter(int, 1))], 0.2))


def test_allocator_is_tuned_in_a_child():
    assert isolated(allocator.tune) is (sys.platform == "linux")


@pytest.mark.slow
def test_whole_suite_in_tiny(tmp_path):
    """Every target of every case has a row under every allocator it is measured with; nothing fails."""
    command = [sys.executable, "tests/benchmarks/run.py", "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert not found["problems"]
    named = {(row["case"], row["graph"], row["peer"], row["measure"]) for row in found["rows"]}
    assert not {key for key in targets.TARGETS if key[1] != "arxiv-like"} - named
