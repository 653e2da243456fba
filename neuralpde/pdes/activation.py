"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from solvers import unknown

from ..operators.dense import tanh

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": tanh,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
}


def activation_named(name: str | None) -> Callable[[Tensor], Tensor] | None:
    """The function of that name; None for None and for "identity".

    Raises:
        UnknownName: naming the nearest ones.
    """
    if name is None or name == "identity":
        return None
    if name not in ACTIVATIONS:
        raise unknown("activation", name, (*ACTIVATIONS, "identity"))
    return ACTIVATIONS[name]
