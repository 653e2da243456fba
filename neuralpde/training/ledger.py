"""Results as lines of JSON that are only ever appended, by any number of processes at a time."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows: appending is then one write, and work is not shared out
    fcntl = None

Row = dict[str, Any]


def digest(*parts: object) -> str:
    """A name for plain data (numbers, text, lists, mappings): the same in every process and on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()[:20]


class Ledger:
    """Rows of a file, one line of JSON each; None for the path keeps them in memory.

    A line that was cut off when its writer was killed is left where it is, and warned of. While a process works on a row it
    holds a lock, which the system takes back if the process dies, so that processes share the work and none does it twice.

    Args:
        path: the file; its folder is made if it is not there. A file `.NAME.lock` is put beside it.
    """

    def __init__(self, path: str | os.PathLike[str] | None):
        self.path = None if path is None else Path(path)
        self._rows: list[Row] = []
        self._read = 0  # bytes of the file
        self._lock: int | None = None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if fcntl is not None:
                self._lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)

    def __del__(self) -> None:
        if getattr(self, "_lock", None) is not None:
            os.close(self._lock)  # type: ignore[arg-type]

    def rows(self) -> list[Row]:
        """All rows that there are now, those of other processes too."""
        if self.path is not None and self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            new = new[: new.rfind(b"\n") + 1]  # a line is a row when it has its end
            self._read += len(new)
            self._rows += [row for line in new.split(b"\n") if (row := self._row(line)) is not None]
        return list(self._rows)

    def _row(self, line: bytes) -> Row | None:
        try:
            return json.loads(line) if line.strip() else None
        except ValueError:
            warnings.warn(
                f"{self.path} has a line that is no row (its writer was stopped); left out: {line[:60]!r}", stacklevel=4
            )
            return None

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row, as a whole.

        Raises:
            ValueError: a number that JSON has not (nan, infinity): it would not be read back everywhere.
        """
        line = json.dumps(row, allow_nan=False) + "\n"
        if self.path is None:
            self._rows.append(json.loads(line))
            return
        with self._held(0), self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else "\n" + line
            os.write(file.fileno(), line.encode())
            os.fsync(file.fileno())

    def complete(self, todo: Mapping[str, Callable[[], Row]], on_row: Callable[[Row], None] | None = None) -> list[Row]:
        """The rows of these keys, computing what is not there; what another process is at is waited for.

        Args:
            todo: for each key what computes its row; the row gets the key.
            on_row: called with each row that was computed here.

        Returns:
            The first row of each key, in the order of `todo`.
        """
        for wait in (False, True):
            done = self._found(todo)
            for key in [key for key in todo if key not in done]:
                with self._held(_place(key), wait) as mine:
                    if not mine or key in self._found(todo):  # another has it, or had it
                        continue
                    row = {"key": key, **todo[key]()}
                    self.append(row)
                if on_row is not None:
                    on_row(row)
        found = self._found(todo)
        return [found[key] for key in todo]

    def _found(self, keys: Mapping[str, object]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for row in self.rows():
            if row.get("key") in keys:
                found.setdefault(row["key"], row)
        return found

    @contextmanager
    def _held(self, place: int, wait: bool = True) -> Iterator[bool]:
        """Hold the lock at a place of the lock file; False if another process does and there is no waiting for it."""
        if self._lock is None or fcntl is None:
            yield True
            return
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, place)


def _place(key: str) -> int:
    return 1 + int(hashlib.sha256(key.encode()).hexdigest()[:14], 16)


def first_of(rows: Sequence[Row]) -> list[Row]:
    """The first row of each key."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.get("key", ""), row)
    return list(found.values())
