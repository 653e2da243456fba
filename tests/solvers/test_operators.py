"""What holds for every linear operator: exports and their algebra, against the dense matrix."""

import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch
from problems import laplacian
from torch import Tensor

import solvers
from solvers import Dense, Diagonal, Identity, LinearOperator, Pattern, Product, Scaled, Shifted, SparseOperator, Sum

F64, C128 = torch.float64, torch.complex128


def random(dtype: torch.dtype, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def sparse(dtype: torch.dtype, rows: int = 6, cols: int = 6, entries: int = 14) -> SparseOperator:
    generator = torch.Generator().manual_seed(1)
    at = torch.randint(rows, (entries,), generator=generator), torch.randint(cols, (entries,), generator=generator)
    return SparseOperator(Pattern(*at, rows, cols), random(dtype, entries))


def path(dtype: torch.dtype) -> SparseOperator:
    """The Laplacian of a path of 6 nodes, entries in a shuffled order, the diagonal given in two parts."""
    matrix = torch.from_numpy(laplacian("path", 6))
    rows, cols = matrix.nonzero().T
    values = matrix[rows, cols]
    half = torch.where(rows == cols, values / 2, values)
    extra = (rows == cols).nonzero().squeeze(1)
    order = torch.randperm(len(rows) + len(extra), generator=torch.Generator().manual_seed(0))
    pattern = Pattern(torch.cat((rows, rows[extra]))[order], torch.cat((cols, cols[extra]))[order], 6, 6)
    return SparseOperator(pattern, torch.cat((half, half[extra]))[order].to(dtype), symmetric=True, semidefinite=True)


def hermitian(dtype: torch.dtype) -> Dense:
    m = random(dtype, 6, 6)
    return Dense(m + m.mH, symmetric=True)


def gram(dtype: torch.dtype) -> Dense:
    m = random(dtype, 6, 6)
    return Dense(m @ m.mH, symmetric=True, semidefinite=True)


EXAMPLES: dict[str, Callable[[torch.dtype], LinearOperator]] = {
    "Identity": lambda d: Identity(6, d),
    "Diagonal": lambda d: Diagonal(random(d, 6)),
    "Diagonal nonnegative": lambda d: Diagonal(random(d, 6).abs().to(d)),
    "Dense": lambda d: Dense(random(d, 6, 6)),
    "Dense wide": lambda d: Dense(random(d, 4, 6)),
    "Dense hermitian": hermitian,
    "Dense gram": gram,
    "SparseOperator": sparse,
    "SparseOperator tall": lambda d: sparse(d, 8, 6),
    "SparseOperator empty": lambda d: sparse(d, entries=0),
    "SparseOperator path": path,
    "SparseOperator adjoint": lambda d: sparse(d, 6, 8).adjoint,
    "Scaled": lambda d: -0.7 * sparse(d),
    "Scaled symmetric": lambda d: -2.0 * path(d),
    "Scaled by zero": lambda d: 0.0 * path(d),
    "Scaled by a tensor": lambda d: Scaled(hermitian(d), torch.tensor(0.3, dtype=d)),
    "Scaled twice": lambda d: 3.0 * (-(0.5 * path(d))),
    "Sum": lambda d: sparse(d) + Dense(random(d, 6, 6)),
    "Sum symmetric": lambda d: path(d) + Identity(6, d),
    "Sum difference": lambda d: Identity(6, d) - path(d),
    "Product": lambda d: sparse(d, 4, 7) @ sparse(d, 7, 6),
    "Product of transposes": lambda d: sparse(d, 8, 6).adjoint @ sparse(d, 8, 6),
    "Shifted": lambda d: Shifted(sparse(d), 1.0, -0.3),
    "Shifted symmetric": lambda d: Shifted(path(d), 1.0, 0.25),
    "Shifted negative": lambda d: Shifted(-1.0 * path(d), 1.0, -0.25),
    "Shifted by nothing": lambda d: Shifted(path(d), 2.0, 0.0),
    "nested": lambda d: 2.0 * Shifted(path(d) + gram(d), 0.5, 1.0) - Diagonal(random(d, 6)),
}
every_operator = pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64, C128], ids=str)


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    eps = torch.finfo(dtype).eps
    return {"rtol": 100 * eps, "atol": 200 * eps}


def test_every_export_has_an_example():
    for name in solvers.__all__:
        cls = getattr(solvers, name)
        if inspect.isclass(cls) and issubclass(cls, LinearOperator) and not inspect.isabstract(cls) and cls.columnwise:
            assert name in {key.split()[0] for key in EXAMPLES}, f"{name} is exported and has no example here"


@every_operator
@every_dtype
def test_linear(make, dtype):
    a, (x, y) = make(dtype), (random(dtype, make(dtype).shape[1], 3, seed=s) for s in (2, 3))
    both = a.matvec(2.5 * x - y)
    assert both.dtype == dtype and both.shape == (a.shape[0], 3)
    assert torch.allclose(both, 2.5 * a.matvec(x) - a.matvec(y), **tolerance(dtype))


@every_operator
@every_dtype
def test_adjoint(make, dtype):
    a = make(dtype)
    x, y = random(dtype, a.shape[1], 1, seed=2), random(dtype, a.shape[0], 1, seed=3)
    left, right = torch.vdot(y[:, 0], a.matvec(x)[:, 0]), torch.vdot(a.adjoint.matvec(y)[:, 0], x[:, 0])
    assert torch.allclose(left, right, **tolerance(dtype))
    assert a.adjoint.shape == (a.shape[1], a.shape[0])
    assert torch.allclose(a.adjoint.to_dense(), a.to_dense().mH, **tolerance(dtype))
    assert torch.allclose(a.adjoint.adjoint.to_dense(), a.to_dense(), **tolerance(dtype))


