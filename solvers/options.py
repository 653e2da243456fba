"""The options of a solve as one typed dictionary, for whatever passes them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor

from .controllers import Controller
from .events import Event
from .protocols import Callback
from .space import Space


class SolveOptions(TypedDict, total=False):
    """The options shared by `solve`, `simulate` and `PDEBlock`; unknown keys are refused."""

    dt: float | None
    rtol: float | None
    atol: float | None
    controller: Controller | None
    gradient: str
    params: Sequence[Tensor] | None
    save: str
    events: Sequence[Event]
    callbacks: Sequence[Callback]
    max_steps: int
    stability_check: bool
    progress: bool
    space: Space | None
