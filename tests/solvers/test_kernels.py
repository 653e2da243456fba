"""The sparse kernels against dense algebra: values, derivatives of every kind, dtypes, odd patterns, memory."""

import resource

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad as fwd

from solvers import Pattern, SparseOperator, sddmm, spmm
from solvers.linear import kernels

F64, C128 = torch.float64, torch.complex128


def make(entries, rows: int, cols: int) -> Pattern:
    index = torch.tensor(entries, dtype=torch.int64).reshape(-1, 2)
    return Pattern(index[:, 0].contiguous(), index[:, 1].contiguous(), rows, cols)


def random_pattern(rows: int, cols: int, entries: int, seed: int = 0) -> Pattern:
    generator = torch.Generator().manual_seed(seed)
    return Pattern(
        torch.randint(rows, (entries,), generator=generator), torch.randint(cols, (entries,), generator=generator), rows, cols
    )


PATTERNS = {
    "sorted": make([(0, 1), (1, 0), (1, 2), (2, 2)], 3, 3),
    "unsorted": make([(2, 2), (0, 1), (1, 2), (1, 0)], 3, 3),
    "duplicates": make([(0, 1), (2, 2), (0, 1), (2, 2), (0, 1)], 3, 3),
    "empty": make([], 3, 3),
    "empty rows": make([(3, 0), (3, 1)], 5, 2),
    "wide": make([(0, 4), (1, 0), (1, 3), (0, 4)], 2, 5),
    "tall": make([(4, 0), (0, 1), (3, 0)], 5, 2),
    "no rows": make([], 0, 4),
    "random": random_pattern(7, 5, 20),
}
every_pattern = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)


def dense(pattern: Pattern, values: Tensor) -> Tensor:
    zero = values.new_zeros(pattern.num_rows, pattern.num_cols)
    return zero.index_put((pattern.rows, pattern.cols), values, accumulate=True)


def example(pattern: Pattern, dtype: torch.dtype = F64, channels: int = 3, grad: bool = True) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    values, x = torch.randn(len(pattern), dtype=dtype), torch.randn(pattern.num_cols, channels, dtype=dtype)
    return values.requires_grad_(grad), x.requires_grad_(grad)


@every_pattern
@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64, C128, torch.bfloat16, torch.float16], ids=str)
def test_product_is_the_dense_one(pattern, dtype):
    values, x = example(pattern, dtype, grad=False)
    wide = C128 if dtype.is_complex else F64
    expected = dense(pattern, values.to(wide)) @ x.to(wide)
    got = spmm(pattern, values, x)
    assert got.dtype == dtype and got.shape == expected.shape
    tolerance = {torch.bfloat16: 5e-2, torch.float16: 5e-3}.get(dtype, 50 * torch.finfo(dtype).eps)
    assert torch.allclose(got.to(wide), expected, atol=tolerance, rtol=tolerance)


@every_pattern
@pytest.mark.parametrize("dtype", [torch.float32, F64, C128, torch.bfloat16], ids=str)
def test_every_kernel_equals_scatter(pattern, dtype):
    if not len(pattern):
        return
    values, x = example(pattern, dtype, grad=False)
    stored = kernels.in_row_order(pattern, values)
    tolerance = 5e-2 if dtype == torch.bfloat16 else 50 * torch.finfo(dtype).eps
    chosen = kernels._kernel_for(x)(pattern, stored, x)
    assert torch.allclose(chosen, kernels._scatter(pattern, stored, x), atol=tolerance, rtol=tolerance)


def test_dispatch():
    on = {dtype: kernels._kernel_for(torch.zeros(2, 2, dtype=dtype)).__name__ for dtype in (torch.float32, F64, C128)}
    fast = kernels._HAS_FAST_BAG
    assert on == {torch.float32: "_bag" if fast else "_csr", F64: "_csr", C128: "_scatter"}


@every_pattern
def test_leading_axes_are_columns(pattern):
    values, x = example(pattern, grad=False)
    block = torch.stack([torch.stack([x, 2 * x]), torch.stack([x + 1, -x]), torch.stack([x * x, x])])
    got = spmm(pattern, values, block)
    assert got.shape == (3, 2, pattern.num_rows, 3)
    for i in range(3):
        for j in range(2):
            assert torch.allclose(got[i, j], spmm(pattern, values, block[i, j]))
    assert torch.allclose(spmm(pattern, values, x[:, 0]), spmm(pattern, values, x)[:, 0])
    assert spmm(pattern, values, x[:, :0]).shape == (pattern.num_rows, 0)
    assert torch.allclose(spmm(pattern, values, x.T.contiguous().T), spmm(pattern, values, x))


@every_pattern
@pytest.mark.parametrize("dtype", [F64, C128], ids=str)
def test_sampled_product_is_the_dense_one(pattern, dtype):
    _, x = example(pattern, dtype, grad=False)
    g = torch.randn(pattern.num_rows, 3, dtype=dtype)
    expected = (g.conj() @ x.mT)[pattern.rows, pattern.cols]
    assert torch.allclose(sddmm(pattern, g, x), expected)


