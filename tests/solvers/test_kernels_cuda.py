"""The kernels for CUDA against dense float64 algebra: on CUDA where there is one, and the same calls on a CPU everywhere."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from solvers import Pattern, sddmm, spmm
from solvers.linear import kernels, kernels_cuda

F32, F64, C64, C128, BF16, F16 = torch.float32, torch.float64, torch.complex64, torch.complex128, torch.bfloat16, torch.float16
gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: kernels on a GPU")]
DEVICES = ["cpu", pytest.param("cuda", marks=gpu)]
on_cuda = pytest.param("cuda", marks=gpu)


def pattern_of(entries: list[tuple[int, int]], rows: int, cols: int, device: str = "cpu") -> Pattern:
    index = torch.tensor(entries, dtype=torch.int64).reshape(-1, 2).t().contiguous().to(device)
    return Pattern(index[0], index[1], rows, cols)


def random_pattern(rows: int, cols: int, entries: int, device: str) -> Pattern:
    draw = torch.Generator().manual_seed(0)
    at = torch.randint(rows, (entries,), generator=draw), torch.randint(cols, (entries,), generator=draw)
    return Pattern(at[0].to(device), at[1].to(device), rows, cols)


def dense(pattern: Pattern, values: Tensor) -> Tensor:
    zero = values.new_zeros(pattern.num_rows, pattern.num_cols)
    return zero.index_put((pattern.rows, pattern.cols), values, accumulate=True)


def close(got: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    tolerance = {BF16: 5e-2, F16: 5e-3}.get(dtype, 100 * torch.finfo(dtype).eps)
    assert got.dtype == dtype and got.shape == expected.shape
    torch.testing.assert_close(got.to(expected.dtype), expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tensors on a CPU take the kernels for CUDA."""
    monkeypatch.setattr(kernels, "_runs_on_cuda", lambda x: True)


entries = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40)


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=30, deadline=None)
@given(entries=entries, channels=st.integers(0, 3), kind=st.sampled_from([F32, F64, C64, C128]))
def test_on_drawn_patterns(device, entries, channels, kind):
    """Empty rows, parallel entries (more than the matrix has places), no channels, unsorted."""
    pattern, wide = pattern_of(entries, 6, 4, device), C128 if kind.is_complex else F64
    torch.manual_seed(0)
    values = torch.randn(len(pattern), dtype=kind, device=device)
    x, g = torch.randn(4, channels, dtype=kind, device=device), torch.randn(6, channels, dtype=kind, device=device)
    stored = kernels.in_row_order(pattern, values)
    close(kernels_cuda.product(pattern, stored, x), dense(pattern, values.to(wide)) @ x.to(wide), kind)
    expected = (g.to(wide).conj() @ x.to(wide).mT)[pattern.rows, pattern.cols]
    close(kernels.in_given_order(pattern, kernels_cuda.sampled(pattern, g, x)), expected, kind)


@pytest.mark.parametrize("device", [on_cuda])
@pytest.mark.parametrize("kind", [F32, F64, C64, C128, BF16, F16], ids=str)
def test_every_type_through_the_dispatch(device, kind):
    pattern, wide = random_pattern(300, 200, 4000, device), C128 if kind.is_complex else F64
    values, x = torch.randn(4000, dtype=kind, device=device) / 8, torch.randn(200, 17, dtype=kind, device=device) / 8
    g = torch.randn(300, 17, dtype=kind, device=device) / 8
    close(spmm(pattern, values, x), dense(pattern, values.to(wide)) @ x.to(wide), kind)
    close(sddmm(pattern, g, x), (g.to(wide).conj() @ x.to(wide).mT)[pattern.rows, pattern.cols], kind)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [F64, C128], ids=str)
def test_derivatives(device, kind, everywhere):
    pattern = random_pattern(5, 4, 9, device)
    torch.manual_seed(0)
    values = torch.randn(9, dtype=kind, device=device, requires_grad=True)
    x, g = (torch.randn(n, 2, dtype=kind, device=device, requires_grad=True) for n in (4, 5))
    for f, inputs in ((spmm, (values, x)), (sddmm, (g, x))):
        assert torch.autograd.gradcheck(lambda a, b, f=f: f(pattern, a, b), inputs, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(lambda a, b, f=f: f(pattern, a, b), inputs)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [F32, F64], ids=str)
def test_transposed_and_spread_operands(device, kind):
    """Columns side by side, rows that lie apart."""
    pattern = random_pattern(40, 30, 200, device)
    values = torch.randn(200, dtype=kind, device=device)
    stored, wide = kernels.in_row_order(pattern, values), torch.randn(30, 24, dtype=kind, device=device)
    for x in (wide.t().contiguous().t(), wide[:, ::2], wide[:, 3:9]):
        close(kernels_cuda.product(pattern, stored, x), dense(pattern, values).double() @ x.double(), kind)
        g = torch.randn(x.shape[1], 40, dtype=kind, device=device).t()
        sampled = kernels.in_given_order(pattern, kernels_cuda.sampled(pattern, g, x))
        close(sampled, (g.double() @ x.double().t())[pattern.rows, pattern.cols], kind)


@pytest.mark.parametrize("device", DEVICES)
def test_one_bad_node_spoils_its_neighbours_only(device):
    pattern = pattern_of([(0, 1), (1, 2), (2, 0)], 3, 3, device)
    values, x = torch.ones(3, device=device), torch.tensor([[1.0], [torch.nan], [torch.inf]], device=device)
    assert kernels_cuda.product(pattern, values, x).isfinite().flatten().tolist() == [False, False, True]
    assert kernels_cuda.sampled(pattern, torch.ones_like(x), x).isfinite().tolist() == [False, False, True]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(), (3,), (0,)], ids=str)
def test_segments(device, shape):
    """Empty segments at both ends and between, and a hub."""
    lengths = [0, 3, 0, 0, 500, 1, 0]
    pointers = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], device=device)
    rows = torch.arange(7, device=device).repeat_interleave(torch.tensor(lengths, device=device))
    x = torch.randn(504, *shape, dtype=F64, device=device)
    parts = [x[a:b] for a, b in zip(pointers[:-1].tolist(), pointers[1:].tolist(), strict=True)]
    torch.testing.assert_close(kernels_cuda.segment_sum(pointers, x), torch.stack([p.sum(0) for p in parts]))
    if x.numel():
        least = torch.full(shape, -torch.inf, dtype=F64, device=device)
        largest = torch.stack([p.amax(0) if len(p) else least for p in parts])
        torch.testing.assert_close(kernels_cuda.segment_max(pointers, x), largest)
    shares = kernels_cuda.segment_softmax(pointers, rows, 1000 * x)
    torch.testing.assert_close(shares, torch.cat([(1000 * p).softmax(0) for p in parts]))


@pytest.mark.parametrize("device", [on_cuda])
def test_the_same_in_every_run(device):
    pattern = random_pattern(5000, 5000, 200_000, device)
    values, x = torch.randn(200_000, device=device), torch.randn(5000, 64, device=device)
    first = kernels_cuda.sampled(pattern, x, x), kernels_cuda.segment_sum(pattern.by_row.pointers, values)
    for _ in range(5):
        again = kernels_cuda.sampled(pattern, x, x), kernels_cuda.segment_sum(pattern.by_row.pointers, values)
        assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


def test_dispatch_on_the_device():
    there = SimpleNamespace(is_cuda=True, dtype=BF16)
    assert kernels._kernel_for(there) is kernels_cuda.product  # type: ignore[arg-type]
    assert kernels._kernel_for(torch.zeros(2, 2)) is not kernels_cuda.product
