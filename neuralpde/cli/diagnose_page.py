"""The page that `neuralpde diagnose` leaves: the verdict first, then the figures behind it, then how to read them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..diagnose_report import Diagnosis
from ..report import Report
from .diagnose_options import Diagnose
from .output import RunFolder, versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {
    "in time": "What the equation does to the features as time goes on.",
    "layerwise": "What the layers of one network do to the features, one after the other; only layers of equal width count.",
    "depth-untrained": "The last layer of networks of several depths, all with random weights.",
    "depth-trained": "The last layer of networks of several depths, each trained.",
}
_READING = (
    "The energy (Dirichlet energy) adds up the squared differences between neighbours. It falls when neighbours become alike, "
    "but also when all features merely shrink; hence two questions, asked apart.",
    "Scale is the norm of all features: do they fade or explode? Shape is the Rayleigh quotient, energy over squared norm: "
    "how rough are the features for their size? Oversmoothing is a shape that decays, whatever the scale does.",
    "Rank says how many different directions the channels span. Effective rank 1 means that all channels are copies of one.",
    "Decaying and growing are said of a change beyond a factor 10 whose rate differs from 0 (95 % interval); stationary of "
    "a change below a factor 2; all else is inconclusive. The rate is the slope of the logarithm, by Theil and Sen, over the "
    "later half of the run, as far as the values stand above rounding.",
)


def write_page(folder: RunFolder, options: Diagnose, found: Diagnosis, figure: Figure) -> Path:
    """Write `report.html` and return its path."""
    page = Report(
        f"Diagnosis: {options.model.upper() or type_name(found)} on {options.graph}",
        f"{found.subject}, {found.axis} {found.t[0]:g} to {found.t[-1]:g}.",
        footer=", ".join(f"{package} {version}" for package, version in versions().items()),
    )
    first = page.section("Verdict")
    first.note(f"{found.verdict.meaning[:1].upper()}{found.verdict.meaning[1:]}.", found.recommendation)
    first.text(_KINDS[found.kind], _summary(found))
    if found.notes:
        page.section("What to be careful about").text(*(f"{one[:1].upper()}{one[1:]}." for one in found.notes))
    seen = page.section("What was measured")
    seen.figure(
        figure,
        "Above: the energy, with the fitted line and the slope that theory predicts. Below left: scale and shape. Below right: "
        "how far the channels are from being copies of one.",
    )
    seen.table(found.table(), columns={"what": "", "value": "found", "note": "note"})
    page.section("How to read this").text(*_READING)
    again = page.section("Again")
    again.text("The command of this run; beside this page are results.csv (all series), diagnosis.png and run.json.")
    again.commands(command(options))
    return page.write(folder.file("report.html"))


def _summary(found: Diagnosis) -> str:
    low, high = found.interval
    said = f"The rate of the energy is {found.rate:+.4g} per {found.unit} (95 % interval {low:+.4g} to {high:+.4g})"
    if found.rate != found.rate:
        said = "No rate could be fitted"
    compared = f": {found.comparison}" if found.comparison else ""
    return f"{said}; theory says {found.theory}{compared}."


def type_name(found: Diagnosis) -> str:
    """The first word of the subject: the class that was diagnosed."""
    return found.subject.split(" ")[0]


def command(options: Diagnose) -> str:
    """The command line that gives these options, without those at their defaults."""
    plain = Diagnose(options.graph)
    words = ["neuralpde", "diagnose", options.graph]
    own = [(f.name, getattr(options, f.name), getattr(plain, f.name)) for f in fields(options) if f.name != "solver"]
    solver = [(f"solver.{f.name}", getattr(options.solver, f.name), f.default) for f in fields(options.solver)]
    for key, value, default in [*own, *solver]:
        if value != default and key != "graph":
            words += [f"--{key}"] if value is True else [f"--{key}", _text(value)]
    return shlex.join(words)


def _text(value: object) -> str:
    return "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}" if isinstance(value, Mapping) else str(value)
