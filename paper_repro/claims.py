"""What a paper says: its published cells, and the paper that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graph_sources import GRAPHS

BASELINES = ("GCN", "GAT", "MLP")


@dataclass(frozen=True)
class Claim:
    """One published cell, under one protocol. A cell whose text leaves open which protocol it had is there once for each.

    Args:
        table: as the paper numbers it, or what it is about.
        dataset: as `datasets.load` or `load_graphs` calls it.
        model: as the paper calls it.
        mean, std: as published, accuracies in percent; None for none (a baseline of ours beside it).
        protocol: name in `protocols.PROTOCOLS`.
        count: the sample that the published deviation is of: splits, or weights drawn for one split.
        mark: where the number is from, if not from the paper's text: "[mem]", "[M]". Such a cell gets no verdict.
        std_mark: the same of the deviation alone. The error of a difference is then ours alone, which is stricter.
        unit: of mean and std; "(mean absolute error)" for numbers, of which the smaller is better.
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

    @property
    def percent(self) -> bool:
        """Whether it is an accuracy or an F1 score in percent."""
        return self.unit.startswith("%")

    @property
    def chooses_time(self) -> bool:
        """Whether its output time could be chosen by validation: that of an equation which classifies nodes of one graph."""
        return self.model not in BASELINES and self.dataset not in GRAPHS


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
