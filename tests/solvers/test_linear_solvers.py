"""Every linear solver on every operator and shape of right-hand side, against dense algebra; gradients; honest statuses."""

from __future__ import annotations

import pytest
import torch
from problems import laplacian
from torch import Tensor

from solvers import (
    CG,
    GMRES,
    MINRES,
    BiCGStab,
    Dense,
    Diagonal,
    Direct,
    Elimination,
    Identity,
    Jacobi,
    LinearOperator,
    LinearSolver,
    PerGraph,
    Plain,
    Scaled,
    Shifted,
    SparseOperator,
    UnknownName,
)
from solvers.linear.default import default_solver

N = 24
torch.manual_seed(0)
_RANDOM = torch.randn(N, N, dtype=torch.float64)


def sparse_laplacian(n: int = N, dtype: torch.dtype = torch.float64, kind: str = "cycle") -> SparseOperator:
    matrix = torch.from_numpy(laplacian(kind, n)).to(dtype)
    rows, cols = matrix.nonzero().T
    return SparseOperator.from_edges(torch.stack((cols, rows)), matrix[rows, cols], n, symmetric=True)


def weighted_edges(values: Tensor) -> SparseOperator:
    """A directed ring with chords; diagonally dominant."""
    i = torch.arange(N)
    rows, cols = torch.cat((i, i, i)), torch.cat((i, (i + 1) % N, (i + 5) % N))
    return SparseOperator.from_edges(torch.stack((cols, rows)), values, N)


OPERATORS: dict[str, LinearOperator] = {
    "identity": Identity(N),
    "diagonal": Diagonal(torch.linspace(1, 50, N, dtype=torch.float64)),
    "dense spd": Dense(_RANDOM @ _RANDOM.T / N + 0.1 * torch.eye(N, dtype=torch.float64), symmetric=True),
    "implicit step": Shifted(-1.0 * sparse_laplacian(), 1.0, -5.0),
    "scaled": Scaled(Shifted(sparse_laplacian(), 1.0, 0.3), torch.tensor(2.5, dtype=torch.float64)),
    "dense": Dense(_RANDOM / N**0.5 + 2 * torch.eye(N, dtype=torch.float64)),
    "directed": weighted_edges(torch.cat((torch.full((N,), 3.0), torch.rand(2 * N))).double()),
    "product": Dense(_RANDOM / N**0.5 + 2 * torch.eye(N, dtype=torch.float64)) @ Shifted(sparse_laplacian(), 1.0, 0.5),  # type: ignore[dict-item]
}
SOLVERS: dict[str, LinearSolver] = {
    "cg": CG(),
    "jacobi cg": CG(preconditioner="jacobi"),
    "bicgstab": BiCGStab(),
    "jacobi bicgstab": BiCGStab(preconditioner=Jacobi()),
    "gmres": GMRES(),
    "gmres(6)": GMRES(restart=6),
    "jacobi gmres": GMRES(preconditioner="jacobi"),
    "ilu gmres": GMRES(preconditioner="ilu"),
    "minres": MINRES(),
    "jacobi minres": MINRES(preconditioner="jacobi"),
    "direct": Direct(),
    "elimination": Elimination(),
}
PAIRS = [
    (s, o)
    for s, solver in SOLVERS.items()
    for o, A in OPERATORS.items()
    if (A.symmetric or not solver.needs_symmetric) and (solver.preconditioner is None or A.diagonal() is not None)
]


@pytest.mark.parametrize("solver, operator", PAIRS)
def test_against_dense_algebra(solver, operator):
    A = OPERATORS[operator]
    dense, prepared = A.to_dense(), SOLVERS[solver].prepare(A, Plain())
    for shape in ((N,), (N, 1), (N, 5), (2, N, 3)):
        b = torch.randn(shape, dtype=torch.float64)
        exact = torch.linalg.solve(dense, b if len(shape) > 1 else b.unsqueeze(1)).reshape(shape)
        for start in (None, torch.randn_like(b), exact + 1e-6):
            out = prepared.solve(b, start, rtol=1e-11)
            assert out.status == "ok" and out.message == "" and out.converged
            assert torch.allclose(out.x, exact, rtol=1e-8, atol=1e-8)
            true = float((b - A.matvec(out.x)).norm() / b.norm())
            assert out.residual == pytest.approx(true, abs=1e-13) and true <= 1e-11
            assert out.products >= out.iterations


