"""The benchmark for a GPU works, on a CPU and on graphs of a few nodes."""

import sys

import pytest

pytest.importorskip("torch_geometric")

from benchmarks import gpu


@pytest.mark.slow
def test_it_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--tiny"])
    gpu.main()
    lines = capsys.readouterr().out.splitlines()
    assert sum("of the copy's rate" in line for line in lines) == 8 and sum("times PyG" in line for line in lines) == 6
