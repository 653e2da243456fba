"""Names at the edge of the library: one place that turns a string into a class and answers an unknown one helpfully."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .errors import UnknownName


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names closest to `name`, best first (possibly none)."""
    lowered = {k.lower(): k for k in known}
    return [lowered[m] for m in difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.5)]


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for an unknown name: what was got, what is near, what exists."""
    known = sorted(known)
    close = nearest(name, known)
    hint = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    return UnknownName(f"no {kind} {name!r}.{hint} Known: {', '.join(known)}.")