@every_pattern
@pytest.mark.parametrize("dtype", [F64, C128], ids=str)
def test_derivatives_of_the_product(pattern, dtype):
    inputs = example(pattern, dtype, channels=2)
    forward = {"check_forward_ad": True} if pattern.num_rows and len(pattern) else {}
    assert torch.autograd.gradcheck(lambda v, x: spmm(pattern, v, x), inputs, **forward)
    assert torch.autograd.gradgradcheck(lambda v, x: spmm(pattern, v, x), inputs)


@every_pattern
@pytest.mark.parametrize("dtype", [F64, C128], ids=str)
def test_derivatives_of_the_sampled_product(pattern, dtype):
    _, x = example(pattern, dtype, channels=2)
    g = torch.randn(pattern.num_rows, 2, dtype=dtype, requires_grad=True)
    forward = {"check_forward_ad": True} if pattern.num_rows and len(pattern) else {}
    assert torch.autograd.gradcheck(lambda g, x: sddmm(pattern, g, x), (g, x), **forward)
    assert torch.autograd.gradgradcheck(lambda g, x: sddmm(pattern, g, x), (g, x))


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_third_derivative(dtype):
    pattern = PATTERNS["duplicates"]
    values, x = example(pattern, dtype, channels=2)

    def energy(product) -> Tensor:
        first = torch.autograd.grad(product(values, x).square().sum(), (values, x), create_graph=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), (values, x), create_graph=True)
        return torch.autograd.grad(sum((g * g).sum() for g in second), values)[0]

    assert torch.allclose(energy(lambda v, x: spmm(pattern, v, x)), energy(lambda v, x: dense(pattern, v) @ x), rtol=1e-4)


def test_forward_mode_by_both_interfaces():
    pattern = PATTERNS["random"]
    values, x = example(pattern, grad=False)
    dv, dx = torch.randn_like(values), torch.randn_like(x)
    expected = dense(pattern, dv) @ x + dense(pattern, values) @ dx
    with fwd.dual_level():
        dual = spmm(pattern, fwd.make_dual(values, dv), fwd.make_dual(x, dx))
        assert torch.allclose(fwd.unpack_dual(dual).tangent, expected)
        only_x = spmm(pattern, values, fwd.make_dual(x, dx))
        assert torch.allclose(fwd.unpack_dual(only_x).tangent, dense(pattern, values) @ dx)
    _, tangent = torch.func.jvp(lambda v, x: spmm(pattern, v, x), (values, x), (dv, dx))
    assert torch.allclose(tangent, expected)
    _, tangent = torch.func.jvp(lambda x: spmm(pattern, values, x), (x,), (dx,))
    assert torch.allclose(tangent, dense(pattern, values) @ dx)


def test_transforms_of_torch_func():
    pattern = PATTERNS["random"]
    values, x = example(pattern, grad=False)

    def f(v, x):
        return torch.tanh(spmm(pattern, v, x)).square().sum()

    def g(v, x):
        return torch.tanh(dense(pattern, v) @ x).square().sum()

    for mine, theirs in zip(torch.func.grad(f, (0, 1))(values, x), torch.func.grad(g, (0, 1))(values, x), strict=True):
        assert torch.allclose(mine, theirs)
    _, pull = torch.func.vjp(lambda x: spmm(pattern, values, x), x)
    cotangent = torch.randn(pattern.num_rows, 3, dtype=F64)
    assert torch.allclose(pull(cotangent)[0], dense(pattern, values).T @ cotangent)
    direction = torch.randn_like(x)  # forward over reverse: a Hessian-vector product
    hvp = torch.func.jvp(lambda x: torch.func.grad(f, 1)(values, x), (x,), (direction,))[1]
    assert torch.allclose(hvp, torch.func.jvp(lambda x: torch.func.grad(g, 1)(values, x), (x,), (direction,))[1])


def test_forward_mode_through_tensors_that_need_a_gradient():
    """As in a Newton-Krylov solve inside a training step."""
    pattern = PATTERNS["random"]
    values, x = example(pattern)
    direction = torch.randn_like(x)
    _, tangent = torch.func.jvp(lambda x: spmm(pattern, values, x), (x.detach(),), (direction,))
    assert torch.allclose(tangent, dense(pattern, values) @ direction)


def test_mixed_precision_is_promoted():
    pattern = PATTERNS["random"]
    values, x = example(pattern, grad=False)
    assert spmm(pattern, values.float(), x).dtype == F64
    assert torch.allclose(spmm(pattern, values.float(), x), dense(pattern, values.float().double()) @ x)
    v, z = values.float().requires_grad_(), x.clone().requires_grad_()
    spmm(pattern, v, z).sum().backward()
    assert v.grad is not None and z.grad is not None and v.grad.dtype == torch.float32 and z.grad.dtype == F64


