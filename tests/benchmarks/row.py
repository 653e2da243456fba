"""One line of the table: a quantity of ours beside a peer's, with its spread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measured quantity.

    Attributes:
        case: the work, as the table of targets names it.
        graph: where.
        peer: what it is compared with.
        measure: "ratio" (the peer's time / ours), "memory" (the peer's peak / ours), "share" (of a bandwidth), "slope"
            (log-log), "time" (seconds of one thread), "products" (of a sparse matrix), or a word of its own.
        value: the median over rounds.
        low, high: quartiles over rounds; equal to the value where there was one round.
        rounds: how many.
        ours, theirs: the two quantities whose ratio it is, in `unit`; NaN where there is none.
        unit: of those.
        note: what a reader has to know: errors, counts, what differs.
        allocator: "default" or "tuned"; filled in by the suite.
    """

    case: str
    graph: str
    peer: str
    measure: str
    value: float
    low: float
    high: float
    rounds: int = 1
    ours: float = float("nan")
    theirs: float = float("nan")
    unit: str = "ms"
    note: str = ""
    allocator: str = "default"


def single(case: str, graph: str, peer: str, measure: str, value: float, **more) -> Row:
    """A quantity that was measured once."""
    return Row(case, graph, peer, measure, value, value, value, **more)
