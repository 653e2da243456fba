"""Peak memory of one piece of work, in a process of its own (Linux)."""

from __future__ import annotations

import ctypes
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .isolate import isolated

MEASURABLE = Path("/proc/self/clear_refs").exists()


@dataclass(frozen=True)
class Cost:
    """Growth of resident memory in MB, and CPU seconds."""

    megabytes: float
    seconds: float


def cost(work: Callable[[], object], first: Callable[[], object] | None = None) -> Cost:
    """Peak over what was resident before, and time; `first` runs before, uncounted (loads modules, sorts patterns)."""
    return isolated(lambda: _here(work, first))


def _here(work: Callable[[], object], first: Callable[[], object] | None) -> Cost:
    if first is not None:
        first()
    before = _resident()
    start = time.process_time()
    kept = work()
    seconds = time.process_time() - start
    megabytes = _peak() - before
    del kept
    return Cost(megabytes, seconds)


def _resident() -> float:
    """Memory in use, in MB; the record of its peak starts anew from here."""
    if not MEASURABLE:
        return float("nan")
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not to be counted as free later
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _peak() -> float:
    if not MEASURABLE:
        return float("nan")
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
