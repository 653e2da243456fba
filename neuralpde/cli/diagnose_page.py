"""The page that `neuralpde diagnose` leaves: the verdict first, then the figures behind it, then how to read them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..diagnose_report import Diagnosis
from ..report import Report
from .diagnose_options import Diagnose
from .diagnose_pictures import bottlenecks, frequencies, portrait, steps
from .diagnose_subject import Subject
from .output import RunFolder, versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {
    "in time": "What the equation does to the features as time goes on.",
    "layerwise": "What the layers of one network do to the features, one after the other; only layers of equal width count.",
    "depth-untrained": "The last layer of networks of several depths, all with random weights.",
    "depth-trained": "The last layer of networks of several depths, each trained.",
}
_MEANING = {
    "energy": "Squared differences between neighbours, added up (Dirichlet energy). It falls when neighbours become alike, and "
    "also when all features shrink: look at the norm beside it.",
    "norm": "Size of all features: the scale. Falling to 0 they fade, growing without bound they explode.",
    "Rayleigh quotient": "Energy over squared norm: the frequency that dominates, the shape. Falling is oversmoothing, "
    "whatever the norm does.",
    "energy over variance": "Energy over what differs from the mean: which frequency survives beside the constant. It levels "
    "off at the spectral gap when only the slowest is left.",
    "effective rank": "How many different directions the channels span. 1 means that all channels are copies of one.",
    "rank-one distance": "Share of the squared size outside the largest direction: how far the channels are from copies.",
    "Hamiltonian": "Kinetic plus potential energy of an oscillator. Constant without damping; then a rise is the "
    "integrator's error.",
}
_READING = (
    "Two questions are asked apart, since the energy alone answers neither: what becomes of the scale (the norm), and what of "
    "the shape (the Rayleigh quotient). Oversmoothing is a shape that decays.",
    "Decaying and growing are said of a change beyond a factor 10 whose rate differs from 0 (95 % interval); stationary of "
    "a change below a factor 2; all else is inconclusive. The rate is the slope of the logarithm, by Theil and Sen, over the "
    "later half of the run, as far as the values stand above rounding.",
)


def write_page(folder: RunFolder, options: Diagnose, subject: Subject, figure: Figure) -> Path:
    """Write `report.html` and return its path."""
    found = subject.found
    page = Report(
        f"Diagnosis: {subject.name} on {options.graph}",
        f"{found.subject}, {found.axis} {found.t[0]:g} to {found.t[-1]:g}.",
        footer=", ".join(f"{package} {version}" for package, version in versions().items()),
    )
    first = page.section("Verdict")
    first.note(f"{found.verdict.meaning[:1].upper()}{found.verdict.meaning[1:]}. {_in_words(found)}", _summary(found))
    first.text(_KINDS[found.kind])
    first.figure(
        figure,
        "Above: the energy, with the fitted line and the slope that theory predicts. Below left: scale and shape. Below right: "
        "how far the channels are from being copies of one.",
    )
    first.table(found.table(), columns={"what": "", "value": "found", "note": "note"})
    if found.notes:
        page.section("What to be careful about").text(*(f"{one[:1].upper()}{one[1:]}." for one in found.notes))
    frequencies(page.section("Which frequencies survive"), subject)
    steps(page.section("What a step does to them"), subject)
    if subject.swings:
        portrait(page.section("How it swings"), subject)
    bottlenecks(page.section("Where the graph squeezes"), subject)
    page.section("What was watched").table(_monitors(found))
    page.section("What to do").note(found.recommendation)
    page.section("How this was judged").text(*_READING)
    again = page.section("Again")
    again.text("The command of this run; beside this page are results.csv (all series), diagnosis.png and run.json.")
    again.commands(command(options))
    return page.write(folder.file("report.html"))


def _monitors(found: Diagnosis) -> list[dict[str, object]]:
    """First, last and extreme values of every series, and what it means."""
    rows: list[dict[str, object]] = []
    for name, values in found.series.items():
        row: dict[str, object] = {"monitor": name, "first": float(values[0]), "last": float(values[-1])}
        row |= {"least": float(np.nanmin(values)), "most": float(np.nanmax(values))} if np.isfinite(values).any() else {}
        rows.append({**row, "meaning": _MEANING.get(name, "")})
    return rows


_SHAPE_WORDS = {
    "decaying": "neighbours become alike",
    "growing": "neighbours become less alike",
    "stationary": "neighbours stay as different as they are",
    "inconclusive": "it is not settled whether neighbours become alike",
}
_SCALE_WORDS = {
    "decaying": "the features fade",
    "growing": "the features blow up",
    "stationary": "their size hardly changes",
    "inconclusive": "their size changes without a clear trend",
}


def _in_words(found: Diagnosis) -> str:
    scale, shape, rank = found.verdict.scale, found.verdict.shape, found.verdict.rank
    said = (
        f"For their size, {_SHAPE_WORDS[shape.word]} (Rayleigh quotient x{shape.change:.3g}); {_SCALE_WORDS[scale.word]} "
        f"(norm x{scale.change:.3g})"
    )
    if rank is not None and rank.word == "decaying":
        said += "; the channels become copies of one another"
    return f"{said}."


def _summary(found: Diagnosis) -> str:
    low, high = found.interval
    said = f"The rate of the {found.measured} is {found.rate:+.4g} per {found.unit} (95 % interval {low:+.4g} to {high:+.4g})"
    if found.rate != found.rate:
        said = "No rate could be fitted"
    if found.theory.kind == "none":
        return f"{said}. Theory gives no rate for it: {found.theory.text}."
    compared = f": {found.comparison}" if found.comparison else ""
    return f"{said}; theory says {found.theory}{compared}."


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
