"""How much memory a device still has, bytes in words, and the refusal of what cannot fit."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_LITTLE = 2**26  # bytes that are not worth a look


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on a device; None where the system does not say."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu":
        return None
    bounds = [_available(), _left_in_group()]
    return min((b for b in bounds if b is not None), default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else None


def _left_in_group(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves; the cache of files counts as free, for it gives way."""
    try:
        used = int((group / "memory.current").read_text())
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, size = line.partition(" ")
            used -= int(size) if name == "inactive_file" else 0
        return int((group / "memory.max").read_text()) - used
    except (OSError, ValueError):
        return None


def bytes_in_words(n: float) -> str:
    """`1536` as "1.5 KiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.3g} {unit}"
        n /= 1024
    return f"{n:,.3g} TiB"


def refuse_what_cannot_fit(needed: float, device: torch.device, what: str, instead: str) -> None:
    """Raise before an allocation that the device has no room for, rather than let the system end the process.

    Args:
        needed: bytes, as estimated. Below 64 MiB nothing is looked at.
        device: where.
        what: what they are for, the start of a sentence.
        instead: what to do, the end of one.

    Raises:
        MemoryError: `needed` is more than `free_memory(device)`.
    """
    if needed < _LITTLE:
        return
    free = free_memory(device)
    if free is not None and needed > free:
        raise MemoryError(
            f"{what} takes about {bytes_in_words(needed)}; {bytes_in_words(free)} are free on {device}. {instead}"
        )


def refuse_dense(name: str, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> None:
    """Raise a MemoryError if an operator as a dense matrix, and the unit matrix that it is made from, do not fit.

    Args:
        name: of the operator, the start of a sentence.
        shape: `(rows, columns)`.
        dtype, device: of its entries.
    """
    rows, columns = shape
    what = f"{name} of shape ({rows:,}, {columns:,}) as a dense matrix"
    instead = "Use products with it (matvec), or solve with CG() or GMRES(), which need no more."
    refuse_what_cannot_fit((rows + columns) * columns * dtype.itemsize, device, what, instead)
