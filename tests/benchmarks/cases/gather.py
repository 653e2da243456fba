"""The rate at which the product gathers, beside what a copy of the same size reaches in the same rounds; and plain copies.

The product reads one row of x per entry, a column number (8 bytes) and a value (4), and writes one row per node:
`4 E C + 12 E + 4 N C` bytes. The copy reads and writes a buffer of the size of x: the same level of cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..graphs import measured_on
from ..measure import OURS, copy_rate, interleave, spread
from ..plan import Plan
from ..row import Row

GATHER, COPY = "gather rate of A x", "copy rate"


def run(plan: Plan) -> Iterator[Row]:
    """Plain copies, then shares."""
    for megabytes in (0.9, 10.0, 256.0) if plan.seconds else (0.01,):
        s = copy_rate(megabytes, plan)
        gb = [x / 1e9 for x in (s.median, s.low, s.high)]
        yield Row(COPY, f"{megabytes:g} MB", "-", "rate", gb[0], gb[1], gb[2], s.rounds, gb[0], unit="GB/s")
    for sample in measured_on(plan, with_terrain=True):
        A, x = sample.operator(), sample.state()
        target = torch.empty_like(x)
        with torch.no_grad():
            seconds = interleave({OURS: lambda A=A, x=x: A.matvec(x), COPY: lambda t=target, x=x: t.copy_(x)}, plan)
        entries, nodes, channels = len(A.pattern), *x.shape
        moved, copied = 4 * entries * channels + 12 * entries + 4 * nodes * channels, 8 * nodes * channels
        share = spread([moved / a * b / copied for a, b in zip(seconds[OURS], seconds[COPY], strict=True)])
        rates = moved / spread(seconds[OURS]).median / 1e9, copied / spread(seconds[COPY]).median / 1e9
        yield Row(
            GATHER, sample.name, "copy of x", "share", share.median, share.low, share.high, share.rounds,
            rates[0], rates[1], "GB/s", f"x has {4e-6 * nodes * channels:.2g} MB",
        )  # fmt: skip
