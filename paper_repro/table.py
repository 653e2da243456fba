"""Writes README.md: every published cell, and what became of it here.

python paper_repro/table.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import blend
import grand
import graphcon
from claims import Claim, Paper
from configs import searched
from found import FOUND
from graph_sources import GRAPHS
from protocols import PROTOCOLS
from remarks import remark
from running import RESULTS
from verdict import Outcome, outcome

from neuralpde.training import Ledger

PAPERS = (grand.PAPER, graphcon.PAPER, blend.PAPER)
NO_DATA = ("pubmed", "ogbn-arxiv", *GRAPHS)
"""Data sets whose raw files we did not have; the scripts read them where they are."""
README = Path(__file__).parent / "README.md"

INTRODUCTION = """\
# Published results, run again

Made by `python paper_repro/table.py` from the scripts' claims and from `results/`; do not edit. What the papers say, what
their released code does and what we measured, beyond accuracies: [FINDINGS.md](FINDINGS.md).

    python paper_repro/grand.py --table 2 --dataset cora --splits 10 --seeds 2      # or neuralpde repro grand --table 2 ...
    python paper_repro/grand.py --table 2 --dataset cora --search 40                # settings for found.py, by validation
    python paper_repro/table.py

The graphs are read from the folder `NEURALPDE_DATA` (`neuralpde info datasets`). Runs are appended to `results/`, with
settings, versions, commit and seconds; a run that is there is not repeated, and a stopped command goes on where it was.

* Accuracies in percent, in the best epoch by validation. Mean ± standard deviation over splits, seeds averaged within each;
  where there is one split, over seeds; in brackets the 95 % interval of the mean (Student's t). Runs are splits × seeds.
* Met: ours >= published - max(1.0 point, 1.96 standard errors of the difference). The published error is the deviation over
  the root of the number of splits (of draws of the weights on the one public split). Where the published deviation is not
  confirmed, the error is ours alone.
* Not met, by: how much better ours would have to be.
* A mean absolute error is met when ours <= published + 1.96 standard errors of the difference.
* A number marked [mem] or [M] was not confirmed from the paper's text: no verdict.
* Read at T: at the model's own time. Time on validation: the output time is chosen by validation accuracy after every epoch,
  up to 3 T, as the released codes do. These are different results, and stand in different cells.
* Where a text leaves open what the splits were, the published cell is there once for each protocol.
* Only runs with the settings that stand in `configs.py` and `found.py` count. Those of `found.py` ([Settings](#settings)) come
  from one search per model and data set by validation, on seeds and drawn splits from 100 on; the others are first settings,
  not searched for. Searches have 40 trials on Cora and CiteSeer, models and baselines alike, but 20 for GRAND-nl and BLEND;
  GRAND-nl-rw has what GRAND-nl found, and 20 trials of its own in how it rewires, its time and its fit. On WebKB there are
  20, on Coauthor and Amazon 8, where the nonlinear models have the settings that were found for the linear one. Citation
  graphs were searched on development splits, and all protocols have the settings found there.
"""


def text(results: Path = RESULTS) -> str:
    """The page."""
    sections = [section for paper in PAPERS for section in _sections(paper, results)]
    return "\n".join([INTRODUCTION, _count(results), _hours(results), *sections, *_settings()])


def _hours(results: Path) -> str:
    """What it took, as the rows say."""
    spent = {"search-": 0.0, "": 0.0}
    for path in sorted(results.glob("*.jsonl")):
        kind = "search-" if path.name.startswith("search-") else ""
        spent[kind] += sum(row.get("seconds") or 0.0 for row in Ledger(path).rows())
    searches, runs = (f"{spent[kind] / 3600:.1f}" for kind in ("search-", ""))
    return f"Hours of one core, on a machine that did other things besides: {searches} of searches, {runs} of reported runs.\n"


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield "What the searches found; what is not named is as in `base` of `configs.py`.\n"
    yield "| data set | model | settings |\n| --- | --- | --- |"
    for (model, dataset), values in sorted(FOUND.items(), key=lambda item: (item[0][1], item[0][0])):
        shown = (
            f"{name.rpartition('.')[2]} {v:.4g}" if isinstance(v, float) else f"{name.rpartition('.')[2]} {v}"
            for name, v in sorted(values.items())
        )
        yield f"| {dataset} | {model} | {', '.join(shown)} |"
    yield ""


def _count(results: Path) -> str:
    verdicts = [
        found.verdict
        for paper in PAPERS
        for claim in paper.claims
        if claim.mean is not None
        for timed in (False, True)
        if (found := outcome(claim, timed, results)) is not None
    ]
    names = ("met", "not met", "no verdict", "not run")
    return f"Cells so far: {', '.join(f'{verdicts.count(name)} {name}' for name in names)}.\n"


def _sections(paper: Paper, results: Path) -> Iterator[str]:
    yield f"## {paper.title}\n"
    for (table, protocol), claims in groupby(sorted(paper.claims, key=_place(paper)), lambda c: (c.table, c.protocol)):
        yield f"### {paper.tables[table]}\n"
        yield f'Protocol "{protocol}": {PROTOCOLS[protocol].title}.\n'
        yield "\n".join(_lines(claims, results)) + "\n"


def _place(paper: Paper):
    """Tables in their order, protocols in the order of the claims, then data sets, then models."""
    orders = [list(dict.fromkeys(getattr(c, name) for c in paper.claims)) for name in ("table", "protocol", "dataset", "model")]
    names = ("table", "protocol", "dataset", "model")
    return lambda c: tuple(order.index(getattr(c, name)) for order, name in zip(orders, names, strict=True))


def _lines(claims: Iterable[Claim], results: Path) -> Iterator[str]:
    yield "| data set | model | published | ours, read at T | runs | difference | verdict " + (
        "| ours, time on validation | runs | difference | verdict |"
    )
    yield "|" + " --- |" * 11
    for claim in claims:
        cells = [_cells(outcome(claim, timed, results)) for timed in (False, True)]
        yield f"| {' | '.join([claim.dataset, claim.model, _published(claim), *cells[0], *cells[1]])} |"


def _published(claim: Claim) -> str:
    if claim.mean is None:
        return "-"
    spread = "" if claim.std is None else f" ± {claim.std:g}"
    unit = "" if claim.unit == "%" else claim.unit.removeprefix("%")
    parts = [f"{claim.mean:g}{spread}", unit.strip(), claim.mark, claim.std_mark and f"± {claim.std_mark}"]
    return " ".join(part for part in parts if part)


def _cells(found: Outcome | None) -> list[str]:
    if found is None:
        return ["-"] * 4
    if found.ours is None:
        return ["not run" + _why(found.claim), "-", "-", "-"]
    low, high = found.ours.interval
    digits = found.digits
    spread = f" ± {found.ours.std:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]" if found.ours.count > 1 else ""
    notes = [found.verdict]
    if found.verdict == "not met":
        notes = [f"not met, by {found.short:.{digits + 1}f}"]
        notes += [] if searched(found.claim) else ["settings not searched for"]
        notes += [why] if (why := remark(found.claim)) else []
    return [f"{found.ours.mean:.{digits}f}{spread}", f"{found.splits} × {found.seeds}", found.gap, "; ".join(notes)]


def _why(claim: Claim) -> str:
    return " (no data)" if claim.dataset in NO_DATA else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="paper_repro/table.py", description="Write README.md from claims and results.")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=README)
    given = parser.parse_args(arguments)
    given.out.write_text(text(given.results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
