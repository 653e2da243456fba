"""Whether forward mode, a transform of torch.func or a compiler is at work on a tensor: functions with a gradient in closed
form then go the composed way. The private parts of torch that tell are named here only.
"""

from __future__ import annotations

import torch
from torch import Tensor


def is_wrapped(*tensors: Tensor) -> bool:
    """Whether a transform of torch.func (`vmap`, `grad`, `jvp`, ...) is at work on any of these."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # type: ignore[attr-defined]
    return any(wrapped(x) for x in tensors)


def is_transformed(*tensors: Tensor) -> bool:
    """Whether any of these is wrapped, or has a tangent in forward mode."""
    if is_wrapped(*tensors):
        return True
    forward = torch.autograd.forward_ad
    return forward._current_level >= 0 and any(forward.unpack_dual(x).tangent is not None for x in tensors)


def may_be_transformed(*tensors: Tensor) -> bool:
    """Whether any is wrapped, forward mode is entered at all, or the call is being compiled: a cheaper, coarser answer."""
    return torch.autograd.forward_ad._current_level >= 0 or torch.compiler.is_compiling() or is_wrapped(*tensors)
