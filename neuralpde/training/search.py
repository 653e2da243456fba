"""Hyperparameters by validation, on splits and seeds that no table reports; the test set is not there to be looked at."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from solvers import IntegrationError

from ..datasets.loading import Split
from .blind import BlindLoader, blind_loader, fit_blind, scored
from .ledger import Ledger, Row, digest
from .recipe import DRAWN, Named, Recipe, Source, settings, split_label
from .search_space import Distribution, drawn
from .versions import stamp


@dataclass(frozen=True)
class Trial:
    """One set of hyperparameters.

    Args:
        number: from 0.
        values: the hyperparameters.
        val_scores: of its runs so far; None for one that failed.
        larger: whether a larger score is a better one.
    """

    number: int
    values: Mapping[str, Any]
    val_scores: Sequence[float | None]
    larger: bool = True

    @property
    def val_accuracies(self) -> Sequence[float | None]:
        """`val_scores` under the name that they have for classes."""
        return self.val_scores

    @property
    def score(self) -> float:
        """The mean validation score, of an error minus it, so that more is better; minus infinity if a run failed."""
        scores = [a for a in self.val_scores if a is not None]
        if not scores or len(scores) < len(self.val_scores):
            return -math.inf
        mean = sum(scores) / len(scores)
        return mean if self.larger else -mean


@dataclass(frozen=True)
class Search:
    """What a search found.

    Args:
        trials: in the order of their numbers.
        recipe: of the best trial.
    """

    trials: Sequence[Trial]
    recipe: Recipe

    @property
    def best(self) -> Trial:
        """The best mean validation score among the trials with most runs; among equals the first."""
        return _ranked(self.trials)[0]


def search(
    space: Mapping[str, Distribution],
    make: Callable[[Mapping[str, Any]], Recipe],
    data: str | Source,
    splits: Iterable[Split],
    seeds: Iterable[int],
    *,
    reported_splits: Iterable[Split],
    reported_seeds: Iterable[int],
    path: str | os.PathLike[str] | None = None,
    trials: int = 40,
    seed: int = 0,
    halving: int | None = None,
    first: Sequence[Mapping[str, Any]] = (),
    on_run: Callable[[Row], None] | None = None,
) -> Search:
    """Draw so many sets of hyperparameters, and find the one whose models validate best.

    Random search: every trial has a run on every tuning split with every tuning seed. With `halving=h` (successive
    halving): all trials have one run, the best 1/h of them h runs, the best 1/h of these h^2, and so on until all.

    The search is handed graphs from which the test set was taken. It refuses tuning seeds that are reported, and tuning
    splits that are, except for published splits, of which there are no others (those seeds must differ all the same). Runs
    are lines of a file, as in `sweep`: a search that was stopped goes on, and several processes share it. A run whose solve
    fails is recorded, and its trial comes last.

    Args:
        space: for each name what its values are drawn from.
        make: the recipe for drawn values.
        data: name of a labelled graph, or a `Source`.
        splits, seeds: to tune on.
        reported_splits, reported_seeds: those of the table that the best recipe is meant for.
        path: the file, of JSON lines; None keeps the runs in memory only.
        trials: how many are drawn, at most.
        seed: of the drawing.
        halving: h, at least 2; None for random search.
        first: values of the first trials, which are given and not drawn (published settings, say); they count as trials.
        on_run: called with each row that was computed here.

    Raises:
        ValueError: tuning would see what is reported, or a setting makes no sense.

    Reference: J. Bergstra, Y. Bengio, Random search for hyper-parameter optimization (2012); K. Jamieson, A. Talwalkar,
        Non-stochastic best arm identification and hyperparameter optimization (2016).
    """
    pairs = _tuning_pairs(splits, seeds, list(reported_splits), set(reported_seeds))
    if trials < 1 or (halving is not None and halving < 2):
        raise ValueError(f"trials = {trials}, halving = {halving}; expected at least 1 trial, and halving by at least 2")
    source = Named(data) if isinstance(data, str) else data
    ledger, ready = Ledger(path), blind_loader(source)
    draws = [first[i] if i < len(first) else drawn(space, seed, i) for i in range(trials)]
    recipes = [make(values) for values in draws]
    found = [Trial(i, draws[i], (), recipes[i].config.goal.larger) for i in range(trials)]
    if len({recipe.config.objective for recipe in recipes}) > 1:
        raise ValueError("the recipes have several objectives, whose scores do not compare; expected one")
    for keep, runs in _rungs(trials, len(pairs), halving):
        todo: dict[str, Callable[[], Row]] = {}
        owner: list[int] = []
        for trial in _ranked(found)[:keep]:
            for split, run_seed in pairs[:runs]:
                label = _label(source, recipes[trial.number], split, run_seed)
                job = partial(
                    _validate, {"trial": trial.number, "values": settings(trial.values), **label}, recipes[trial.number]
                )
                todo[digest("trial", trial.number, label)] = partial(job, ready, split, run_seed)
                owner.append(trial.number)
        rows = ledger.complete(todo, on_run)
        for number in dict.fromkeys(owner):
            mine = [row for row, of in zip(rows, owner, strict=True) if of == number]
            scores = tuple(row["val_accuracy"] if "val_accuracy" in row else row["val_score"] for row in mine)
            found[number] = replace(found[number], val_scores=scores)
    return Search(found, recipes[_ranked(found)[0].number])


def _ranked(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda t: (-len(t.val_scores), -t.score, t.number))


def _rungs(trials: int, pairs: int, halving: int | None) -> list[tuple[int, int]]:
    """Pairs (trials that are left, runs that each has had at the end of it)."""
    if halving is None:
        return [(trials, pairs)]
    rungs = [(trials, 1)]
    while rungs[-1][1] < pairs:
        keep, runs = rungs[-1]
        rungs.append((max(1, math.ceil(keep / halving)), min(pairs, runs * halving)))
    return rungs


def _label(source: Source, recipe: Recipe, split: Split, seed: int) -> Row:
    return {"settings": settings(recipe), "data": source.label, "split": split_label(split), "seed": seed}


def _validate(label: Row, recipe: Recipe, ready: BlindLoader, split: Split, seed: int) -> Row:
    try:
        row = fit_blind(recipe, ready(split, recipe.transform), seed).row()
    except IntegrationError as error:
        row = {**scored("val", None, recipe.config.objective), "error": str(error).splitlines()[0]}
    return {**label, **row, **stamp()}


def _tuning_pairs(
    splits: Iterable[Split], seeds: Iterable[int], reported_splits: Sequence[Split], reported_seeds: set[int]
) -> list[tuple[Split, int]]:
    """The runs of a trial, seed by seed.

    Raises:
        ValueError: there are none, or a table reports them.
    """
    splits, seeds = list(splits), list(seeds)
    if not splits or not seeds:
        raise ValueError(f"{len(splits)} splits and {len(seeds)} seeds to tune on; expected at least one of each")
    if both := sorted(reported_seeds & set(seeds)):
        raise ValueError(f"seeds {both} are both for tuning and reported; take others, for example from 100 on")
    shown = {split_label(split) for split in reported_splits}
    tuned = [split_label(split) for split in splits]
    if both := [name for name in tuned if name in shown and name.split()[0] in DRAWN]:
        raise ValueError(f"splits {both} are both for tuning and reported; draw others, for example from 100 on")
    return [(split, seed) for seed in seeds for split in splits]
