"""The report of the demo: one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...report import Report, Section
from ..output import RunFolder, versions
from .part import Note, Part, Picture

SNIPPET = """\
import torch
from neuralpde import Hamiltonian, Monitor, Wave, datasets, simulate

sea = datasets.salish_sea()
away = sea.pos - torch.tensor([36e3, 32e3])  # metres from the middle of the bump
u0 = (-(away / 8e3).square().sum(1) / 2).exp().unsqueeze(1)
wave = Wave(mass=sea.node["area"], damping=sea.node["sponge"])
energy = Monitor(Hamiltonian())
sim = simulate(wave, sea, u0, t=3600.0, method="leapfrog", dt=12.0, monitors=[energy])
print(sim.message, float(energy.values[-1] / energy.values[0]))  # the sponge has taken the rest
"""


def write_page(folder: RunFolder, parts: Sequence[Part], seconds: Mapping[str, float]) -> Path:
    """Write `report.html` and return its path."""
    total = sum(seconds.values())
    page = Report(
        "Differential equations on real graphs",
        f"neuralpde demo: {len(parts)} parts, {total:.0f} s on this machine, one thread, offline. All numbers are of this run.",
        footer=", ".join(f"{name} {version}" for name, version in versions().items()),
    )
    for part in parts:
        section = page.section(part.title)
        for block in part.blocks:
            _add(section, block, folder)
        section.text(f"This part took {seconds[part.name]:.1f} s.")
    _go_on(page.section("How to go on"), parts)
    return page.write(folder.file("report.html"))


def _add(section: Section, block: object, folder: RunFolder) -> None:
    if isinstance(block, str):
        section.text(block)
    elif isinstance(block, Note):
        section.note(block.text)
    elif isinstance(block, Picture):
        section.image(folder.path / block.file, block.caption)
    else:
        section.table(block.rows, block.caption, columns=block.columns, formats=block.formats)  # type: ignore[attr-defined]


def _go_on(section: Section, parts: Sequence[Part]) -> None:
    section.text("On the command line; each command has --help, and leaves a folder like this one:")
    lines = [line for part in parts for comment, command in part.commands for line in (f"# {comment}", command, "")]
    section.commands(*lines[:-1])
    section.text("In Python, the wave of the first part:")
    section.commands(*SNIPPET.splitlines())
    section.text("Beside this page: the pictures (PNG), the animation (GIF), the tables (CSV) and run.json with every number.")
