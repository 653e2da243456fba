"""Elimination on the matrix of a small operator: badly scaled and singular systems, its limits, and where it is the default."""

import pytest
import torch
from torch import Tensor

from solvers import GMRES, Dense, Elimination, PerGraph, Plain, Problem, linearise
from solvers.linear import default_solver
from solvers.stacked import StackedSpace


def system(n: int = 6) -> tuple[Dense, Tensor]:
    torch.manual_seed(0)
    scales = torch.logspace(0, 9, n, dtype=torch.float64)
    return Dense(scales.unsqueeze(1) * torch.randn(n, n, dtype=torch.float64)), torch.randn(n, 1, dtype=torch.float64)


def test_rows_of_any_size():
    A, x = system()
    solved = Elimination().prepare(A, Plain()).solve(A.matvec(x), rtol=1e-12)
    assert solved.converged and solved.iterations == 1 and solved.products == 6 + 1
    assert torch.allclose(solved.x, x, rtol=1e-9)


@pytest.mark.parametrize("shape", [(6,), (6, 3), (2, 6, 1)])
def test_shapes_and_gradients(shape):
    A, _ = system()
    matrix = (A.matrix / 1e3).requires_grad_()
    b = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def run(entries: Tensor, rhs: Tensor) -> Tensor:
        return Elimination().prepare(Dense(entries), Plain()).solve(rhs, rtol=1e-12).x

    exact = torch.linalg.solve(matrix, b if b.dim() > 1 else b.unsqueeze(1)).view(shape)
    assert torch.allclose(run(matrix, b), exact, rtol=1e-8)
    (here,) = torch.autograd.grad(run(matrix, b).square().sum(), matrix, retain_graph=True)
    (there,) = torch.autograd.grad(exact.square().sum(), matrix)
    assert torch.allclose(here, there, rtol=1e-6, atol=1e-8 * float(there.abs().max()))


def test_a_singular_system_breaks_down():
    solved = (
        Elimination()
        .prepare(Dense(torch.zeros(3, 3, dtype=torch.float64)), Plain())
        .solve(torch.ones(3, 1).double(), rtol=1e-6)
    )
    assert not solved.converged and solved.status == "breakdown"


def test_large_systems_are_refused():
    big = Dense(torch.eye(300))
    with pytest.raises(ValueError, match="GMRES"):
        Elimination().prepare(big, Plain()).solve(torch.ones(300, 1), rtol=1e-3)


def test_default_for_small_jacobians_only():
    def jacobian(n: int):
        return linearise(Problem(lambda t, y: -(y**3)), 0.0, torch.ones(n, 1, dtype=torch.float64))

    groups = PerGraph(torch.tensor([0, 0, 0, 1]))
    for space in (Plain(), groups, StackedSpace(groups)):
        assert isinstance(default_solver(jacobian(4), space), Elimination)
    assert isinstance(default_solver(jacobian(33), Plain()), GMRES)
    assert isinstance(default_solver(system()[0], Plain()), GMRES), "an operator with columns"
