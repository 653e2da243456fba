"""What a result was computed with."""

from __future__ import annotations

import platform
import subprocess
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

from .. import __version__


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    names = ("torch", "torch_geometric", "torchdiffeq", "scipy", "numpy")
    return {"neuralpde": __version__, "python": platform.python_version(), **{n: version(n) for n in names}}


@cache
def commit() -> str | None:
    """The commit of a checkout, or None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def stamp() -> dict[str, object]:
    """Versions, commit, and the time (UTC), for a row of results."""
    return {"versions": versions(), "commit": commit(), "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
