"""Every example runs in a folder of its own, is at most 60 lines long, and draws what it says it draws."""

import re
from pathlib import Path

import pytest
from scripts import run_script

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda p: p.stem)
def test_example_is_short_and_says_its_question(script):
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert "?" in text.split('"""')[1], "the docstring of an example is a question"


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(script, tmp_path):
    run_script(script, tmp_path)
    promised = re.findall(r"\w+\.(?:png|gif)", script.read_text(encoding="utf-8"))
    assert promised, "an example draws a picture"
    for name in promised:
        assert (tmp_path / name).stat().st_size > 2000, name
