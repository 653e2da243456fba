"""A progress line for a terminal, one line per tenth of the way elsewhere."""

from __future__ import annotations

from typing import TextIO

from torch import Tensor


class TextProgress:
    """A callback that writes how far a solve has come."""

    times = None

    def __init__(self, start: float, end: float, stream: TextIO):
        self.start, self.end, self.stream = start, end, stream
        self.steps, self.tenth = 0, -1

    def before(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def rejected(self, t: float, y: Tensor, dt: float) -> None:
        return None

    def after(self, t: float, y: Tensor, dt: float) -> None:
        self.steps += dt != 0
        share = (t - self.start) / (self.end - self.start)
        if int(share * 10) == self.tenth and not (self.stream.isatty() and self.steps % 10 == 0):
            return
        self.tenth = int(share * 10)
        ends = "\r" if self.stream.isatty() and share < 1 else "\n"
        self.stream.write(f"t = {t:.6g} of {self.end:.6g} ({share:4.0%}), step {self.steps}, dt {dt:.3g}{ends}")
        self.stream.flush()
