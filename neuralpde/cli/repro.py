"""`neuralpde repro`: the scripts in `paper_repro/` of a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from solvers import unknown

from .options import Repro

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = ("grand", "graphcon", "blend", "table", "findings", "figures")


def run(options: Repro) -> int:
    """Run a script with the interpreter that runs this, and return its exit code.

    Raises:
        UnknownName: no such script.
        FileNotFoundError: this neuralpde was not started from a checkout.
    """
    if options.paper not in SCRIPTS:
        raise unknown("paper", options.paper, SCRIPTS)
    script = CHECKOUT / "paper_repro" / f"{options.paper}.py"
    if not script.is_file():
        raise FileNotFoundError(
            f"{script} is not there: the papers' scripts and results are part of a checkout of the repository, not of the "
            "installed package. Clone it, install it with pip install -e ., and run neuralpde repro there"
        )
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([sys.executable, str(script), *_arguments(options)], env=environment, check=False).returncode


def _arguments(options: Repro) -> list[str]:
    """The script's own: what was given, and nothing else."""
    given = {
        "table": options.table,
        "dataset": options.dataset,
        "model": options.model,
        "protocol": options.protocol,
        "splits": options.splits,
        "seeds": options.seeds,
        "search": options.search,
        "results": options.results,
    }
    flags = {
        "time-on-validation": options.time_on_validation,
        "quick": options.quick,
        "list": options.list,
        "quiet": options.quiet,
    }
    named = [part for name, value in given.items() if value not in ("", None) for part in (f"--{name}", str(value))]
    return [*filter(None, [options.name]), *named, *(f"--{name}" for name, on in flags.items() if on)]
