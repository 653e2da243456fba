"""`neuralpde demo`: equations on real graphs, offline, in four parts, with a report of what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from solvers import unknown

from ...datasets import digits_graph
from ..options import Demo
from ..output import RunFolder
from ..progress import Counter
from .depth_part import depth
from .heat_part import heat
from .learn import LearnSetup
from .learn_part import learned
from .page import write_page
from .part import Part, Tick
from .wave_part import wave


def run(options: Demo) -> int:
    """Run the parts asked for and write everything to the folder."""
    parts = _chosen(options)
    folder = RunFolder(Path(options.out), "demo", options, options.quiet)
    silent = options.quiet or options.json
    done, seconds = [], {}
    for name, make in parts.items():
        start = time.perf_counter()
        with Counter(name, 1.0, silent) as counter, _one_thread():
            done.append(make(folder, counter.to))
        seconds[name] = round(time.perf_counter() - start, 2)
        folder.say(f"{done[-1].title}: {seconds[name]:.1f} s")
    report = write_page(folder, done, seconds)
    runs = [row for part in done for row in part.facts.get("runs", [])]  # type: ignore[attr-defined]
    facts = {part.name: {k: v for k, v in part.facts.items() if k != "runs"} for part in done}
    folder.finish("ok", part_seconds=seconds, parts=facts, runs=runs)
    folder.say(f"open {report}")
    return 0


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch: on a few thousand numbers threads wait for each other, ten times longer on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _chosen(options: Demo) -> dict[str, Callable[[RunFolder, Tick], Part]]:
    parts: dict[str, Callable[[RunFolder, Tick], Part]] = {
        "wave": wave,
        "heat": heat,
        "depth": depth,
        "learn": lambda folder, tick: learned(folder, tick, LearnSetup(seeds=options.seeds)),
    }
    for name in options.only:
        if name not in parts:
            raise unknown("part", name, parts)
    if options.seeds < 1:
        raise ValueError(f"seeds = {options.seeds}; expected at least 1")
    chosen = {name: part for name, part in parts.items() if not options.only or name in options.only}
    if {"depth", "learn"} & set(chosen):
        digits_graph()  # without scikit-learn: say so now, not after the first minute
    return chosen
