"""Runs side by side: what a sweep gives."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .ledger import Ledger, digest, first_of
from .metrics import Difference, Summary, paired_difference, summarise
from .objective import OBJECTIVES


@dataclass(frozen=True)
class Run:
    """One fit of one recipe on one split with one seed.

    Args:
        recipe: its name in the sweep.
        settings: the recipe as plain data.
        data: the labelled graph.
        split: in words.
        seed: of the weights and of the fit.
        val_score, test_score: in the best epoch by validation; with `FitConfig.horizon` at the time that it chose. For classes
            they are accuracies, which are columns `val_accuracy` and `test_accuracy` too.
        own_time_test_accuracy: with a horizon, the test accuracy of the same weights at the model's own time.
        time: the output time, with a horizon.
        best_epoch, epochs: the best, and how many there were.
        evaluations: of the vector field in all forward passes of training.
        parameters: how many numbers were learned.
        seconds: of building and fitting.
        metric: what the scores are: accuracy, micro F1, MAE, MSE.
        versions, commit, when: of what ran, and the end of the run (UTC).
    """

    recipe: str
    settings: Any
    data: str
    split: str
    seed: int
    val_score: float
    test_score: float
    best_epoch: int
    epochs: int
    evaluations: int
    parameters: int
    seconds: float
    own_time_test_accuracy: float | None = None
    time: float | None = None
    metric: str = "accuracy"
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    commit: str | None = None
    when: str = ""

    @property
    def val_accuracy(self) -> float:
        """`val_score` under the name that it has for classes."""
        return self.val_score

    @property
    def test_accuracy(self) -> float:
        """`test_score` under the name that it has for classes."""
        return self.test_score

    @staticmethod
    def of(row: Mapping[str, Any]) -> Run:
        """From a row of a file."""
        names = {f.name for f in dataclasses.fields(Run)}
        named = {_COLUMNS.get(key, key): value for key, value in row.items()}
        return Run(**{key: value for key, value in named.items() if key in names})


_ERRORS = [o.metric for o in OBJECTIVES.values() if not o.larger]  # numbers in their own unit, no shares
_COLUMNS = {"val_accuracy": "val_score", "test_accuracy": "test_score"}  # in files, accuracies have their own names


@dataclass(frozen=True)
class Table:
    """Runs of several recipes, on the same splits or not.

    `print(table)` gives a line for each recipe: mean and standard deviation over splits, the 95 % interval of the mean, mean
    evaluations and seconds of a run.

    Args:
        runs: in any order.
    """

    runs: Sequence[Run]

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Table:
        """All runs in a file that `sweep` wrote.

        Raises:
            ValueError: a recipe's name stands for several settings there; ask `sweep` for the one that is meant.
        """
        runs = [Run.of(row) for row in first_of(Ledger(path).rows()) if "test_accuracy" in row or "test_score" in row]
        known: dict[str, str] = {}
        for run in runs:
            mark = digest(run.settings, run.data)
            if known.setdefault(run.recipe, mark) != mark:
                raise ValueError(
                    f"{path} has runs of {run.recipe!r} with several settings or graphs; read it through sweep(...)"
                )
        return Table(runs)

    @property
    def recipes(self) -> list[str]:
        """Their names, in the order in which they occur."""
        return list(dict.fromkeys(run.recipe for run in self.runs))

    def scores(self, recipe: str, column: str = "test_accuracy") -> dict[str, list[float]]:
        """For each split, one column of a recipe's runs over its seeds.

        Raises:
            ValueError: there are no such runs.
        """
        found: dict[str, list[float]] = {}
        for run in self.runs:
            if run.recipe == recipe and (value := getattr(run, column)) is not None:
                found.setdefault(run.split, []).append(float(value))
        if not found:
            raise ValueError(f"the table has no {column} of {recipe!r}; it has {', '.join(self.recipes) or 'no runs'}")
        return found

    def summary(self, recipe: str, column: str = "test_accuracy") -> Summary:
        """Mean, standard deviation and interval over the splits, with the seeds averaged within each."""
        return summarise(self.scores(recipe, column))

    def difference(self, first: str, second: str, column: str = "test_accuracy") -> Difference:
        """First minus second, paired on the splits that both were run on."""
        return paired_difference(self.scores(first, column), self.scores(second, column))

    def __str__(self) -> str:
        errors = bool(self.runs) and self.runs[0].metric in _ERRORS
        unit, each, digits = (self.runs[0].metric, 1.0, 4) if errors else ("%", 100.0, 2)
        lines = [("", "splits", "runs", f"test {unit}", "95 % interval", f"validation {unit}", "evaluations", "seconds")]
        for name in self.recipes:
            test, val = self.summary(name), self.summary(name, "val_accuracy")
            low, high = (each * x for x in test.interval)
            spread = "" if test.count == 1 else f" +- {each * test.std:.{digits}f}"
            mine = [run for run in self.runs if run.recipe == name]
            mean = [sum(getattr(run, c) for run in mine) / len(mine) for c in ("evaluations", "seconds")]
            lines.append(
                (
                    name,
                    str(len({run.split for run in mine})),
                    str(test.runs),
                    f"{each * test.mean:.{digits}f}{spread}",
                    f"{low:.{digits}f} .. {high:.{digits}f}" if spread else "-",
                    f"{each * val.mean:.{digits}f}",
                    f"{mean[0]:.0f}",
                    f"{mean[1]:.1f}",
                )
            )
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        return "\n".join(
            "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True)))
            for line in lines
        )
