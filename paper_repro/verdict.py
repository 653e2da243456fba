"""What became of a published cell: the runs of the configuration that stands in `configs.py`, and how they compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from claims import Claim
from configs import config
from recipes import over_time
from running import TIMED

from neuralpde.training import Ledger, Summary, difference, published, reaches, settings, shortfall, summarise


@dataclass(frozen=True)
class Outcome:
    """A cell as we find it; accuracies and F1 scores in percent.

    Args:
        ours: None for not run.
        splits, seeds: how many runs; seeds are the most that a split has.
        verdict: "met", "not met", "no verdict", "not run".
    """

    claim: Claim
    ours: Summary | None
    splits: int
    seeds: int
    verdict: str

    @property
    def gap(self) -> str:
        """Ours minus published, in points and in standard errors of the difference."""
        if self.ours is None or self.claim.mean is None:
            return "-"
        d = difference(self.ours, _theirs(self.claim))
        errors = f" ({d.in_errors:+.1f} s.e.)" if math.isfinite(d.standard_error) and d.standard_error > 0 else ""
        return f"{d.value:+.{self.digits}f}{errors}"

    @property
    def short(self) -> float:
        """By how much ours would have to be better for "met"; 0 where it is met or not judged."""
        if self.ours is None or self.verdict != "not met":
            return 0.0
        return shortfall(self.ours, _theirs(self.claim), _margin(self.claim), larger=self.claim.percent)

    @property
    def digits(self) -> int:
        """How many decimals are shown."""
        return 1 if self.claim.percent else 3


def outcome(claim: Claim, timed: bool, results: Path) -> Outcome | None:
    """A cell, read at T or (`timed`) at the time that validation chose; None for a model without time."""
    if timed and not claim.chooses_time:
        return None
    scores = _scores(claim, timed, results)
    if not scores:
        return Outcome(claim, None, 0, 0, "not run")
    unit = 100 if claim.percent else 1
    ours = summarise({split: [unit * score for score in seeds.values()] for split, seeds in scores.items()})
    verdict = "no verdict"
    if claim.mean is not None and not claim.mark:
        verdict = "met" if reaches(ours, _theirs(claim), _margin(claim), larger=claim.percent) else "not met"
    return Outcome(claim, ours, len(scores), max(map(len, scores.values())), verdict)


def _margin(claim: Claim) -> float:
    return 1.0 if claim.percent else 0.0  # a point is of a percentage


def _theirs(claim: Claim) -> Summary:
    """The published cell; without a confirmed deviation its error counts as none."""
    if claim.mean is None:
        raise ValueError(f"{claim} has no published number")
    return published(claim.mean, 0.0 if claim.std is None or claim.std_mark else claim.std, claim.count)


def _scores(claim: Claim, timed: bool, results: Path) -> dict[str, dict[int, float]]:
    """Split -> seed -> test score, of the runs whose settings are those of `configs.py`."""
    recipe = config(claim.model, claim.dataset)
    name, recipe = (claim.model + TIMED, over_time(recipe)) if timed else (claim.model, recipe)
    wanted, found = settings(recipe), {}
    for row in _rows(results / f"{claim.dataset}-{claim.protocol}.jsonl"):
        score = row.get("test_accuracy", row.get("test_score"))
        if row.get("recipe") == name and score is not None and _agree(row["settings"], wanted):
            found.setdefault(row["split"], {}).setdefault(row["seed"], score)
    return found


@lru_cache
def _rows(path: Path) -> list[dict[str, Any]]:
    return Ledger(path).rows() if path.exists() else []


def _agree(old: Any, new: Any) -> bool:
    """Whether all that was set then is so now; a setting that is newer than the run had its default then."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(key in new and _agree(value, new[key]) for key, value in old.items())
    return bool(old == new)
