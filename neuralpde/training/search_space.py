"""Where hyperparameters are searched: a distribution for each name."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Distribution(ABC):
    """Values of one hyperparameter."""

    @abstractmethod
    def draw(self, generator: random.Random) -> Any:
        """One value."""


@dataclass(frozen=True)
class Uniform(Distribution):
    """A number between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered(self, self.low, self.high)

    def draw(self, generator: random.Random) -> float:
        return generator.uniform(self.low, self.high)


@dataclass(frozen=True)
class LogUniform(Distribution):
    """A positive number between `low` and `high` whose logarithm is uniform."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered(self, self.low, self.high)
        if not self.low > 0:
            raise ValueError(f"{self}: a logarithm needs low > 0")

    def draw(self, generator: random.Random) -> float:
        value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        return min(max(value, self.low), self.high)  # rounding


@dataclass(frozen=True)
class Integer(Distribution):
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _ordered(self, self.low, self.high)

    def draw(self, generator: random.Random) -> int:
        return generator.randint(self.low, self.high)


@dataclass(frozen=True)
class Choice(Distribution):
    """One of some values."""

    values: Sequence[Any]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("Choice has no values; expected at least one")

    def draw(self, generator: random.Random) -> Any:
        return generator.choice(list(self.values))


def drawn(space: Mapping[str, Distribution], seed: int, trial: int) -> dict[str, Any]:
    """The values of one trial: the same for the same seed and number, whatever was tried before.

    Each name has a generator of its own, so that a further name leaves the values of the others as they were.
    """
    return {name: d.draw(random.Random(f"{seed} {trial} {name}")) for name, d in space.items()}


def _ordered(which: Distribution, low: float, high: float) -> None:
    if not low <= high:
        raise ValueError(f"{which}: expected low <= high")
