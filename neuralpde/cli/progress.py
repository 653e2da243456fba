"""Progress: a bar on a terminal, a line every tenth elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor


class Counter:
    """Counts towards a total.

    Args:
        label: what is going on.
        total: when it is done.
        quiet: show nothing.
    """

    def __init__(self, label: str, total: float, quiet: bool = False):
        self.label, self.total, self.quiet = label, total, quiet
        self.tenth = 0
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn())
        self.bar = Progress(*columns, transient=True) if sys.stderr.isatty() and not quiet else None

    def __enter__(self) -> Counter:
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task(self.label, total=self.total)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()

    def to(self, done: float, note: str = "") -> None:
        """How far it has come."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.update(self.task, completed=done, description=f"{self.label} {note}")
        elif int(10 * done / self.total) > self.tenth:
            self.tenth = int(10 * done / self.total)
            print(f"{self.label}: {10 * self.tenth} % {note}", file=sys.stderr, flush=True)


class Bar(Counter):
    """A counter that is also a callback of the solver: it counts time.

    Args:
        label: what is going on.
        start, end: of the solve.
        quiet: show nothing.
        times: when it wants to hear from the solver; None for every step, which not every method can show.
    """

    def __init__(self, label: str, start: float, end: float, quiet: bool = False, times: Sequence[float] | None = None):
        super().__init__(label, abs(end - start), quiet)
        self.origin, self.times = start, times

    def __enter__(self) -> Bar:
        super().__enter__()
        return self

    def before(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def after(self, t: float, y: Tensor, dt: float) -> None:
        self.to(abs(t - self.origin), f"t = {t:.4g}" + (f", dt {abs(dt):.2g}" if dt else ""))
