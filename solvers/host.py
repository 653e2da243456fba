"""When the host may look at the numbers of a state.

A look at a tensor on a GPU waits for all that was launched before, and is refused while a CUDA graph is captured. Loops of
fixed steps therefore look once, at the end, and not at all under capture.
"""

from __future__ import annotations

import torch
from torch import Tensor


def looks_are_cheap(y: Tensor) -> bool:
    """Whether reading a number of `y` makes nobody wait."""
    return y.device.type == "cpu"


def host_may_look(y: Tensor) -> bool:
    """Whether a number of `y` can be read at all now."""
    return looks_are_cheap(y) or not (y.is_cuda and torch.cuda.is_current_stream_capturing())
