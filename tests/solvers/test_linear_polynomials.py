"""MINRES, Chebyshev's iteration, the Neumann filter, direct solves, their preconditioners, and how far answers see."""

import math
from itertools import pairwise

import pytest
import torch
from problems import laplacian
from torch import Tensor

from solvers import (
    CG,
    GMRES,
    MINRES,
    BiCGStab,
    Chebyshev,
    ChebyshevPolynomial,
    Dense,
    Diagonal,
    Direct,
    Identity,
    IncompleteLU,
    LinearOperator,
    Neumann,
    PerGraph,
    Plain,
    Scaled,
    Shifted,
    SparseOperator,
)
from solvers.linear import direct

N = 30


def path_laplacian(n: int = N) -> SparseOperator:
    matrix = torch.from_numpy(laplacian("path", n))
    rows, cols = matrix.nonzero().T
    return SparseOperator.from_edges(torch.stack((cols, rows)), matrix[rows, cols], n, symmetric=True)


def implicit(h: float, n: int = N) -> LinearOperator:
    return Shifted(Scaled(path_laplacian(n), -1.0), 1.0, -h)


def right(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def directed(values: Tensor) -> SparseOperator:
    i = torch.arange(6)
    return SparseOperator.from_edges(torch.stack((torch.cat((i, i)), torch.cat((i, (i + 1) % 6)))), values, 6)


def test_minres_solves_indefinite_systems():
    shifted = Shifted(path_laplacian(), -1.3, 1.0)  # eigenvalues on both sides of zero
    b = right(N, 2)
    assert CG().prepare(shifted, Plain()).solve(b, rtol=1e-10).status != "ok"
    for solver in (MINRES(), MINRES(preconditioner="jacobi")):
        A = shifted if solver.preconditioner is None else Shifted(Diagonal(torch.linspace(1, 9, N).double()), -0.3, 1.0)
        out = solver.prepare(A, Plain()).solve(b, rtol=1e-10)
        assert out.status == "ok" and torch.allclose(out.x, torch.linalg.solve(A.to_dense(), b), rtol=1e-6, atol=1e-7)
    batch = PerGraph(torch.arange(3).repeat_interleave(N // 3))
    blocks = Dense(
        torch.block_diag(*[c * torch.from_numpy(laplacian("path", N // 3)) for c in (1.0, 4.0, 0.2)]), symmetric=True
    )
    out = MINRES().prepare(Shifted(blocks, -1.1, 1.0), batch).solve(b, rtol=1e-9)
    assert out.status == "ok"
    assert torch.allclose(out.x, torch.linalg.solve(Shifted(blocks, -1.1, 1.0).to_dense(), b), rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="MINRES needs a symmetric operator"):
        MINRES().prepare(Dense(right(3, 3)), Plain())


def test_minres_residuals_never_grow_and_singular_systems_that_can_be_solved_are():
    b = right(N, 1)
    sizes = [MINRES(max_iterations=k).prepare(implicit(50.0), Plain()).solve(b, rtol=1e-12).residual for k in range(1, 12)]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(sizes))
    centred = b - b.mean()
    out = MINRES().prepare(path_laplacian(), Plain()).solve(centred, rtol=1e-10)
    assert out.status == "ok" and torch.allclose(path_laplacian().matvec(out.x), centred, atol=1e-8)


def test_chebyshev_knows_its_products_beforehand():
    A, b = implicit(5.0), right(N, 3)
    exact = torch.linalg.solve(A.to_dense(), b)
    lo, hi = A.bounds()
    q = (math.sqrt(hi / lo) - 1) / (math.sqrt(hi / lo) + 1)
    for rtol in (1e-3, 1e-6, 1e-10):
        out = Chebyshev().prepare(A, Plain()).solve(b, rtol=rtol)
        assert out.status == "ok" and out.residual <= rtol
        assert out.iterations <= math.ceil(math.log(2 / rtol) / -math.log(q)) + 1
    assert torch.allclose(out.x, exact, atol=1e-8)
    assert Chebyshev(degree=4).prepare(A, Plain()).solve(b, rtol=1e-9).status == "ok"
    assert Chebyshev().prepare(Identity(N), Plain()).solve(b, rtol=1e-9).status == "ok"
    with pytest.raises(ValueError, match="positive, finite bounds"):
        Chebyshev().prepare(path_laplacian(), Plain())
    with pytest.raises(ValueError, match="degree = 0"):
        Chebyshev(degree=0)


def test_neumann_is_the_filter_that_it_says():
    M = torch.softmax(right(6, 6), 1) * 0.6
    A, b = Dense(torch.eye(6, dtype=torch.float64) - M), right(6, 2)
    for hops in (0, 1, 5):
        out = Neumann(hops=hops).prepare(A, Plain()).solve(b, rtol=1e-14)
        want = sum((torch.linalg.matrix_power(M, k) @ b for k in range(hops + 1)), torch.zeros_like(b))
        assert torch.allclose(out.x, want, atol=1e-13)
        assert out.status == "iterations" and f"{hops} hops" in out.message and out.products == hops + 1
        left = torch.linalg.matrix_power(M, hops + 1) @ b
        assert out.residual == pytest.approx(float(left.norm() / b.norm()), rel=1e-10)
    assert Neumann(hops=80).prepare(A, Plain()).solve(b, rtol=1e-12).status == "ok"

    def run(values: Tensor, b: Tensor) -> Tensor:
        return Neumann(hops=4).prepare(directed(values), Plain()).solve(b, rtol=1e-3).x

    values = torch.cat((torch.full((6,), 1.1), torch.full((6,), -0.4))).double().requires_grad_()
    assert torch.autograd.gradcheck(run, (values, right(6, 2).requires_grad_()))


def test_neumann_sees_as_far_as_it_says():
    source = torch.zeros(N, 1, dtype=torch.float64)
    source[0] = 1.0
    out = Neumann(hops=5).prepare(Shifted(path_laplacian(), 1.0, 0.1), Plain()).solve(source, rtol=1e-3)
    assert out.hops == 5 and bool((out.x[:6] != 0).all()) and not out.x[6:].any()


def test_hops_of_answers():
    A, b = implicit(3.0), right(N, 1)
    for solver, each in ((CG(), 1), (MINRES(), 1), (BiCGStab(), 2), (GMRES(), 1), (Chebyshev(), 1)):
        out = solver.prepare(A, Plain()).solve(b, rtol=1e-4)
        assert out.hops == each * out.iterations > 0
    assert Direct().prepare(A, Plain()).solve(b, rtol=1e-4).hops == math.inf
    assert CG(preconditioner=ChebyshevPolynomial(3)).prepare(A, Plain()).hops(2) == 8
    assert CG().prepare(Diagonal(torch.ones(3)), Plain()).hops(5) == 0
    assert GMRES(preconditioner="ilu").prepare(A, Plain()).hops(1) == math.inf
    assert (path_laplacian() @ path_laplacian()).hops == 2 and Dense(right(3, 3)).hops == math.inf  # type: ignore[union-attr]
    point = torch.zeros(N, 1, dtype=torch.float64)
    point[0] = 1.0
    out = CG(max_iterations=4).prepare(A, Plain()).solve(point, rtol=1e-12)
    assert not out.x[int(out.hops) + 1 :].any()


def test_direct_factors_serve_again_and_for_the_gradient(monkeypatch):
    made: list[int] = []
    real = direct.splinalg.splu
    monkeypatch.setattr(direct.splinalg, "splu", lambda matrix: (made.append(1), real(matrix))[1])
    values = torch.cat((torch.full((6,), 2.1), torch.linspace(-0.9, 0.8, 6))).double().requires_grad_()
    b = right(6, 2).requires_grad_()
    prepared = Direct().prepare(directed(values), Plain())
    out = prepared.solve(b, rtol=1e-12)
    out.x.square().sum().backward()
    prepared.solve(right(2, 6, 1), rtol=1e-12)
    assert len(made) == 1 and out.iterations == 1 and out.residual < 1e-14

    def run(values: Tensor, b: Tensor) -> Tensor:
        return Direct().prepare(directed(values), Plain()).solve(b, rtol=1e-12).x

    assert torch.autograd.gradcheck(run, (values, b)) and torch.autograd.gradgradcheck(run, (values, b), fast_mode=True)


def test_direct_on_complex_single_and_singular_systems():
    matrix = torch.randn(5, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    b = torch.randn(5, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    out = Direct().prepare(Dense(matrix), Plain()).solve(b, rtol=1e-12)
    assert torch.allclose(out.x, torch.linalg.solve(matrix, b)) and out.status == "ok"
    back = Direct().prepare(Dense(matrix), Plain()).adjoint().solve(b, rtol=1e-12)
    assert torch.allclose(back.x, torch.linalg.solve(matrix.mH, b))
    real, c = directed(torch.linspace(1, 3, 12, dtype=torch.float64)), torch.randn(6, 2, dtype=torch.complex128)
    got = Direct().prepare(real, Plain()).solve(c, rtol=1e-12).x
    assert torch.allclose(got, torch.linalg.solve(real.to_dense().to(c.dtype), c))
    low = Direct().prepare(Dense(matrix.real.float()), Plain()).solve(b.real.float(), rtol=1e-5)
    assert low.x.dtype == torch.float32 and low.converged
    singular = Direct().prepare(Dense(torch.ones(3, 3, dtype=torch.float64)), Plain()).solve(right(3, 1), rtol=1e-8)
    assert singular.status == "breakdown"


def test_assembly_follows_the_algebra():
    L = path_laplacian()
    for A in (implicit(2.0), 3.0 * L, L + Identity(N), L @ implicit(1.0)):
        assert isinstance(A, LinearOperator)
        assert torch.allclose(torch.from_numpy(A.to_scipy().toarray()), A.to_dense())


def test_preconditioners_save_iterations():
    A, b = implicit(400.0, 200), right(200, 2)
    plain = CG().prepare(A, Plain()).solve(b, rtol=1e-8)
    polynomial = CG(preconditioner="chebyshev").prepare(A, Plain()).solve(b, rtol=1e-8)
    assert polynomial.status == plain.status == "ok" and polynomial.iterations < plain.iterations / 2
    assert torch.allclose(polynomial.x, plain.x, atol=1e-6)
    incomplete = GMRES(preconditioner="ilu").prepare(A, Plain()).solve(b, rtol=1e-8)
    assert incomplete.iterations < 5 and torch.allclose(incomplete.x, plain.x, atol=1e-6)
    with pytest.raises(ValueError, match="symmetric preconditioner"):
        CG(preconditioner=IncompleteLU()).prepare(A, Plain())
    with pytest.raises(ValueError, match="upper bound"):
        GMRES(preconditioner="chebyshev").prepare(Dense(right(3, 3)), Plain())
    for bad in (Direct, Neumann, Chebyshev):
        with pytest.raises(ValueError, match="takes no preconditioner"):
            bad(preconditioner="jacobi")
