"""What a part of the demo hands to the report: words, pictures and tables in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Tick = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and a word on what runs."""


def between(tick: Tick, start: float, end: float) -> Tick:
    """A tick for a stage that takes a part from one share to another."""
    return lambda share, note: tick(start + (end - start) * share, note)


@dataclass(frozen=True)
class Picture:
    """A picture in the run's folder.

    Args:
        file: its name there.
        caption: what it shows, with units.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class Note:
    """A paragraph that stands out: what was found."""

    text: str


@dataclass(frozen=True)
class Rows:
    """A table.

    Args:
        caption: what it shows.
        rows: records.
        columns: those shown, with their headings.
        formats: of numbers, by column.
    """

    caption: str
    rows: Sequence[Mapping[str, object]]
    columns: Mapping[str, str]
    formats: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One part of the demo, done.

    Args:
        name: as in `--only`.
        title: its heading.
        blocks: paragraphs (plain text), notes, pictures and tables, in order.
        facts: measured numbers, for `run.json`.
        commands: how to go on: a comment and a command each.
    """

    name: str
    title: str
    blocks: Sequence[str | Note | Picture | Rows]
    facts: Mapping[str, object]
    commands: Sequence[tuple[str, str]]