@every_operator
@every_dtype
def test_dense_and_scipy(make, dtype):
    a = make(dtype)
    matrix = a.to_dense()
    assert matrix.shape == a.shape and matrix.dtype == a.dtype == dtype
    x = random(dtype, a.shape[1], 3)
    assert torch.allclose(a.matvec(x), matrix @ x, **tolerance(dtype))
    assert torch.allclose(a @ x, a(x))
    table = a.to_scipy()
    assert table.shape == a.shape
    assert np.allclose(table.toarray(), matrix.numpy(), **tolerance(dtype))


@every_operator
@every_dtype
def test_shapes(make, dtype):
    a = make(dtype)
    rows, cols = a.shape
    x = random(dtype, 2, 3, cols, 4)
    y = a.matvec(x)
    assert y.shape == (2, 3, rows, 4)
    assert torch.allclose(y[1, 2], a.matvec(x[1, 2]), **tolerance(dtype))
    assert torch.allclose(a.matvec(x[0]), y[0], **tolerance(dtype))
    assert torch.allclose(a.matvec(x[0, 0, :, 1]), y[0, 0, :, 1], **tolerance(dtype))


@every_operator
@every_dtype
def test_promises(make, dtype):
    """Symmetric, semidefinite and metzler only where true; the diagonal is the diagonal; bounds contain the spectrum."""
    a = make(dtype)
    matrix = a.to_dense().to(C128)
    slack = 300 * torch.finfo(dtype).eps
    diagonal = a.diagonal()
    if diagonal is not None:
        assert torch.allclose(diagonal.to(C128), matrix.diagonal(), **tolerance(dtype))
    if a.shape[0] != a.shape[1]:
        assert not (a.symmetric or a.semidefinite)
        return
    eigenvalues = torch.linalg.eigvals(matrix)
    if a.symmetric:
        assert torch.allclose(matrix, matrix.mH, atol=slack)
    if a.semidefinite:
        assert a.symmetric and float(eigenvalues.real.min()) >= -slack
    if a.metzler:
        off = matrix - torch.diag(matrix.diagonal())
        assert float(off.real.min()) >= -slack and float(off.imag.abs().max()) <= slack
    low, high = a.bounds()
    assert low <= float(eigenvalues.real.min()) + slack and high >= float(eigenvalues.real.max()) - slack
    assert isinstance(low, float) and isinstance(high, float)


@pytest.mark.parametrize("name", ["Identity", "Diagonal", "Dense hermitian", "SparseOperator", "SparseOperator path"])
def test_bounds_of_stored_matrices_are_finite(name):
    assert np.isfinite(EXAMPLES[name](F64).bounds()).all()


def test_what_is_kept_by_the_algebra():
    a = path(F64)
    for same in (2.0 * a, a + a, a + Identity(6), Shifted(a, 1.0, 0.5)):
        assert same.symmetric and same.semidefinite
    for indefinite in (-1.0 * a, Identity(6) - a, Shifted(a, 1.0, -0.5)):
        assert indefinite.symmetric and not indefinite.semidefinite
    assert (-1.0 * a).bounds() == (-a.bounds()[1], 0.0)
    assert Shifted(a, 1.0, 0.5).bounds() == (1.0, 1.0 + 0.5 * a.bounds()[1])
    assert not (1j * a).symmetric and not sparse(F64).symmetric


def test_interval_of_the_caller_wins():
    a = SparseOperator(path(F64).pattern, path(F64).values, symmetric=True, semidefinite=True, interval=(0.0, 3.9))
    assert a.bounds() == (0.0, 3.9) and (2.0 * a).bounds() == (0.0, 7.8)


def test_from_edges_follows_the_direction_of_edges():
    """`y_i = sum over edges j -> i of values x_j`."""
    edges = torch.tensor([[0, 0, 2], [1, 2, 1]])
    a = SparseOperator.from_edges(edges, torch.tensor([1.0, 2.0, 3.0], dtype=F64), 3)
    assert a.to_dense().tolist() == [[0, 0, 0], [1, 0, 3], [2, 0, 0]]
    wide = SparseOperator.from_edges(edges, torch.tensor([1.0, 2.0, 3.0], dtype=F64), (3, 5))
    assert wide.shape == (3, 5)


def test_errors_name_the_shapes():
    with pytest.raises(ValueError, match=r"\(3, 4\).*expected \(2, edges\)"):
        SparseOperator.from_edges(torch.zeros(3, 4, dtype=torch.int64), torch.zeros(4), 3)
    with pytest.raises(ValueError, match="one per edge"):
        SparseOperator.from_edges(torch.zeros(2, 4, dtype=torch.int64), torch.zeros(3), 3)
    with pytest.raises(ValueError, match="5 rows on axis -2"):
        path(F64).matvec(torch.zeros(5, 2, dtype=F64))
    with pytest.raises(ValueError, match="cannot be added"):
        path(F64) + Identity(5)
    with pytest.raises(ValueError, match="cannot be multiplied"):
        path(F64) @ Identity(5)


@pytest.mark.parametrize("dtype", [F64, C128], ids=str)
def test_gradients_reach_everything(dtype):
    """Through the whole algebra: values, diagonal, matrix and scale."""
    pattern = sparse(dtype).pattern
    leaves = [random(dtype, 14), random(dtype, 6), random(dtype, 6, 6), random(dtype, 1)[0], random(dtype, 6, 2)]

    def run(values, diagonal, matrix, scale, x):
        a = SparseOperator(pattern, values)
        total = Sum(Scaled(Product(a, a.adjoint), scale), Shifted(Diagonal(diagonal), 0.5, 2.0)) - Dense(matrix)
        return total.matvec(x)

    leaves = [leaf.requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)
