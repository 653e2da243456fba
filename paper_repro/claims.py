"""What a paper says: its published cells, and the paper that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One published cell, under one protocol. A cell whose text leaves open which protocol it had is there once for each.

    Args:
        table: as the paper numbers it, or what it is about.
        dataset: as `datasets.load` calls it, or the name of one that it does not read.
        model: as the paper calls it.
        mean, std: as published, accuracies in percent; None for none (a baseline of ours beside it).
        protocol: name in `protocols.PROTOCOLS`; empty for a task that no protocol here covers.
        count: the sample that the published deviation is of: splits, or weights drawn for one split.
        mark: where the number is from, if not from the paper's text: "[mem]", "[M]". Such a cell gets no verdict.
        std_mark: the same of the deviation alone. The error of a difference is then ours alone, which is stricter.
        unit: of mean and std.
    """

    table: str
    dataset: str
    model: str
    mean: float | None
    std: float | None
    protocol: str
    count: int
    mark: str = ""
    std_mark: str = ""
    unit: str = "%"


@dataclass(frozen=True)
class Paper:
    """One script's paper.

    Args:
        name: of the script.
        title: authors, title, year.
        claims: its cells.
        tables: for each table what it is.
    """

    name: str
    title: str
    claims: Sequence[Claim]
    tables: Mapping[str, str]


Cell = tuple[float, float]


def row(
    table: str,
    model: str,
    cells: Mapping[str, Cell],
    protocols: Sequence[str],
    count: int,
    mark: str = "",
    std_mark: str = "",
) -> list[Claim]:
    """A published row: one claim for each data set and protocol."""
    return [
        Claim(table, data, model, mean, std, protocol, count, mark, std_mark)
        for protocol in protocols
        for data, (mean, std) in cells.items()
    ]


def unpublished(table: str, model: str, datasets: Iterable[str], protocols: Sequence[str]) -> list[Claim]:
    """A row of ours beside those of the paper."""
    return [Claim(table, data, model, None, None, protocol, 0) for protocol in protocols for data in datasets]
