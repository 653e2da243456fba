"""Second and third derivatives of matrix functions in Krylov spaces: against dense algebra, and in hard cases."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from solvers import Dense, KrylovExp, LinearFlow, LinearOperator, PerGraph, SparseOperator, solve
from solvers.linear.with_derivative import WithDerivative

N = 6


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def flow(matrix: Tensor, y: Tensor) -> Tensor:
    return solve(LinearFlow(Dense(matrix)), y, torch.tensor([0.0, 0.7], dtype=torch.float64), "krylov_exp", rtol=1e-12).y[-1]


def derivatives(y: Tensor, inputs: list[Tensor], order: int) -> list[Tensor]:
    """Repeated gradients of quadratic forms."""
    found = [y]
    for k in range(order):
        total = torch.stack([(f.abs().square() * drawn(*f.shape, seed=k)).sum() for f in found]).sum()
        found = list(torch.autograd.grad(total, inputs, create_graph=True))
    return found


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_against_the_dense_exponential(order, dtype):
    matrix, y = drawn(N, N, seed=1, dtype=dtype).requires_grad_(), drawn(N, 2, seed=2, dtype=dtype).requires_grad_()
    exact = derivatives(torch.linalg.matrix_exp(0.7 * matrix) @ y, [matrix, y], order)
    for got, want in zip(derivatives(flow(matrix, y), [matrix, y], order), exact, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-7 * float(want.detach().abs().amax()))


@pytest.mark.parametrize("start", ["eigenvector", "zero", "one"])
def test_spaces_that_are_invariant_early(start):
    """The space of the flow says nothing of where its derivative points."""
    matrix = torch.triu(drawn(N, N, seed=1)).requires_grad_()
    y = torch.zeros(N, 1, dtype=torch.float64)
    y[0] = float(start != "zero")
    y = (torch.ones(N, 1, dtype=torch.float64) if start == "one" else y).requires_grad_()
    exact = derivatives(torch.linalg.matrix_exp(0.7 * matrix) @ y, [matrix, y], 2)
    for got, want in zip(derivatives(flow(matrix, y), [matrix, y], 2), exact, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-9)


def test_sub_steps_and_small_weights():
    """Several sub-steps of a stiff flow; cotangents of very different size."""
    matrix = (-15 * torch.diag(torch.linspace(0, 1, 12, dtype=torch.float64)) + drawn(12, 12, seed=1)).requires_grad_()
    y = drawn(12, 1, seed=3).requires_grad_()

    def run(method: str) -> list[Tensor]:
        if method == "dense":
            end = torch.linalg.matrix_exp(0.7 * matrix) @ y
        else:
            end = solve(LinearFlow(Dense(matrix)), y, 0.7, KrylovExp(dimension=8), rtol=1e-9).y[-1]
        (first,) = torch.autograd.grad((end**2).sum(), matrix, create_graph=True)
        return list(torch.autograd.grad(1e-9 * (first**2).sum(), (matrix, y)))

    for got, want in zip(run("krylov"), run("dense"), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6 * float(want.detach().abs().amax()))


def test_groups_of_a_batch_keep_their_own_scalars():
    batch, edges = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 0, 4, 3, 0]])
    values, y = drawn(6, seed=4).requires_grad_(), drawn(5, 2, seed=5).requires_grad_()

    def run(values: Tensor, y: Tensor) -> Tensor:
        A = SparseOperator.from_edges(edges, values, 5)
        return solve(
            LinearFlow(A),
            y * torch.tensor([[1.0], [1], [1], [100], [100]], dtype=torch.float64),
            0.7,
            "krylov_exp",
            rtol=1e-12,
            space=PerGraph(batch),
        ).y[-1]

    assert torch.autograd.gradgradcheck(run, (values, y), fast_mode=True)


@dataclass(frozen=True, eq=False)
class Reaction:
    """`y' = (W - 1) y + r sin y + t`, with an operator that is not symmetric."""

    weight: Tensor
    rate: Tensor

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return Dense(self.weight - torch.eye(len(self.weight), dtype=torch.float64))

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * torch.sin(y) + t

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


@pytest.mark.parametrize("method", ["etd1", pytest.param("etdrk4", marks=pytest.mark.slow), "exprb32"])
def test_exponential_steps(method):
    inputs = [drawn(*s, seed=6).requires_grad_() for s in ((2, 1), (2, 2), ())]

    def run(y: Tensor, weight: Tensor, rate: Tensor) -> Tensor:
        return solve(
            Reaction(weight, rate), y, torch.tensor([0.0, 0.2], dtype=torch.float64), method, dt=0.2, rtol=1e-10, atol=1e-11
        ).y[-1]

    assert torch.autograd.gradgradcheck(run, inputs, nondet_tol=1e-8, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_operator_with_its_derivative(dtype):
    matrix, along, x, z = (drawn(*s, seed=k, dtype=dtype) for k, s in enumerate([(3, 3), (3, 3), (2, 3, 1), (2, 3, 1)]))
    pair = WithDerivative(Dense(matrix), (matrix,), (along,))
    dense = torch.cat([torch.cat([matrix, along], 1), torch.cat([torch.zeros_like(matrix), matrix], 1)])
    torch.testing.assert_close(pair.matvec(x).reshape(6, 1), dense @ x.reshape(6, 1))
    torch.testing.assert_close(pair.adjoint.matvec(z).reshape(6, 1), dense.mH @ z.reshape(6, 1))
    assert pair.shape == (6, 6) and pair.adjoint.adjoint.transposed is False
