"""The two kernels under every graph operator, and their derivatives.

`spmm`:  y_i = sum over entries k in row i of values_k x_{cols_k}          (sparse matrix times dense)
`sddmm`: s_k = <g_{rows_k}, x_{cols_k}> = sum over channels conj(g) x      (what the values' gradient needs)

Each is the other's derivative, so both are differentiable any number of times. The product dispatches on dtype and device:
float32, bfloat16 and float16 on a CPU go through `embedding_bag` (a weighted bag is a CSR row), float64 through the CSR
reduction kernel of torch.sparse, and everything else through `index_add`. The sampled product goes through
`torch.sparse.sampled_addmm` (float32 and float64), else through gathers in chunks. Neither makes a temporary of entries x
channels. On CUDA both are those of `kernels_cuda`.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ..transformed import is_transformed, is_wrapped
from . import kernels_cuda
from .pattern import Pattern

_BAG_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_HAS_FAST_BAG = platform.machine().lower() in ("x86_64", "amd64")  # the vectorised kernel exists on x86 only
_CHUNK_ENTRIES = 1 << 21  # entries x channels gathered at a time: 8 MiB in float32, inside a last-level cache
_FEW, _WIDE = 4, 16  # so few states of so many channels are multiplied one by one


with warnings.catch_warnings():  # torch warns once per process that CSR is in beta: let that once be here
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1))


def spmm(pattern: Pattern, values: Tensor, x: Tensor, stored: Tensor | None = None) -> Tensor:
    """Sparse times dense, `[..., cols, c] -> [..., rows, c]` (or `[cols] -> [rows]`).

    Args:
        pattern: where the entries are.
        values: the entries, `[entries]`, in the pattern's order.
        x: the dense factor.
        stored: `values` in row-compressed order, if the caller keeps it.
    """
    if x.dim() == 1:
        return spmm(pattern, values, x.unsqueeze(1), stored).squeeze(1)
    if x.dim() > 2 and x[..., 0, 0].numel() <= _FEW and x.shape[-1] >= _WIDE:  # q and p, say: no copy of the operand
        parts = [spmm(pattern, values, part, stored) for part in x.flatten(0, -3)]
        return torch.stack(parts).unflatten(0, x.shape[:-2])
    if x.dim() > 2:  # leading axes become columns: one pass over the pattern
        flat = x.movedim(-2, 0)
        out = spmm(pattern, values, flat.reshape(flat.shape[0], -1), stored)
        return out.reshape(pattern.num_rows, *flat.shape[1:]).movedim(0, -2)
    if _is_differentiated(values, x):
        return _Spmm.apply(pattern, stored, values, x)  # type: ignore[return-value]
    return _product(pattern, values, x, stored)


def sddmm(pattern: Pattern, g: Tensor, x: Tensor) -> Tensor:
    """`s_k = sum_c conj(g[rows_k, c]) x[cols_k, c]`, `[entries]`, in the pattern's order."""
    if _is_differentiated(g, x):
        return _Sddmm.apply(pattern, g, x)  # type: ignore[return-value]
    return _sampled(pattern, g, x)


class _Spmm(torch.autograd.Function):
    @staticmethod
    def forward(pattern: Pattern, stored: Tensor | None, values: Tensor, x: Tensor) -> Tensor:
        return _product(pattern, values, x, stored)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.pattern, _, values, x = inputs
        kept = values.requires_grad or is_wrapped(values, x)  # x serves the gradient in the values alone
        ctx.save_for_backward(values, x if kept else None)
        ctx.save_for_forward(values, x)

    @staticmethod
    def backward(ctx, g: Tensor):
        values, x = ctx.saved_tensors
        pattern = ctx.pattern
        to_values = to_x = None
        if ctx.needs_input_grad[2]:
            to_values = _conj(sddmm(pattern, g, x))
        if ctx.needs_input_grad[3]:
            to_x = spmm(pattern.transposed, _conj(values), g)
        return None, None, to_values, to_x

    @staticmethod
    def jvp(ctx, _p, _s, values_dot: Tensor | None, x_dot: Tensor | None) -> Tensor:
        values, x = ctx.saved_tensors
        out = None
        if x_dot is not None:
            out = spmm(ctx.pattern, values, x_dot)
        if values_dot is not None:
            part = spmm(ctx.pattern, values_dot, x)
            out = part if out is None else out + part
        return out  # type: ignore[return-value]


