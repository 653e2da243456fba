"""Run folders and what is printed: one record of a run, its files, tables on a terminal."""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ..training.versions import commit as commit
from ..training.versions import versions as versions
from ..whole_file import replacing

Record = Mapping[str, object]


@dataclass
class RunFolder:
    """The folder of one run: `run.json`, tables, pictures.

    Args:
        path: where; made if it does not exist.
        verb: what ran.
        config: its options (a dataclass).
        quiet: print nothing.
    """

    path: Path
    verb: str
    config: object
    quiet: bool = False
    started: float = field(default_factory=time.time)
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        stream = sys.stderr if getattr(self.config, "json", False) else sys.stdout
        self.console = Console(quiet=self.quiet, file=stream, width=None if stream.isatty() else 120)

    def file(self, name: str) -> Path:
        """The path of a file to write; it is named at the end."""
        self.written.append(name)
        return self.path / name

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def table(self, title: str, rows: Sequence[Record], columns: Sequence[str] | None = None) -> None:
        """Show rows as a table."""
        columns = list(columns or (rows[0].keys() if rows else ()))
        shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for i, c in enumerate(columns):
            shown.add_column(c, justify="left" if i == 0 else "right", no_wrap=c != "note")
        for row in rows:
            shown.add_row(*(show(row.get(c)) for c in columns))
        self.console.print(shown)

    def write_csv(self, name: str, rows: Sequence[Record]) -> None:
        columns = list(dict.fromkeys(k for r in rows for k in r))
        with self.file(name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(dict(r) for r in rows)

    def finish(self, status: str, **results: object) -> dict[str, object]:
        """Write `run.json` and say where everything is; returns the record."""
        record = self.keep(status, **results)
        if getattr(self.config, "json", False):
            print(json.dumps(finite(record), indent=2, default=str))
        self.say(f"wrote {self.path}/{{{', '.join(sorted({*self.written, 'run.json'}))}}}")
        return record

    def keep(self, status: str, **results: object) -> dict[str, object]:
        """Write `run.json` as it stands, so that a run that is stopped leaves what it has."""
        record = {
            "verb": self.verb,
            "status": status,
            **results,
            "config": asdict(self.config),  # type: ignore[call-overload]
            "seconds": round(time.time() - self.started, 3),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self.started)),
            "versions": versions(),
            "commit": commit(),
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        }
        with replacing(self.path / "run.json") as partial:
            partial.write_text(json.dumps(finite(record), indent=2, default=str) + "\n", encoding="utf-8")
        return record


def show(value: object) -> str:
    """A value as a table shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"
    return str(value)


def finite(value: object) -> object:
    """JSON has no nan and no infinity: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value
