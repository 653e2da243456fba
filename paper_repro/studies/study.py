"""What every study of `figures.py` is: points that are computed once each and kept, a table of them, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neuralpde.training import Ledger
from neuralpde.training.ledger import Row, digest
from neuralpde.training.versions import stamp


@dataclass(frozen=True)
class Point:
    """One computation.

    Args:
        label: what tells it from the others, plain data.
        compute: its results, plain data; None for a number that is not finite.
    """

    label: Mapping[str, Any]
    compute: Callable[[], Row]


@dataclass(frozen=True)
class Study:
    """A figure and what it is made from.

    Args:
        name: of the files.
        question: that it answers.
        points: what is computed; with True a few small ones, for the tests.
        table: the results in Markdown.
        pictures: what is drawn of them: end of the file's name -> picture.
    """

    name: str
    question: str
    points: Callable[[bool], list[Point]]
    table: Callable[[Sequence[Row]], str]
    pictures: Callable[[Sequence[Row]], Mapping[str, Figure]]

    def run(self, folder: Path, quick: bool, on_row: Callable[[int, Row], None]) -> list[Row]:
        """The results of all points; those that a file has already are not computed again.

        Args:
            folder: of the file.
            quick: the few small points.
            on_row: called with the number of points and each row that was computed here.
        """
        points = self._keyed(quick)
        todo = {key: lambda p=p: {**p.label, **p.compute(), **stamp()} for key, p in points.items()}
        return self._ledger(folder, quick).complete(todo, lambda row: on_row(len(points), row))

    def known(self, folder: Path, quick: bool) -> list[Row]:
        """The results of those points that a file has, in their order."""
        rows = {row["key"]: row for row in reversed(self._ledger(folder, quick).rows())}
        return [rows[key] for key in self._keyed(quick) if key in rows]

    def _keyed(self, quick: bool) -> dict[str, Point]:
        return {digest(self.name, dict(p.label)): p for p in self.points(quick)}

    def _ledger(self, folder: Path, quick: bool) -> Ledger:
        return Ledger(folder / f"{self._file(quick)}.jsonl")

    def draw(self, rows: Sequence[Row], folder: Path, quick: bool) -> list[Path]:
        """Write the pictures."""
        written = []
        for end, figure in self.pictures(rows).items():
            written.append(folder / f"{self._file(quick)}{end}.png")
            figure.savefig(written[-1], dpi=120)
        return written

    def _file(self, quick: bool) -> str:
        return f"quick-{self.name}" if quick else self.name


def markdown(head: Sequence[object], lines: Sequence[Sequence[object]]) -> str:
    """A table."""
    rows = [[str(cell) for cell in line] for line in (head, ["---"] * len(head), *lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def summed_up(values: Sequence[float]) -> str:
    """A mean, with the range and the number where there are several; "-" for none."""
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else "-"
    return f"{sum(values) / len(values):.1f} ({min(values):.1f} to {max(values):.1f}, {len(values)} runs)"


def grouped(rows: Sequence[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some columns, in the order in which these come first."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found