def test_stored_values_are_used_and_stay_differentiable():
    operator = SparseOperator(PATTERNS["unsorted"], torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=F64, requires_grad=True))
    x = torch.eye(3, dtype=F64)
    assert torch.equal(operator.matvec(x), dense(operator.pattern, operator.values))
    (grad,) = torch.autograd.grad(operator.matvec(x)[1, 2], operator.values)
    assert grad.tolist() == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_gradient_of_the_values_never_densifies(dtype):
    """100,000 nodes: a dense gradient would need 40 GB, entries x channels 102 MB more than the two chunks gathered."""
    n, channels = 100_000, 64
    pattern = random_pattern(n, n, 4 * n)
    torch.manual_seed(0)
    values = torch.randn(4 * n).to(dtype).requires_grad_()
    x = torch.randn(n, channels).to(dtype).requires_grad_()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spmm(pattern, values, x).square().sum().backward()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    states = n * channels * values.element_size()
    assert grown < 8 * states + 64 * len(pattern) + 2**26
    with torch.no_grad():
        y = spmm(pattern, values, x)
        expected = 2 * (y[pattern.rows[:50]] * x[pattern.cols[:50]]).sum(1)
    assert values.grad is not None and torch.allclose(values.grad[:50], expected, rtol=1e-3, atol=1e-3)


def test_patterns_are_sorted_and_transposed_once():
    pattern = PATTERNS["unsorted"]
    assert pattern.by_row is pattern.by_row
    assert pattern.transposed.transposed is pattern
    assert PATTERNS["sorted"].by_row.order is None
    assert pattern.by_row.pointers.tolist() == [0, 1, 3, 4] and pattern.by_row.columns.tolist() == [1, 0, 2, 2]


@st.composite
def drawn(draw) -> Pattern:
    """Repeats, loops, empty rows and columns, one row, none at all."""
    rows, cols = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    entry = st.tuples(st.integers(0, rows - 1), st.integers(0, cols - 1))
    return make(draw(st.lists(entry, max_size=14)), rows, cols)


@settings(max_examples=40, deadline=None)
@given(drawn(), st.integers(0, 3), st.sampled_from([torch.float32, F64, C128]), st.booleans())
def test_drawn_patterns_against_dense_algebra(pattern, channels, dtype, strided):
    wide = C128 if dtype.is_complex else F64
    generator = torch.Generator().manual_seed(len(pattern))
    values = torch.randn(len(pattern), generator=generator, dtype=wide).to(dtype).requires_grad_()
    block = torch.randn(pattern.num_cols, 2 * channels, generator=generator, dtype=wide).to(dtype)
    x = (block[:, ::2] if strided else block[:, :channels]).detach().requires_grad_()
    g = torch.randn(pattern.num_rows, channels, generator=generator, dtype=wide).to(dtype)
    matrix, tolerance = dense(pattern, values.detach().to(wide)), 100 * torch.finfo(dtype).eps
    y = spmm(pattern, values, x)
    assert torch.allclose(y.detach().to(wide), matrix @ x.detach().to(wide), atol=tolerance, rtol=tolerance)
    to_values, to_x = torch.autograd.grad(y, (values, x), g)
    outer = g.to(wide) @ x.detach().to(wide).mH
    assert torch.allclose(to_values.to(wide), outer[pattern.rows, pattern.cols], atol=tolerance, rtol=tolerance)
    assert torch.allclose(to_x.to(wide), matrix.mH @ g.to(wide), atol=tolerance, rtol=tolerance)


@every_pattern
@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_both_kernels_of_the_sampled_product_agree(pattern, dtype):
    _, x = example(pattern, dtype, grad=False)
    g = torch.randn(pattern.num_rows, 3, dtype=dtype)
    expected = kernels._sampled_chunks(pattern, g, x) if len(pattern) else x.new_zeros(0)
    torch.testing.assert_close(sddmm(pattern, g, x), expected)


def test_a_few_wide_states_are_multiplied_one_by_one():
    pattern = PATTERNS["random"]
    values, _ = example(pattern)
    x = torch.randn(2, 2, pattern.num_cols, kernels._WIDE, dtype=F64, requires_grad=True)
    got = spmm(pattern, values, x)
    assert got.shape == (2, 2, pattern.num_rows, kernels._WIDE) and got.is_contiguous()
    expected = dense(pattern, values) @ x
    torch.testing.assert_close(got, expected)
    for a, b in zip(
        *(torch.autograd.grad(y.square().sum(), (values, x), retain_graph=True) for y in (got, expected)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_not_a_number_stays_where_it_is():
    pattern = PATTERNS["sorted"]
    g, x = torch.ones(3, 2), torch.ones(3, 2)
    g[1] = torch.nan
    assert sddmm(pattern, g, x).isnan().tolist() == [False, True, True, False]