@pytest.mark.parametrize("name", SOLVERS)
def test_a_good_start_saves_iterations_and_a_zero_right_hand_side_costs_none(name):
    prepared = SOLVERS[name].prepare(OPERATORS["implicit step"], Plain())
    b = torch.randn(N, 3, dtype=torch.float64)
    cold = prepared.solve(b, rtol=1e-8)
    warm = prepared.solve(b, cold.x, rtol=1e-8)
    assert warm.iterations == 0 < cold.iterations and warm.products == 1
    zero = prepared.solve(torch.zeros_like(b), torch.randn_like(b), rtol=1e-8)
    assert zero.iterations == 0 and zero.status == "ok" and not zero.x.any()


@pytest.mark.parametrize("name", SOLVERS)
def test_a_batch_solves_each_graph_as_if_it_were_alone(name):
    parts = ((5, 1.0), (9, 30.0), (3, 0.0))
    blocks = [2 * torch.eye(n, dtype=torch.float64) + c * torch.from_numpy(laplacian("path", n)) for n, c in parts]
    whole = Dense(torch.block_diag(*blocks), symmetric=True)
    batch = torch.tensor([0] * 5 + [1] * 9 + [2] * 3)
    b = torch.randn(17, 2, dtype=torch.float64)
    b[14:] = 0
    out = SOLVERS[name].prepare(whole, PerGraph(batch)).solve(b, rtol=1e-6)
    assert out.status == "ok" and not out.x[14:].any()
    most = 0
    for g, block in enumerate(blocks[:2]):
        alone = SOLVERS[name].prepare(Dense(block, symmetric=True), Plain()).solve(b[batch == g], rtol=1e-6)
        assert torch.allclose(out.x[batch == g], alone.x, rtol=1e-10, atol=1e-12)
        most = max(most, alone.iterations)
    assert out.iterations == most


def test_float32_residuals_are_true_or_said_not_to_be():
    """The recurrence's own residual goes on falling below what float32 holds; the one reported does not."""
    A = Shifted(-1.0 * sparse_laplacian(200, torch.float32), 1.0, -5000.0)
    b = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    for solver in (CG(), BiCGStab(), GMRES()):
        out = solver.prepare(A, Plain()).solve(b, rtol=1e-9)
        assert out.status in ("rounding", "stagnated", "iterations") and out.residual > 1e-9
        double = (b.double() - Shifted(-1.0 * sparse_laplacian(200), 1.0, -5000.0).matvec(out.x.double())).norm() / b.norm()
        assert out.residual == pytest.approx(float(double), rel=1.0)
    good = CG().prepare(Shifted(-1.0 * sparse_laplacian(200, torch.float32), 1.0, -5.0), Plain()).solve(b, rtol=1e-6)
    assert good.status == "ok" and good.residual <= 1e-6


def test_running_out_of_iterations_is_said_with_the_numbers():
    A = Shifted(-1.0 * sparse_laplacian(200, kind="path"), 1.0, -1e4)
    b = torch.randn(200, 1, dtype=torch.float64)
    for solver in (CG(max_iterations=7), BiCGStab(max_iterations=7), GMRES(max_iterations=7)):
        out = solver.prepare(A, Plain()).solve(b, rtol=1e-8)
        assert out.status == "iterations" and not out.converged and out.iterations == 7
        for part in (f"{solver.name} reached 7 iterations", f"{out.residual:.1e}", "wanted 1.0e-08", "jacobi"):
            assert part in out.message
    assert CG(max_iterations=400).prepare(A, Plain()).solve(b, rtol=1e-8).status == "ok"


def test_statuses_of_what_cannot_be_solved():
    indefinite = Diagonal(torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64))
    b = torch.ones(3, 1, dtype=torch.float64)
    out = CG().prepare(indefinite, Plain()).solve(torch.tensor([[1.0], [1.0], [0.0]], dtype=torch.float64), rtol=1e-10)
    assert out.status == "breakdown" and "GMRES()" in out.message
    assert GMRES().prepare(indefinite, Plain()).solve(b, rtol=1e-10).status == "ok"  # the fix that it names
    for solver in SOLVERS.values():
        assert solver.prepare(Identity(3), Plain()).solve(b * torch.nan, rtol=1e-10).status == "nonfinite"
    singular = Dense(torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64))
    for solver in (GMRES(), BiCGStab()):
        out = solver.prepare(singular, Plain()).solve(torch.tensor([1.0, 1.0], dtype=torch.float64), rtol=1e-10)
        assert out.status == "breakdown" and bool(torch.isfinite(out.x).all())


