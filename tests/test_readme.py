"""Every Python block of the README runs, each in a process of its own, in an empty folder."""

import re
from pathlib import Path

import pytest
from scripts import run_script

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M)


def test_there_are_blocks():
    assert len(BLOCKS) >= 3  # solve, learn, compare


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{i}" for i in range(len(BLOCKS))])
def test_block_runs(block, tmp_path):
    (tmp_path / "block.py").write_text(block, encoding="utf-8")
    run_script(tmp_path / "block.py", tmp_path)
