"""Fields that change at given times: pieces between knots, entered one after the other."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .protocols import VectorField

_ROUNDING = 1e-9  # of a period: a time that close to a knot is the knot


class Knots(ABC):
    """Times at which a field changes; piece k lies between the k-th knot and the next one."""

    @abstractmethod
    def index(self, t: float, forward: bool = True) -> int:
        """The piece that a solve from t is in; at a knot the one that begins there, or with `forward=False` that ends there."""

    @abstractmethod
    def between(self, low: float, high: float) -> list[float]:
        """The knots strictly between two times, increasing."""


@dataclass(frozen=True)
class At(Knots):
    """Knots at given times: piece 0 before the first, piece k from `times[k - 1]` on.

    Raises:
        ValueError: unless they are finite and increase.
    """

    times: Sequence[float]

    def __post_init__(self) -> None:
        if not all(a < b for a, b in zip(self.times, self.times[1:], strict=False)) or not all(map(math.isfinite, self.times)):
            raise ValueError(f"knots = {list(self.times)}; expected finite times that strictly increase")

    def index(self, t: float, forward: bool = True) -> int:
        return bisect_right(self.times, t) if forward else bisect_left(self.times, t)

    def between(self, low: float, high: float) -> list[float]:
        return [float(s) for s in self.times if low < s < high]


@dataclass(frozen=True)
class Every(Knots):
    """Knots at all multiples of a period: piece k begins at `k period`.

    Raises:
        ValueError: unless the period is positive and finite.
    """

    period: float

    def __post_init__(self) -> None:
        if not 0 < self.period < math.inf:
            raise ValueError(f"period = {self.period}; expected a positive time between two knots")

    def index(self, t: float, forward: bool = True) -> int:
        at = t / self.period
        near = round(at)
        if abs(at - near) <= _ROUNDING * max(1.0, abs(at)):
            return near if forward else near - 1
        return math.floor(at)

    def between(self, low: float, high: float) -> list[float]:
        first, last = self.index(low) + 1, self.index(high, forward=False)
        return [k * self.period for k in range(first, last + 1)]


class Piecewise(ABC):
    """`y' = f_k(t, y)` from the k-th knot to the next one, where `(f_k, y) = enter(k, y)`.

    `solve` lands on every knot, enters the next piece there, and starts the method anew: its order is kept across a jump of the
    field, and no history leads over one. `enter` may look at the state, to make a field of it (edges chosen anew), and may
    change it (a jump). What is saved at a knot, and given to callbacks, is the state before the jump.

    It must give the same for the same k and y: what is random in it follows from a seed and k.
    """

    @property
    @abstractmethod
    def knots(self) -> Knots:
        """Where the pieces meet."""

    @abstractmethod
    def enter(self, k: int, y: Tensor) -> tuple[VectorField, Tensor]:
        """The field of piece k, and the state that its solution begins at.

        Args:
            k: the piece.
            y: the state in which it is entered.
        """

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Refused: what a piece is may follow from the state in which it is entered, which a single (t, y) does not tell.

        Raises:
            TypeError: always, but where the pieces are given as a list.
        """
        raise TypeError(
            f"{type(self).__name__} is one field after another, and only solve() knows in which state a piece was entered; "
            "enter(k, y) gives the field of piece k"
        )


@dataclass(frozen=True, eq=False)
class Pieces(Piecewise):
    """Fields in a row: `fields[k]` is that of piece k, as the layers of a network are.

    Args:
        fields: in order.
        knots: where each ends and the next one begins: one fewer than there are fields, or `Every(period)`; beyond the last
            field, and before time zero, there is none.

    Raises:
        ValueError: another number of knots.
    """

    fields: Sequence[VectorField]
    at: Sequence[float] | Every

    def __post_init__(self) -> None:
        if not self.fields:
            raise ValueError("there are no fields; expected one for each piece")
        if not isinstance(self.at, Every) and len(self.at) != len(self.fields) - 1:
            raise ValueError(f"{len(self.at)} knots for {len(self.fields)} fields; expected one between each two")

    @property
    def knots(self) -> Knots:
        return self.at if isinstance(self.at, Every) else At(tuple(self.at))

    def enter(self, k: int, y: Tensor) -> tuple[VectorField, Tensor]:
        return self._field(k), y

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self._field(self.knots.index(float(t)))(t, y)

    def _field(self, k: int) -> VectorField:
        if not 0 <= k < len(self.fields):
            raise ValueError(
                f"there is no piece {k}: {len(self.fields)} fields, with {self.at}; give more fields, or end the solve earlier"
            )
        return self.fields[k]


@dataclass(frozen=True, eq=False)
class StateDropout(Piecewise):
    """The state loses entries at every knot but the first: `y <- y m_k / (1 - p)`, m_k of zeros (share p) and ones.

    The mask m_k follows from the seed and k: a solve repeats itself, forwards and in a gradient. An expectation is kept.

    Args:
        field: of all pieces.
        period: between two knots.
        p: share of the entries that is dropped.
        seed: of the masks.

    Reference: T. K. Rusch, B. Chamberlain, J. Rowbottom, S. Mishra, M. Bronstein, Graph-coupled oscillator networks (2022),
    whose code drops entries after every layer.
    """

    field: VectorField
    period: float
    p: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.p < 1:
            raise ValueError(f"p = {self.p}; expected 0 <= p < 1, the share of the entries that is dropped")

    @property
    def knots(self) -> Knots:
        return Every(self.period)

    def enter(self, k: int, y: Tensor) -> tuple[VectorField, Tensor]:
        if k == 0 or self.p == 0:
            return self.field, y
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + k)
        kept = torch.rand(y.shape, generator=generator) >= self.p
        return self.field, y * kept.to(y.device, y.dtype) / (1 - self.p)
