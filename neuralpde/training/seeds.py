"""One seed for everything random in a scope, and nothing outside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generators as if seeded with `seed`; after the scope they are as they were before.

    Args:
        seed: for the CPU and, if CUDA is in use, all its devices.
    """
    with torch.random.fork_rng(devices=_devices()):
        torch.default_generator.manual_seed(seed)
        for device in _devices():
            torch.cuda.default_generators[device].manual_seed(seed)
        yield


def rng_state() -> dict[str, object]:
    """The state of torch's generators, as tensors."""
    return {"cpu": torch.get_rng_state(), "cuda": [torch.cuda.get_rng_state(d) for d in _devices()]}


def set_rng_state(state: dict[str, object]) -> None:
    """Put back what `rng_state` gave."""
    torch.set_rng_state(state["cpu"])  # type: ignore[arg-type]
    for device, value in zip(_devices(), state["cuda"], strict=False):  # type: ignore[arg-type]
        torch.cuda.set_rng_state(value, device)


def _devices() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_available() and torch.cuda.is_initialized() else []
