"""The kernels as calls that suit a CUDA device: CSR products by cuSPARSE, and sums and maxima of segments without atomics.

    product:  y_i = sum over entries k in row i of values_k x_{cols_k}
    sampled:  s_k = sum over channels of conj(g)_{rows_k} x_{cols_k}
    segment_sum, segment_max:  over the entries of a row, for the softmax over edges

Each is a call or two of torch and nothing here names a device, so that the same code runs on a CPU, where it is tested. No call
waits for the device or looks at a number once the pattern is sorted: all can be captured in a CUDA graph. Nothing of entries x
channels is made, except in `sampled` for types that cuSPARSE does not sample, some entries at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .pattern import Pattern

_CHUNK = 1 << 26  # entries x channels gathered at a time: a quarter of a GiB in float32, few launches
_SAMPLED = (torch.float32, torch.float64)


def product(pattern: Pattern, stored: Tensor, x: Tensor) -> Tensor:
    """Sparse times dense, `[cols, c] -> [rows, c]`.

    Args:
        pattern: where the entries are.
        stored: the entries in row-compressed order, of the type of x.
        x: `[cols, c]`.
    """
    if len(pattern) == 0 or x.shape[1] == 0:
        return x.new_zeros(pattern.num_rows, x.shape[1])
    return _matrix(pattern, stored) @ (x if x.stride(1) == 1 else x.contiguous())


def sampled(pattern: Pattern, g: Tensor, x: Tensor) -> Tensor:
    """`s_k = sum_c conj(g[rows_k, c]) x[cols_k, c]`, `[entries]`, in row-compressed order.

    Args:
        pattern: where the entries are.
        g, x: `[rows, c]` and `[cols, c]`, of one type.
    """
    count, width, c = len(pattern), x.shape[1], pattern.by_row
    if count == 0 or width == 0:
        return x.new_zeros(count)
    if x.dtype in _SAMPLED and count <= pattern.num_rows * pattern.num_cols:  # torch takes more entries for impossible
        matrix = _matrix(pattern, x.new_zeros(count))
        return torch.sparse.sampled_addmm(matrix, g, x.t(), out=matrix).values()
    out, step = x.new_empty(count), max(1, _CHUNK // width)
    for start in range(0, count, step):
        part = slice(start, start + step)
        left, right = g.index_select(0, c.rows[part]), x.index_select(0, c.columns[part])
        out[part] = torch.linalg.vecdot(left, right, dim=1)
    return out


def segment_sum(pointers: Tensor, x: Tensor) -> Tensor:
    """`out_i = sum of x_k, pointers_i <= k < pointers_{i+1}`, `[entries, ...] -> [segments, ...]`; 0 where there are none.

    The order of the sum is fixed: the result is the same in every run.
    """
    return torch.segment_reduce(x, "sum", offsets=pointers, axis=0, unsafe=True, initial=0.0)


def segment_max(pointers: Tensor, x: Tensor) -> Tensor:
    """The largest x of each segment, `[entries, ...] -> [segments, ...]`; minus infinity where there are none."""
    return torch.segment_reduce(x, "max", offsets=pointers, axis=0, unsafe=True, initial=-torch.inf)


def segment_softmax(pointers: Tensor, rows: Tensor, scores: Tensor) -> Tensor:
    """`exp(s_k - max) / sum exp(s - max)` over each segment, `[entries, ...]`.

    Args:
        pointers: `[segments + 1]`.
        rows: the segment of each entry, `[entries]`.
        scores: `[entries, ...]`.
    """
    w = (scores - segment_max(pointers, scores).index_select(0, rows)).exp_()
    return w.div_(segment_sum(pointers, w).index_select(0, rows))


def _matrix(pattern: Pattern, stored: Tensor) -> Tensor:
    c, size = pattern.by_row, (pattern.num_rows, pattern.num_cols)
    return torch.sparse_csr_tensor(c.pointers, c.columns, stored, size, check_invariants=False)