def test_refusals():
    with pytest.raises(ValueError, match=r"CG needs a symmetric operator; Dense.*GMRES\(\)"):
        CG().prepare(OPERATORS["dense"], Plain())
    with pytest.raises(UnknownName, match="Did you mean 'jacobi'"):
        CG(preconditioner="jacoby")
    with pytest.raises(TypeError, match="preconditioner is a int"):
        CG(preconditioner=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="diagonal"):
        GMRES(preconditioner="jacobi").prepare(OPERATORS["product"], Plain())
    with pytest.raises(ValueError, match=r"square.*\(24, 3\)"):
        GMRES().prepare(Dense(_RANDOM[:, :3]), Plain())
    with pytest.raises(ValueError, match="x0 has shape"):
        GMRES().prepare(Identity(3), Plain()).solve(torch.ones(3, 1), torch.ones(3), rtol=1e-3)
    with pytest.raises(ValueError, match="max_iterations = 0"):
        CG(max_iterations=0)
    with pytest.raises(ValueError, match="restart = 0"):
        GMRES(restart=0)


def test_default_choice():
    even, hub = sparse_laplacian(100), torch.zeros(100, 100, dtype=torch.float64)
    hub[0, 1:] = hub[1:, 0] = -1.0
    star = Dense(hub + torch.diag(-hub.sum(1)), symmetric=True)
    assert default_solver(even, Plain()) == CG()
    assert default_solver(star, Plain()) == CG(preconditioner=Jacobi())
    assert default_solver(OPERATORS["dense"], Plain()) == GMRES()
    b, A = torch.randn(100, 2, dtype=torch.float64), Shifted(star, 1.0, 10.0)
    with_it, without = (s.prepare(A, Plain()).solve(b, rtol=1e-8) for s in (default_solver(star, Plain()), CG()))
    assert with_it.status == without.status == "ok"


@pytest.mark.parametrize("name", ["bicgstab", "gmres"])
def test_gradients_of_any_order_to_the_entries_and_the_right_hand_side(name):
    values = torch.cat((torch.full((N,), 3.0), torch.rand(2 * N))).double().requires_grad_()
    b = torch.randn(N, 2, dtype=torch.float64, requires_grad=True)

    def run(values: Tensor, b: Tensor) -> Tensor:
        return SOLVERS[name].prepare(weighted_edges(values), Plain()).solve(b, rtol=1e-14).x[:3]

    assert torch.autograd.gradcheck(run, (values, b), nondet_tol=1e-12, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (values, b), nondet_tol=1e-10, fast_mode=True)


def test_gradients_of_any_order_through_the_algebra_by_cg():
    """A conductivity in front of a symmetric operator, and symmetric weights: both keep the operator symmetric."""
    i = torch.arange(6)
    edges = torch.stack((torch.cat((i, (i + 1) % 6, i)), torch.cat(((i + 1) % 6, i, i))))

    def run(scale: Tensor, weight: Tensor, b: Tensor) -> Tensor:
        values = torch.cat((-weight, -weight, weight + weight.roll(1)))
        A = Shifted(Scaled(SparseOperator.from_edges(edges, values, 6, symmetric=True), scale), 1.0, 0.7)
        return CG().prepare(A, Plain()).solve(b, rtol=1e-14).x

    inputs = [torch.rand(s, dtype=torch.float64).add(0.5).requires_grad_() for s in ((), (6,), (2, 6, 2))]
    assert torch.autograd.gradcheck(run, inputs, nondet_tol=1e-12)
    assert torch.autograd.gradgradcheck(run, inputs, nondet_tol=1e-10)


def test_iterations_are_not_in_the_graph():
    """One node for a solve, however many iterations; what it keeps is the solution and the operator's tensors."""
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    A = Shifted(Scaled(sparse_laplacian(200, kind="path"), scale), 1.0, 1000.0)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
        out = CG().prepare(A, Plain()).solve(torch.randn(200, 1, dtype=torch.float64), rtol=1e-10)
    assert out.iterations > 50 and sum(kept) <= 200 + 1
    assert out.x.grad_fn is not None and sum(f is not None for f, _ in out.x.grad_fn.next_functions) == 1


def test_complex_systems():
    A = torch.randn(9, 9, dtype=torch.complex128)
    hermitian = A @ A.mH + torch.eye(9)
    b = torch.randn(9, 2, dtype=torch.complex128)
    for solver, M in ((CG(), Dense(hermitian, symmetric=True)), (BiCGStab(), Dense(hermitian)), (GMRES(), Dense(A))):
        out = solver.prepare(M, Plain()).solve(b, rtol=1e-10)
        assert torch.allclose(out.x, torch.linalg.solve(M.matrix, b), rtol=1e-6, atol=1e-7)
