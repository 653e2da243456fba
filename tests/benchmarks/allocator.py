"""The two settings of the C allocator under which everything is measured.

glibc maps and unmaps every block over 32 MiB, so that each large fresh tensor is paid in page faults. "tuned" keeps memory:
`mallopt` with M_MMAP_MAX = 0 (never map), M_TRIM_THRESHOLD = 2^31 - 1 (give nothing back), M_TOP_PAD = 64 MiB. The setting
lasts as long as the process, so every case runs in one process per setting.
"""

from __future__ import annotations

import ctypes

DEFAULT, TUNED = "default", "tuned"
_OPTIONS = {-4: 0, -1: 2**31 - 1, -2: 64 << 20}  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD of malloc.h


def tune() -> bool:
    """Set this process's allocator to keep its memory; False where the C library has no `mallopt` (not glibc)."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return all(library.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in _OPTIONS.items())
