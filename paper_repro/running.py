"""What every script does: choose cells of the paper's tables, run or tune their models, keep the results."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claims import Claim, Paper
from configs import PUBLISHED, base, config, space, tuned_under
from graph_recipes import quick
from graph_sources import GRAPHS, MadeUp
from protocols import PROTOCOLS, TUNING_SEEDS, Protocol
from recipes import changed, over_time
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from neuralpde import DataMissing
from neuralpde.training import Ledger, Named, search, sweep

RESULTS = Path(__file__).parent / "results"
DONE, WRONG_USE, DATA_MISSING = 0, 2, 3
TIMED = ", time on validation"
"""What the name of a model ends in where validation chose its output time."""


@dataclass(frozen=True)
class Job:
    """The models that one data set has under one protocol.

    Args:
        dataset, protocol: of the results file.
        recipes: by the names in it.
    """

    dataset: str
    protocol: Protocol
    recipes: dict[str, Any]

    def path(self, results: Path, what: str = "") -> Path:
        return results / f"{what}{self.dataset}-{self.protocol.name}.jsonl"


def reproduce(paper: Paper, arguments: Sequence[str] | None = None) -> int:
    """A script's `main`.

    Returns:
        0 done, 2 nothing was asked for that is there, 3 data missing (the rest was done).
    """
    given = _parser(paper).parse_args(arguments)
    if not 0 <= given.search <= 40:
        print(f"--search {given.search}; a search has 1 to 40 trials", file=sys.stderr)
        return WRONG_USE
    chosen = _chosen(paper, given)
    if not chosen:
        print(f"{paper.name}: no published cell is all of that; --list shows them", file=sys.stderr)
        return WRONG_USE
    if given.list:
        for c in chosen:
            print(f"table {c.table:12s} {c.dataset:18s} {c.protocol:12s} {c.model:14s} {_number(c)}")
        return DONE
    if given.quick:
        return _quick(paper, chosen, given)
    return max([_done(job, given) for job in _jobs(chosen, given)], default=WRONG_USE)


def _parser(paper: Paper) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"paper_repro/{paper.name}.py", description=paper.title)

    def among(name: str, values: Sequence[str], text: str) -> None:
        parser.add_argument(name, choices=sorted(set(values)), help=f"{text} (default: all)", metavar=name[2:].upper())

    among("--table", [c.table for c in paper.claims], f"of {', '.join(paper.tables)}")
    among("--dataset", [c.dataset for c in paper.claims], f"of {', '.join(dict.fromkeys(c.dataset for c in paper.claims))}")
    among("--model", [c.model for c in paper.claims], f"of {', '.join(dict.fromkeys(c.model for c in paper.claims))}")
    among("--protocol", [c.protocol for c in paper.claims if c.protocol], f"of {', '.join(PROTOCOLS)}")
    parser.add_argument("--splits", type=int, default=10, help="how many, where there are several (default: 10)")
    parser.add_argument("--seeds", type=int, default=1, help="draws of the weights on each split (default: 1)")
    parser.add_argument(
        "--time-on-validation",
        action="store_true",
        help="choose the output time by validation after every epoch, up to 3 T; kept apart from results without",
    )
    parser.add_argument("--search", type=int, default=0, metavar="N", help="tune with N trials, at most 40, and report nothing")
    parser.add_argument("--quick", action="store_true", help="every model for two epochs on 34 nodes; nothing is kept")
    parser.add_argument("--list", action="store_true", help="show the published cells, and run nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder (default: results, beside this script)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _chosen(paper: Paper, given: argparse.Namespace) -> list[Claim]:
    names = ("table", "dataset", "model", "protocol")
    wanted = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    return [claim for claim in paper.claims if all(getattr(claim, name) == value for name, value in wanted.items())]


def _number(claim: Claim) -> str:
    if claim.mean is None:
        return "not published"
    spread = "" if claim.std is None else f" ± {claim.std:g}"
    return f"{claim.mean:g}{spread} {claim.unit} {claim.mark}".rstrip()


def _jobs(chosen: Sequence[Claim], given: argparse.Namespace) -> list[Job]:
    jobs: dict[tuple[str, str], Job] = {}
    for claim in chosen:
        if given.search and claim.protocol != tuned_under(claim.dataset):
            continue
        recipe = config(claim.model, claim.dataset)
        timed = given.time_on_validation and not given.search
        if timed and not claim.chooses_time:
            print(f"{claim.dataset}, {claim.model}: not run, it has no time to choose.", file=sys.stderr)
            continue
        job = Job(claim.dataset, PROTOCOLS[claim.protocol], {})
        job = jobs.setdefault((claim.dataset, claim.protocol), job)
        job.recipes[claim.model + TIMED * timed] = over_time(recipe) if timed else recipe
    return list(jobs.values())


def _done(job: Job, given: argparse.Namespace) -> int:
    run = _tuned if given.search else _swept
    try:
        run(job, given)
    except DataMissing as error:
        print(f"{job.dataset}: not run. {error}", file=sys.stderr)
        return DATA_MISSING
    return DONE


def _swept(job: Job, given: argparse.Namespace) -> None:
    source, splits = job.protocol.source(job.dataset), job.protocol.reported(given.splits)
    path = job.path(given.results)
    with _Bar(f"{job.dataset}, {job.protocol.name}", len(splits) * given.seeds * len(job.recipes), given.quiet) as tick:
        table = sweep(job.recipes, source, splits, range(given.seeds), path, on_run=tick)
    if not given.quiet:
        print(f"\n{job.dataset}: {job.protocol.title}\n{table}")


def _tuned(job: Job, given: argparse.Namespace) -> None:
    """One search for each model: random search, its trials halved after every rung."""
    protocol, path = job.protocol, job.path(given.results, "search-")
    for name in job.recipes:
        recipe = base(name, job.dataset)
        with _Bar(f"{job.dataset}, {protocol.name}, {name}", None, given.quiet) as tick:
            found = search(
                space(name, job.dataset),
                lambda values, recipe=recipe: changed(recipe, values),
                protocol.source(job.dataset),
                protocol.tuning(),
                TUNING_SEEDS,
                reported_splits=protocol.reported(100),
                reported_seeds=range(100),
                path=path,
                trials=given.search,
                halving=3,
                first=[PUBLISHED[key]] if (key := (name, job.dataset)) in PUBLISHED else [],
                on_run=tick,
            )
        print(f"# {100 * found.best.score:.2f} % of the validation nodes")
        print(f"({name!r}, {job.dataset!r}): {dict(found.best.values)!r},")


def _quick(paper: Paper, chosen: Sequence[Claim], given: argparse.Namespace) -> int:
    """All chosen models on Zachary's karate club, or on thirty graphs made up; the results are not those of any cell."""
    jobs = {name: _small([c for c in chosen if c.dataset == name], given) for name in GRAPHS}
    jobs = {"karate": _small([c for c in chosen if c.dataset not in GRAPHS], given), **jobs}
    splits = [("random", i) for i in range(min(given.splits, 2))]
    with tempfile.TemporaryDirectory() as folder:
        path = (given.results if given.results != RESULTS else Path(folder)) / f"quick-{paper.name}.jsonl"
        for name, recipes in jobs.items():
            if not recipes:
                continue
            source = MadeUp(name) if name in GRAPHS else Named(name)
            with _Bar(name, len(recipes) * len(splits) * given.seeds, given.quiet) as tick:
                table = sweep(recipes, source, splits, range(given.seeds), path, on_run=tick)
            if not given.quiet:
                print(table)
        if not given.quiet:
            print(f"{len(Ledger(path).rows())} runs")
    return DONE


