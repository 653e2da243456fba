"""Where the time of a candidate goes: torch's operations, and what is left to Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from torch.profiler import ProfilerActivity, profile

_LINES = 12


def print_profiles(candidates: Mapping[str, Callable[[], object]]) -> None:
    """The operations of one call of each candidate by their own CPU time, after a first call."""
    for name, work in candidates.items():
        work()
        start = time.process_time()
        work()
        seconds = time.process_time() - start
        with profile(activities=[ProfilerActivity.CPU]) as found:
            work()
        events = sorted(found.key_averages(), key=lambda e: -e.self_cpu_time_total)
        inside = sum(e.self_cpu_time_total for e in events) or 1.0
        print(f"  {name}: {1e3 * seconds:.3g} ms, {sum(e.count for e in events):,} operations")
        for e in events[:_LINES]:
            print(f"    {100 * e.self_cpu_time_total / inside:5.1f} %  {e.count:6d} x  {e.key}", flush=True)
