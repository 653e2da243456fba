"""What is to be reached: the peer's quantity over ours, by work, graph and allocator."""

from __future__ import annotations

from dataclasses import dataclass

from .allocator import DEFAULT
from .cases import adaptive, attention, diffusion, gather, grand, graphcon, heat, monitors, peak, product, slopes, stiff
from .peers import DOPRI5, MESSAGES
from .row import Row

_SMALL, _MIDDLE, _LARGE = "Cora-like", "PubMed-like", "arxiv-like"


@dataclass(frozen=True)
class Target:
    """A bound and what it is for, under the two allocators; None where there is none.

    Args:
        default, tuned: at least (or at most).
        stretch: (default, tuned), further than asked.
        at_most: the bound is from above.
    """

    default: float | None
    tuned: float | None
    stretch: tuple[float | None, float | None] = (None, None)
    at_most: bool = False

    def bound(self, allocator: str) -> float | None:
        return self.default if allocator == DEFAULT else self.tuned

    def further(self, allocator: str) -> float | None:
        return self.stretch[0 if allocator == DEFAULT else 1]

    def met(self, row: Row) -> bool | None:
        """Whether the median meets the bound; None without one."""
        bound = self.bound(row.allocator)
        return None if bound is None else row.value <= bound if self.at_most else row.value >= bound


_T10, _T100 = diffusion.CASE.format(10.0), diffusion.CASE.format(100.0)
_FLOW, _LAYERS = Target(80, 80, (200, 200)), Target(4, 2.5, (8, 8))

TARGETS: dict[tuple[str, str, str, str], Target] = {  # work, graph, peer, measure
    (product.FORWARD, _SMALL, MESSAGES, "ratio"): Target(13, 8),
    (product.FORWARD, _MIDDLE, MESSAGES, "ratio"): Target(48, 11),
    (product.FORWARD, _LARGE, MESSAGES, "ratio"): Target(15, 7),
    (product.BACKWARD, _SMALL, MESSAGES, "ratio"): Target(4.5, 4.7, (9, 9)),
    (product.BACKWARD, _MIDDLE, MESSAGES, "ratio"): Target(16, 3.5, (30, 8)),
    (product.BACKWARD, _LARGE, MESSAGES, "ratio"): Target(6, 3.5, (14, 8)),
    (gather.GATHER, _SMALL, "copy of x", "share"): Target(0.8, 0.8, (0.95, 0.95)),
    (gather.GATHER, _MIDDLE, "copy of x", "share"): Target(0.8, 0.8, (0.95, 0.95)),
    (attention.CASE, _SMALL, MESSAGES, "ratio"): Target(2.4, 1.3, (4.8, 2.3)),
    (attention.CASE, _MIDDLE, MESSAGES, "ratio"): Target(2.8, 1.4, (3.9, 2.1)),
    (attention.CASE, _LARGE, MESSAGES, "ratio"): Target(4, 1.5, (6.7, None)),
    **{(_T10, graph, DOPRI5, "ratio"): _FLOW for graph in (_SMALL, _MIDDLE)},
    **{(_T100, graph, DOPRI5, "ratio"): Target(170, 170, (350, 350)) for graph in (_SMALL, _MIDDLE)},
    (heat.CASES[False], "geometric", heat.PEER, "ratio"): Target(37, 37, (46, 46)),
    (heat.CASES[True], "geometric", heat.PEER, "ratio"): Target(42, 42, (53, 53)),
    (heat.MEMORY, "geometric", heat.PEER, "memory"): Target(50, 50),
    **{(adaptive.NONLINEAR, graph, DOPRI5, "ratio"): Target(6, 4, (10, 7)) for graph in (_SMALL, _MIDDLE)},
    (grand.LINEAR, _SMALL, DOPRI5, "ratio"): Target(10, 9, (13, 13)),
    (grand.LINEAR, _MIDDLE, DOPRI5, "ratio"): Target(12, 10, (17, 17)),
    **{(grand.PARITY, g, "rk4 autograd, float64", "difference"): Target(1e-4, 1e-4, at_most=True) for g in (_SMALL, _MIDDLE)},
    (grand.NONLINEAR, _SMALL, grand.RK4, "ratio"): Target(1.4, None, (3.5, 3.5)),
    (grand.NONLINEAR, _MIDDLE, grand.RK4, "ratio"): Target(2.1, 1.6, (3.5, 3.5)),
    (graphcon.DEEP, _SMALL, graphcon.LOOP, "ratio"): _LAYERS,
    **{(stiff.CASE, method, DOPRI5, "ratio"): Target(150, 150, (1000, 1000)) for method in stiff.AIMED},
    (peak.CASE, _SMALL, DOPRI5, "memory"): Target(6, 6),
    (peak.CASE, _MIDDLE, DOPRI5, "memory"): Target(10, 10),
    **{(graphcon.LONG, way, "backprop", "memory"): Target(20, 20) for way in ("checkpoint", "reversible")},
    **{(graphcon.LONG, w, "backprop", "slowdown"): Target(1.6, 1.6, at_most=True) for w in ("checkpoint", "reversible")},
    (adaptive.SMALL, "3 equations", "torchdiffeq dopri5", "ratio"): Target(5, 5, (7, 7)),
    **{(monitors.RECORDING, g, "heat", "part"): Target(0.05, 0.05, at_most=True) for g in (_SMALL, _MIDDLE)},
    (slopes.CASE, "edges", "-", "slope"): Target(1.05, 1.05, at_most=True),
    (slopes.CASE, "channels", "-", "slope"): Target(1.0, 1.0, at_most=True),
    (slopes.CASE, "T", "-", "slope"): Target(0.6, 0.6, at_most=True),
}
"""The bounds, by the first four columns of a row."""


def target(row: Row) -> Target | None:
    """The target of a row, if it has one."""
    return TARGETS.get((row.case, row.graph, row.peer, row.measure))
