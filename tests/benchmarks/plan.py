"""How much the suite does: the whole of it, one minute of it, or almost nothing (for its own tests)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes and repeats of a run.

    Args:
        name: "full", "quick" or "tiny".
        seconds: CPU time that one comparison may take, about.
        rounds: least and largest number of interleaved rounds.
        large: measure on the arxiv-like graph, and to 10 million edges.
        shrink: nodes and edges of every graph are divided by this number.
        limit: wall-clock seconds for all; what has not begun by then is left out, what runs a tenth longer is ended.
        patience: seconds after which one case under one allocator is ended.
        profile: print where the time of every candidate goes.
    """

    name: str
    seconds: float
    rounds: tuple[int, int]
    large: bool
    shrink: int
    limit: float
    patience: float
    profile: bool = False

    @property
    def full(self) -> bool:
        return self.name == "full"

    def pick(self, full, quick, tiny):
        """The value for this plan."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.name]


PLANS = {
    "full": Plan("full", 1.5, (3, 15), True, 1, 600.0, 150.0),
    "quick": Plan("quick", 0.15, (2, 5), False, 1, 60.0, 20.0),
    "tiny": Plan("tiny", 0.0, (1, 1), False, 200, 60.0, 30.0),
}