class _Sddmm(torch.autograd.Function):
    @staticmethod
    def forward(pattern: Pattern, g: Tensor, x: Tensor) -> Tensor:
        return _sampled(pattern, g, x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.pattern, g, x = inputs
        ctx.save_for_backward(g, x)
        ctx.save_for_forward(g, x)

    @staticmethod
    def backward(ctx, s: Tensor):
        g, x = ctx.saved_tensors
        pattern = ctx.pattern
        to_g = spmm(pattern, _conj(s), x) if ctx.needs_input_grad[1] else None
        to_x = spmm(pattern.transposed, s, g) if ctx.needs_input_grad[2] else None
        return None, to_g, to_x

    @staticmethod
    def jvp(ctx, _p, g_dot: Tensor | None, x_dot: Tensor | None) -> Tensor:
        g, x = ctx.saved_tensors
        out = None
        if g_dot is not None:
            out = sddmm(ctx.pattern, g_dot, x)
        if x_dot is not None:
            part = sddmm(ctx.pattern, g, x_dot)
            out = part if out is None else out + part
        return out  # type: ignore[return-value]


def in_row_order(pattern: Pattern, values: Tensor) -> Tensor:
    """The entries' values in row-compressed order."""
    order = pattern.by_row.order
    return values if order is None else values.index_select(0, order)


def in_given_order(pattern: Pattern, stored: Tensor) -> Tensor:
    """The entries' values in the pattern's order, from those in row-compressed order."""
    place = pattern.by_row.place
    return stored if place is None else stored.index_select(0, place)


def _product(pattern: Pattern, values: Tensor, x: Tensor, stored: Tensor | None) -> Tensor:
    if len(pattern) == 0 or x.shape[-1] == 0 or pattern.num_rows == 0:
        return x.new_zeros(pattern.num_rows, x.shape[-1])
    stored = in_row_order(pattern, values) if stored is None else stored
    if stored.dtype != x.dtype:
        dtype = torch.promote_types(stored.dtype, x.dtype)
        stored, x = stored.to(dtype), x.to(dtype)
    return _kernel_for(x)(pattern, stored, x)


def _runs_on_cuda(x: Tensor) -> bool:
    return x.is_cuda


def _kernel_for(x: Tensor) -> Callable[[Pattern, Tensor, Tensor], Tensor]:
    if _runs_on_cuda(x):
        return kernels_cuda.product
    if x.is_cpu and x.dtype in _BAG_DTYPES and _HAS_FAST_BAG:
        return _bag
    if x.is_cpu and x.dtype in (torch.float32, torch.float64):
        return _csr
    return _scatter


def _bag(pattern: Pattern, stored: Tensor, x: Tensor) -> Tensor:
    c = pattern.by_row
    x = x.detach() if x.stride(1) == 1 else x.detach().contiguous()  # rows may lie apart; a leaf would record its bags
    # by its short way, without the checks of torch.nn.functional: weight, indices, offsets, .., mode 0 (a sum), .., last offset
    return torch.embedding_bag(x, c.columns, c.pointers, False, 0, False, stored, True, None)[0]


def _csr(pattern: Pattern, stored: Tensor, x: Tensor) -> Tensor:
    return torch.sparse.mm(_matrix(pattern, stored), x.contiguous(), "sum")


def _scatter(pattern: Pattern, stored: Tensor, x: Tensor) -> Tensor:
    c = pattern.by_row
    out = x.new_zeros(pattern.num_rows, x.shape[1])
    step = max(1, _CHUNK_ENTRIES // max(1, x.shape[1]))
    for start in range(0, len(pattern), step):
        part = slice(start, start + step)
        out.index_add_(0, c.rows[part], stored[part, None] * x.index_select(0, c.columns[part]))
    return out


def _matrix(pattern: Pattern, stored: Tensor) -> Tensor:
    c, size = pattern.by_row, (pattern.num_rows, pattern.num_cols)
    return torch.sparse_csr_tensor(c.pointers, c.columns, stored, size, check_invariants=False)


def _sampled(pattern: Pattern, g: Tensor, x: Tensor) -> Tensor:
    dtype = torch.promote_types(g.dtype, x.dtype)
    g, x = g.to(dtype), x.to(dtype)
    if len(pattern) == 0 or x.shape[1] == 0:
        return torch.zeros(len(pattern), dtype=dtype, device=x.device)
    if _runs_on_cuda(x):
        return in_given_order(pattern, kernels_cuda.sampled(pattern, g, x))
    many = len(pattern) > pattern.num_rows * pattern.num_cols  # repeats beyond what torch.sparse takes for possible
    if x.device.type == "cpu" and dtype in (torch.float32, torch.float64) and not many:
        return _sampled_csr(pattern, g, x)
    return _sampled_chunks(pattern, g, x)


def _sampled_csr(pattern: Pattern, g: Tensor, x: Tensor) -> Tensor:
    zero = torch.zeros(len(pattern), dtype=x.dtype, device=x.device)  # beta = 0 would keep what is not a number
    matrix = _matrix(pattern, zero)
    torch.sparse.sampled_addmm(matrix, g, x.t(), out=matrix)
    return in_given_order(pattern, matrix.values())


def _sampled_chunks(pattern: Pattern, g: Tensor, x: Tensor) -> Tensor:
    """Gathers into two buffers, over and over."""
    count, width = len(pattern), x.shape[1]
    out = torch.empty(count, dtype=x.dtype, device=x.device)
    step = min(count, max(1, _CHUNK_ENTRIES // width))
    left, right = x.new_empty(2, step, width)
    for start in range(0, count, step):
        part = slice(start, start + step)
        rows, cols = pattern.rows[part], pattern.cols[part]
        a, b = left[: len(rows)], right[: len(rows)]
        torch.index_select(g, 0, rows, out=a)
        torch.index_select(x, 0, cols, out=b)
        out[part] = torch.linalg.vecdot(a, b, dim=1)
    return out


def _conj(x: Tensor) -> Tensor:
    return x.conj().resolve_conj() if x.is_complex() else x


def _is_differentiated(a: Tensor, b: Tensor) -> bool:
    """Whether a derivative is being taken: by backward or forward mode, or inside a transform of torch.func."""
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        return True
    return is_transformed(a, b)