def _small(chosen: Sequence[Claim], given: argparse.Namespace) -> dict[str, Any]:
    """The models of these cells, for two epochs."""
    recipes = {}
    for claim in chosen:
        if claim.dataset in GRAPHS:
            recipes[claim.model] = quick(config(claim.model, claim.dataset))
        elif claim.model not in recipes:
            recipe = changed(config(claim.model, "karate"), {"config.epochs": 2, "hidden": 8})
            recipes[claim.model] = changed(recipe, {"t": 2.0}) if hasattr(recipe, "t") else recipe
            if given.time_on_validation and claim.chooses_time:
                recipes[claim.model + TIMED] = over_time(recipes[claim.model])
    return recipes


class _Bar:
    """A bar on a terminal, a line for each run elsewhere, nothing when quiet; to be called after each new run."""

    def __init__(self, label: str, total: int | None, quiet: bool):
        self.label, self.total, self.quiet, self.count = label, total, quiet, 0
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        shown = sys.stderr.isatty() and not quiet
        self.progress = Progress(*columns, TimeRemainingColumn(), transient=True) if shown else None

    def __enter__(self) -> Callable[[Any], None]:
        if self.progress is not None:
            self.progress.start()
            self.task = self.progress.add_task(self.label, total=self.total)
        return self.tick

    def __exit__(self, *_: object) -> None:
        if self.progress is not None:
            self.progress.stop()

    def tick(self, run: Any) -> None:
        self.count += 1
        if self.progress is not None:
            self.progress.advance(self.task)
        elif not self.quiet:
            of = "" if self.total is None else f" of {self.total}"
            print(f"{self.label}: run {self.count}{of}", file=sys.stderr, flush=True)
