"""The report: one file, nothing loaded from elsewhere, everything escaped, well-formed."""

import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from neuralpde.report import Report

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def figure():
    made, ax = plt.subplots(figsize=(4, 3))
    ax.plot([0, 1], [0, 1])
    yield made
    plt.close(made)


NASTY = "<script>alert('x')</script> & \"quotes\" <img src=http://example.org/x.png>"


def test_a_page_holds_everything(figure, tmp_path):
    plt.imsave(tmp_path / "dot.png", np.zeros((2, 2)))
    report = Report("Title", "two cores", "the end")
    first = report.section("Waves").text("one", "two").figure(figure, "a line").image(tmp_path / "dot.png", "a dot")
    first.table(
        [{"method": "rk4", "error": 1.5e-9, "steps": 12000, "ok": True}, {"method": "euler", "error": float("nan")}], "runs"
    )
    report.section("Heat").note("refused")
    report.section("Next").commands("make demo", "neuralpde solve karate > a.txt")
    path = report.write(tmp_path / "new" / "report.html")
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert [a["href"] for a in page.all("a")] == ["#s1", "#s2", "#s3"]
    assert [h["id"] for h in page.all("h2")] == ["s1", "s2", "s3"]
    images = page.all("img")
    assert [i["src"].split(";")[0] for i in images] == ["data:image/svg+xml", "data:image/png"]
    assert [i["alt"] for i in images] == ["a line", "a dot"]
    assert "neuralpde solve karate > a.txt" in "".join(page.words)
    for text in ("1.500e-09", "12,000", "yes", "–", "two cores", "the end", "make demo"):
        assert text in page.words or text in "".join(page.words)
    assert any(m.get("name") == "viewport" for m in page.all("meta"))


def test_nothing_is_loaded_from_elsewhere(figure):
    report = Report("t")
    report.section("s").figure(figure)
    page = Page(report.html())
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert all(i["src"].startswith("data:") for i in page.all("img"))
    assert not re.search(r"@import|url\(", report.html())


def test_everything_is_escaped(figure):
    report = Report(NASTY, NASTY, NASTY)
    part = report.section(NASTY).text(NASTY).note(NASTY).commands(NASTY).figure(figure, NASTY)
    part.table([{NASTY: NASTY, "x": 1}], NASTY, columns={NASTY: NASTY, "x": "y"})
    report.section("b")
    report.section("c")
    page = Page(report.html())
    assert not page.all("script") and len(page.all("img")) == 1
    assert "".join(page.words).count(NASTY) == 13  # title twice, subtitle, link, heading, 3 texts, 2 captions, 2 cells, footer


def test_tables_align_numbers_and_take_formats():
    report = Report("t")
    rows = [
        {"model": "GRAND", "accuracy": np.float32(0.934), "runs": np.int64(5)},
        {"model": "MLP", "accuracy": None, "runs": 5},
    ]
    report.section("s").table(rows, columns=["accuracy", "model", "runs", "absent"], formats={"accuracy": "{:.1%}"})
    page = Page(report.html())
    assert [th.get("class") for th in page.all("th")] == ["number", None, "number", None]
    words = [word for word in page.words if word.strip()]
    assert words[words.index("absent") + 1 :] == ["93.4%", "GRAND", "5", "–", "–", "MLP", "5", "–"]


def test_long_texts_stand_below_their_row():
    report, why = Report("t"), "refused: dt = 0.4 is beyond the limit of 0.25 = 2 / lambda_max, <b>take</b> a smaller one"
    rows = [{"method": "euler", "dt": 0.4, "error": None, "note": why}, {"method": "rk4", "dt": 0.2, "error": 1e-3, "note": ""}]
    report.section("s").table(rows)
    page = Page(report.html())
    assert page.words[-1].strip() == "" and f"note: {why}" in page.words
    assert [row.get("class") for row in page.all("tr")] == [None, "first", "more", "only even"]
    assert [cell.get("colspan") for cell in page.all("td")] == [None, None, None, "3", None, None, None]


def test_large_figures_become_png(figure, monkeypatch):
    monkeypatch.setattr("neuralpde.report._LARGEST_SVG", 100)
    report = Report("t")
    report.section("s").figure(figure)
    assert Page(report.html()).all("img")[0]["src"].startswith("data:image/png;base64,iVBOR")


def test_unknown_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x\.pdf"):
        Report("t").section("s").image(tmp_path / "x.pdf")


def test_an_empty_report_is_a_page():
    page = Page(Report("Nothing yet").html())
    assert "Nothing yet" in page.words and not page.all("nav")
