"""Gradients of exact flows by what needs one: the state, the entries of a sparse matrix, both; again, and retained."""

import pytest
import torch
from torch import Tensor

from solvers import LinearFlow, Pattern, Scaled, SparseOperator, solve
from solvers.linear import sparse
from solvers.linear.horner import stops

POLYNOMIALS = ["chebyshev_exp", "uniformization"]
F64 = torch.float64
N = 6


def ring(name: str, values: Tensor | None = None) -> SparseOperator:
    """A weighted ring, entries out of order: minus its Laplacian, or a generator with unequal rates around it."""
    symmetric = "chebyshev" in name
    i = torch.arange(N)
    rows, cols = torch.cat([i, i, i]), torch.cat([(i + 1) % N, (i - 1) % N, i])
    if values is None:
        right = torch.rand(N, generator=torch.Generator().manual_seed(0), dtype=F64) + 0.2
        left = right.roll(1) if symmetric else right.flip(0)
        values = torch.cat([right, left, -right - left])
    interval = (-6.0, 0.0) if symmetric else None
    return SparseOperator(Pattern(rows, cols, N, N), values, symmetric=symmetric, metzler=True, interval=interval)


def dense(A: SparseOperator, values: Tensor) -> Tensor:
    return values.new_zeros(N, N).index_put((A.pattern.rows, A.pattern.cols), values, accumulate=True)


@pytest.mark.parametrize("name", POLYNOMIALS)
@pytest.mark.parametrize("wanted", ["state", "entries", "both", "state and rate"])
@pytest.mark.parametrize("channels", [0, 2], ids=["vector", "columns"])
def test_gradients_are_those_of_the_matrix_exponential(name, wanted, channels):
    A, generator = ring(name), torch.Generator().manual_seed(1)
    shape = (N, channels) if channels else (N,)
    y, weight = torch.randn(shape, generator=generator, dtype=F64), torch.randn(2, *shape, generator=generator, dtype=F64)
    values, rate = A.values.clone(), torch.tensor(0.7, dtype=F64)
    leaves = {"state": [y], "entries": [values], "both": [values, y], "state and rate": [y, rate]}[wanted]
    for leaf in leaves:
        leaf.requires_grad_()
    operator = Scaled(ring(name, values), rate)
    ours = (solve(LinearFlow(operator), y, [0.0, 0.4, 1.5], name, rtol=1e-12).y[1:] * weight).sum()
    exact = torch.stack([torch.matrix_exp(t * rate * dense(A, values)) @ y for t in (0.4, 1.5)])
    want = torch.autograd.grad((exact * weight).sum(), leaves)
    for _ in range(2):  # the second time from what was kept
        for a, b in zip(torch.autograd.grad(ours, leaves, retain_graph=True), want, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_a_source_and_second_derivatives(name):
    A, generator = ring(name), torch.Generator().manual_seed(1)
    y, s = torch.randn(2, N, 2, generator=generator, dtype=F64)
    values = A.values.clone().requires_grad_()

    def run(values: Tensor) -> Tensor:
        return solve(LinearFlow(ring(name, values), s), y, [0.0, 0.9], name, rtol=1e-12).y[-1]

    if "chebyshev" in name:  # only a symmetric change of the entries leaves the matrix symmetric
        base, half = values.detach()[N : 2 * N].roll(-1), values.detach()[:N].clone().requires_grad_()
        torch.testing.assert_close(base, half.detach())
        run_half = lambda w: run(torch.cat([w, w.roll(1), -w - w.roll(1)]))  # noqa: E731
        assert torch.autograd.gradcheck(run_half, (half,), atol=1e-8, rtol=1e-6)
        assert torch.autograd.gradgradcheck(run_half, (half,), atol=1e-7, rtol=1e-5, fast_mode=True)
        return
    assert torch.autograd.gradcheck(run, (values,), atol=1e-8, rtol=1e-6)
    assert torch.autograd.gradgradcheck(run, (values,), atol=1e-7, rtol=1e-5, fast_mode=True)


def test_gain_and_shift_of_a_sparse_matrix():
    A = ring("uniformization")
    both = A.affine(2.0, 3.0)
    assert both is not None
    torch.testing.assert_close(both.to_dense(), 2 * A.to_dense() + 3 * torch.eye(N, dtype=F64))
    pattern = Pattern(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1]), 2, 2)  # two entries at one place
    twice = SparseOperator(pattern, torch.ones(3, dtype=F64)).affine(2.0, 3.0)
    assert twice is not None
    torch.testing.assert_close(twice.to_dense(), torch.tensor([[7.0, 0.0], [0.0, 5.0]], dtype=F64))
    off = SparseOperator(Pattern(torch.tensor([0, 1]), torch.tensor([1, 0]), 2, 2), torch.ones(2, dtype=F64))
    assert off.affine(1.0, 1.0) is None
    wide = SparseOperator(Pattern(torch.tensor([0]), torch.tensor([0]), 1, 2), torch.ones(1, dtype=F64))
    assert wide.affine(1.0, 1.0) is None


