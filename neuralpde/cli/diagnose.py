"""`neuralpde diagnose`: whether an equation or a network oversmooths, how fast, and what theory says; a page to read."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from ..plots import diagnosis
from .diagnose_options import Diagnose
from .diagnose_page import write_page
from .diagnose_subject import subject_of
from .output import RunFolder


def run(options: Diagnose) -> int:
    folder = RunFolder(Path(options.out), "diagnose", options, options.quiet)
    subject = subject_of(options)
    found = subject.found
    folder.say(str(found))
    folder.write_csv("results.csv", found.records())
    figure = diagnosis(found)
    figure.savefig(folder.file("diagnosis.png"), dpi=150)
    write_page(folder, options, subject, figure)
    plt.close(figure)
    low, high = found.interval
    folder.finish(
        "ok",
        verdict=found.verdict.meaning,
        kind=found.kind,
        rate=found.rate,
        interval=[low, high],
        theory={"rate": found.theory.rate, "kind": found.theory.kind, "text": found.theory.text},
        notes=list(found.notes),
        recommendation=found.recommendation,
    )
    return 0
