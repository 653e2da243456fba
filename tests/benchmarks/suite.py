"""The suite: every case under both allocators, each in a process of its own, one after the other, within a limit of time."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import scipy
import torch
import torch_geometric
import torchdiffeq

from . import allocator
from .cases import adaptive, attention, diffusion, gather, grand, graphcon, heat, monitors, peak, product, slopes, stiff
from .graphs import measured_on
from .isolate import streamed
from .plan import PLANS, Plan
from .row import Row
from .table import brief, write


@dataclass(frozen=True)
class Case:
    """Something to measure.

    Args:
        name: for `--only`.
        run: yields rows.
        once: its result does not hang on the allocator, or is of a process as users start it: the default one only.
        large: it measures on all graphs, the arxiv-like one too.
    """

    name: str
    run: Callable[[Plan], Iterator[Row]]
    once: bool = False
    large: bool = False

    @property
    def settings(self) -> tuple[str, ...]:
        return (allocator.DEFAULT,) if self.once else (allocator.DEFAULT, allocator.TUNED)


CASES = (
    Case("small", adaptive.small, once=True),  # first: where large graphs have been made, ours takes a third longer
    Case("gather", gather.run, large=True),
    Case("product", product.forward, large=True),
    Case("product-backward", product.backward, large=True),
    Case("diffusion", diffusion.run),
    Case("grand", grand.linear),
    Case("grand-nl", grand.nonlinear),
    Case("graphcon", graphcon.deep),
    Case("adaptive", adaptive.nonlinear),
    Case("stiff", stiff.run, once=True),
    Case("peak", peak.run, once=True),
    Case("long", graphcon.long, once=True),
    Case("slopes", slopes.run, once=True),
    Case("attention", attention.run, large=True),
    Case("monitors", monitors.run, once=True),
    Case("heat", heat.run),
)


def measure(case: Case, setting: str, plan: Plan) -> Iterator[Row]:
    """The rows of one case under one allocator, in this process."""
    torch.set_num_threads(1)
    if setting == allocator.TUNED and not allocator.tune():
        raise RuntimeError("this C library has no mallopt: only the default allocator can be measured")
    for row in case.run(plan):
        yield replace(row, allocator=setting)


@cache
def _make(plan: Plan) -> None:
    """The large graphs, made and sorted once for all processes."""
    for sample in measured_on(plan, with_terrain=True):
        sample.operator()


def run(cases: Sequence[Case], plan: Plan, say: Callable[[str], None] = print) -> tuple[list[Row], list[str]]:
    """All rows, and what could not be measured; cases left at the time limit are named, not begun."""
    start, rows, problems = time.monotonic(), [], []
    for case in cases:
        if case.large:
            _make(plan)
        for setting in case.settings:
            spent = time.monotonic() - start
            if spent > plan.limit:
                problems.append(f"{case.name} ({setting}): the time was up after {spent:.0f} s")
                continue
            used = sum(os.times()[:4])
            say(f"[{spent:4.0f} s, {used:4.0f} s of CPU] {case.name} ({setting})")
            try:
                patience = min(plan.patience, 1.1 * plan.limit - spent)
                for row in streamed(lambda c=case, s=setting: measure(c, s, plan), patience):
                    say(f"  {brief(row)}")
                    rows.append(row)
            except (RuntimeError, TimeoutError) as error:
                problems.append(f"{case.name} ({setting}): {str(error).strip().splitlines()[-1]}")
                say(f"  {error}")
    say(f"[{time.monotonic() - start:4.0f} s, {sum(os.times()[:4]):4.0f} s of CPU] done")
    return rows, problems


def machine(plan: Plan) -> dict[str, object]:
    """What the figures were taken on."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    versions = (("torch", torch), ("PyG", torch_geometric), ("torchdiffeq", torchdiffeq), ("scipy", scipy))
    return {
        "plan": plan.name,
        "processor": f"{processor}, {os.cpu_count()} cores; one thread, CPU time",
        "versions": ", ".join(f"{name} {module.__version__}" for name, module in versions),
        "GPU": f"{torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'}; unmeasured here (gpu.py measures it)",
        "load at the end": f"{os.getloadavg()[0]:.1f} (above 1.5: others were at work, and the figures suffer)",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description="Measure neuralpde beside torchdiffeq + PyG, torch CSR and scipy.")
    parser.add_argument("--quick", action="store_true", help="one minute: small graphs, few rounds")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}; repeatable")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder for the tables (default: out/bench)")
    parser.add_argument("--limit", type=float, help="seconds for all of it (default: 600, quick: 60)")
    parser.add_argument("--profile", action="store_true", help="print where the time goes: operations by their own time")
    given = parser.parse_args(arguments)
    plan = PLANS["quick" if given.quick else "tiny" if given.tiny else "full"]
    if given.limit is not None:
        plan = replace(plan, limit=given.limit, patience=max(plan.patience, given.limit / 4))
    plan = replace(plan, profile=given.profile)
    chosen = [case for case in CASES if not given.only or case.name in given.only]
    rows, problems = run(chosen, plan, lambda text: print(text, flush=True))
    write(rows, machine(plan), problems, given.out)
    print(f"wrote {given.out}/results.md, .csv, .json and .png")
