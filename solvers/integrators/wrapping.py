"""A method around another one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..protocols import Problem, Work
from .base import Integrator


@dataclass(frozen=True, eq=False)
class Wrapping(Integrator):
    """A method that does something around the steps of another, and says of itself what that one says.

    Args:
        method: what takes the steps.
    """

    method: Integrator

    @property
    def order(self) -> int | float:  # type: ignore[override]
        return self.method.order

    @property
    def adaptive(self) -> bool:  # type: ignore[override]
        return self.method.adaptive

    @property
    def explicit(self) -> bool:  # type: ignore[override]
        return self.method.explicit

    @property
    def needs(self) -> str | None:  # type: ignore[override]
        return self.method.needs

    @property
    def dense_output(self) -> bool:  # type: ignore[override]
        return self.method.dense_output

    @property
    def dense_order(self) -> int | None:  # type: ignore[override]
        return self.method.dense_order

    @property
    def dense_is_free(self) -> bool:  # type: ignore[override]
        return self.method.dense_is_free

    @property
    def name(self) -> str:
        return self.method.name

    def init(self, problem: Problem, t: float, y: Tensor) -> tuple[object, Work]:
        return self.method.init(problem, t, y)