def driven(matrix: Tensor, t: float, y: Tensor, s: Tensor) -> Tensor:
    """By the exponential of `[[A, I], [0, 0]]`."""
    both = torch.cat([torch.cat([matrix, torch.eye(N, dtype=F64)], 1), torch.zeros(N, 2 * N, dtype=F64)])
    both = torch.matrix_exp(t * both)
    return both[:N, :N] @ y + both[:N, N:] @ s


@pytest.mark.parametrize("name", POLYNOMIALS)
@pytest.mark.parametrize("wanted", ["state", "source", "entries", "all", "source and rate", "rate", "entries and rate", "each"])
@pytest.mark.parametrize("channels", [0, 2], ids=["vector", "columns"])
@pytest.mark.parametrize("t", [1e-6, 1.5, 40.0])
def test_gradients_of_a_driven_flow_at_one_time(name, wanted, channels, t):
    generator = torch.Generator().manual_seed(2)
    y, s, weight = torch.randn(3, *((N, channels) if channels else (N,)), generator=generator, dtype=F64)
    values, rate = ring(name).values.clone(), torch.tensor(0.7, dtype=F64)
    leaves = {
        "state": [y],
        "source": [s],
        "entries": [values],
        "all": [values, y, s],
        "source and rate": [s, rate],
        "rate": [rate],
        "entries and rate": [rate, values],
        "each": [values, y, s, rate],
    }[wanted]
    for leaf in leaves:
        leaf.requires_grad_()
    ours = (solve(LinearFlow(Scaled(ring(name, values), rate), s), y, t, name, rtol=1e-12).y[-1] * weight).sum()
    want = torch.autograd.grad((driven(rate * dense(ring(name), values), t, y, s) * weight).sum(), leaves)
    for _ in range(2):  # the second time from what was kept
        for a, b in zip(torch.autograd.grad(ours, leaves, retain_graph=True), want, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("name", POLYNOMIALS)
@pytest.mark.parametrize("wanted", ["rate", "rate and state", "rate and entries", "each"])
@pytest.mark.parametrize("c", [0.7, 1e-4, 0.0])
@pytest.mark.parametrize("driven_by", [True, False], ids=["source", "free"])
def test_gradients_of_a_rate_at_several_times(name, wanted, c, driven_by):
    """Of a factor of the operator, beside others; a rate of zero, which nothing may be divided by, too."""
    generator = torch.Generator().manual_seed(2)
    y, s = torch.randn(2, N, 2, generator=generator, dtype=F64)
    weight = torch.randn(3, N, 2, generator=generator, dtype=F64)
    values, rate, times = ring(name).values.clone(), torch.tensor(c, dtype=F64), (0.4, 1.5, 20.0)
    others = {"rate": [], "rate and state": [y], "rate and entries": [values], "each": [values, y] + [s] * driven_by}[wanted]
    leaves = [rate, *others]
    for leaf in leaves:
        leaf.requires_grad_()
    flow = LinearFlow(Scaled(ring(name, values), rate), s if driven_by else None)
    ours = (solve(flow, y, [0.0, *times], name, rtol=1e-12).y[1:] * weight).sum()
    matrix, source = rate * dense(ring(name), values), s if driven_by else torch.zeros_like(s)
    exact = sum((driven(matrix, t, y, source) * w).sum() for t, w in zip(times, weight, strict=True))
    want = torch.autograd.grad(exact, leaves)  # type: ignore[arg-type]
    for a, b in zip(torch.autograd.grad(ours, leaves), want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9 * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("name", POLYNOMIALS)
@pytest.mark.parametrize("times", [[0.0, 1.3], [0.0, 0.5, 1.3]], ids=["one time", "two times"])
def test_first_and_second_derivatives_in_a_rate(name, times):
    y, s = torch.randn(2, N, 2, generator=torch.Generator().manual_seed(5), dtype=F64).requires_grad_()
    rate = torch.tensor(0.7, dtype=F64, requires_grad=True)

    def run(rate: Tensor, y: Tensor, s: Tensor) -> Tensor:
        return solve(LinearFlow(Scaled(ring(name), rate), s), y, times, name, rtol=1e-12).y[1:]

    inputs = (rate, y, s)
    assert torch.autograd.gradcheck(run, inputs, atol=1e-8, rtol=1e-6, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, atol=1e-7, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("inner", [1.0, 2.0])
def test_a_factor_with_its_matrix_at_hand(inner):
    """Products are made with the matrix, exact flows take the factor out; each tensor gets its gradient once."""
    values, rate = ring("uniformization").values.clone().requires_grad_(), torch.tensor(0.7, dtype=F64, requires_grad=True)
    base, y = ring("uniformization", values), torch.randn(N, 2, generator=torch.Generator().manual_seed(6), dtype=F64)
    folded = Scaled(base, rate, ring("uniformization", rate * values))
    operator = folded if inner == 1.0 else Scaled(Scaled(folded, inner), 1 / inner)
    found = []
    for A, method in ((operator, "uniformization"), (operator, "rk4"), (operator, "krylov_exp"), (Scaled(base, rate), "rk4")):
        out = solve(LinearFlow(A), y, 1.0, method, rtol=1e-12, dt=None if "k4" not in method else 0.005).y[-1]
        found.append([out.detach(), *torch.autograd.grad((out**2).sum(), [values, rate], retain_graph=True)])
    for others in found[1:]:
        for a, b in zip(found[0], others, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
    assert torch.equal(operator.adjoint.to_dense(), operator.to_dense().t())


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_a_driven_flow_at_one_time_takes_products_with_one_state_and_keeps_few(name, monkeypatch):
    y, s = torch.randn(2, N, 2, generator=torch.Generator().manual_seed(3), dtype=F64)
    columns, kept = [], []
    product = sparse.spmm
    monkeypatch.setattr(sparse, "spmm", lambda p, v, x, *rest: (columns.append(x.shape[-1]), product(p, v, x, *rest))[1])
    values = ring(name).values.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(x.numel()), x)[1], lambda x: x):
        sol = solve(LinearFlow(ring(name, values), s), y, 30.0, name)
    sol.y[-1].sum().backward()
    assert max(columns) == 2 and len(columns) <= 4 * sol.stats.products + 2
    states = sum(k == y.numel() for k in kept)
    assert states <= (2 if "chebyshev" in name else (2 * sol.stats.products) ** 0.5 + 2)


@pytest.mark.parametrize("degree", [*range(40), 1000])
def test_checkpoints_of_powers(degree):
    """All w_k are covered, and checkpoints left with the stretch at hand are about sqrt(2 degree) states."""
    ends = stops(degree)
    lengths = [b - a for a, b in zip([0, *ends], ends, strict=False)]
    assert sum(lengths) == degree and all(n > 0 for n in lengths)
    assert all(n + len(ends) - 2 - i <= (2 * degree) ** 0.5 + 0.5 for i, n in enumerate(lengths[:-1]))


def test_the_series_of_a_long_driven_flow_ends():
    """phi_1 falls off by one over its argument: its coefficients are small beside f(0), and so is their rounding error."""
    A = ring("chebyshev_exp")
    y, s = torch.randn(2, N, 2, generator=torch.Generator().manual_seed(4), dtype=F64)
    sol = solve(LinearFlow(A, s), y, 5e3, "chebyshev_exp", rtol=1e-12)
    assert sol.stats.products < 2000
    want = driven(A.to_dense(), 5e3, y, s)
    torch.testing.assert_close(sol.y[-1], want, rtol=0, atol=1e-10 * float(want.abs().max()))
