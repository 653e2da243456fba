"""Phi functions of numbers, matrices and operators; exponential integrators beyond what the contract tests ask."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from problems import dense_laplacian, slope
from torch import Tensor

from solvers import ETD1, Dense, ExpRB32, IntegrationError, LinearFlow, LinearOperator, Plain, SparseOperator, solve
from solvers.linear.field_jacobian import FieldJacobian, time_derivative
from solvers.linear.functions import matrix_functions
from solvers.linear.phi import PhiSum, phi, phi_of_matrix
from solvers.protocols import Problem

N = 6


def start(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense_phi(k: int, matrix: Tensor) -> Tensor:
    """The upper right block of `exp [[A, I, 0 ..], [0, 0, I ..], ..]`."""
    n = len(matrix)
    big = torch.zeros(n * (k + 1), n * (k + 1), dtype=matrix.dtype)
    big[:n, :n] = matrix
    for j in range(k):
        big[j * n : (j + 1) * n, (j + 1) * n : (j + 2) * n] = torch.eye(n, dtype=matrix.dtype)
    return torch.matrix_exp(big)[:n, k * n :]


@pytest.mark.parametrize("k", range(5))
def test_phi_of_numbers(k):
    def series(z: float) -> float:  # positive terms: no cancellation
        return math.fsum(z**j / math.factorial(j + k) for j in range(80))

    for z in (0.0, 1e-12, 1e-3, 0.5, 1.0, 1.5, 8.0):
        assert float(phi(k, np.array([z]))[0]) == pytest.approx(series(z), rel=2e-13)
    integral = {0: lambda z: math.exp(z), 1: lambda z: math.expm1(z) / z}
    for z in (-1e-9, -0.3, -30.0, -4000.0):
        if k in integral:
            assert float(phi(k, np.array([z]))[0]) == pytest.approx(integral[k](z), rel=1e-13)
        elif z < -20:  # phi_k(z) -> -1 / ((k - 1)! z)
            assert float(phi(k, np.array([z]))[0]) == pytest.approx(-1 / (math.factorial(k - 1) * z), rel=0.15)


def test_phi_of_matrices():
    for scale in (1e-3, 1.0, 30.0):
        matrix = scale * (start(2, 5, 5) - 2 * torch.eye(5, dtype=torch.float64))
        found = phi_of_matrix(4, matrix)
        for k in range(5):
            want = torch.stack([dense_phi(k, m) for m in matrix])
            torch.testing.assert_close(found[k], want, rtol=1e-10, atol=1e-12 * float(want.abs().max()))


@pytest.mark.parametrize("symmetric", [True, False], ids=["chebyshev", "krylov"])
def test_functions_of_an_operator(symmetric):
    matrix = start(N, N)
    matrix = -(matrix @ matrix.T) if symmetric else matrix
    A, vectors, h = Dense(matrix, symmetric=symmetric), [start(N, 2, seed=s) for s in (1, 2)], 0.7
    table = [[PhiSum(((1.0, 0, h),)), PhiSum(())], [PhiSum(((h, 1, h), (-3.0, 3, h / 2))), PhiSum(((2.0, 4, h),))]]
    tolerance = torch.full((1,), 1e-12, dtype=torch.float64)
    done = matrix_functions(A, Plain(), table, vectors, rtol=1e-12, tolerance=tolerance)
    first = dense_phi(0, h * matrix) @ vectors[0]
    first = first + (h * dense_phi(1, h * matrix) - 3 * dense_phi(3, h / 2 * matrix)) @ vectors[1]
    torch.testing.assert_close(done.y, torch.stack([first, 2 * dense_phi(4, h * matrix) @ vectors[1]]), rtol=0, atol=1e-10)
    assert not done.message and done.products > 0

    def run(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
        A = Dense((matrix + matrix.T) / 2 if symmetric else matrix, symmetric=symmetric)
        return matrix_functions(A, Plain(), table, [u, v], rtol=1e-12, tolerance=tolerance).y

    leaves = [x.clone().requires_grad_() for x in (matrix, *vectors)]
    assert torch.autograd.gradcheck(run, leaves, atol=1e-7, rtol=1e-6, fast_mode=True)


@dataclass(frozen=True, eq=False)
class AllenCahn:
    """`y' = -k L y + c (y - y^3) + sin t`: stiff through L, with L either stated as a constant or as a function of y."""

    laplacian: LinearOperator
    rate: Tensor
    moving: bool = False

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        if not self.moving:
            return -20.0 * self.laplacian
        return -20.0 * self.laplacian + Dense(torch.diag(torch.tanh(y[:, 0])))

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        rest = self.rate * (y - y**3) + torch.sin(t)
        return rest - torch.tanh(y[:, :1]) * y if self.moving else rest

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


def allen_cahn(moving: bool = False) -> AllenCahn:
    return AllenCahn(dense_laplacian("cycle", N), torch.tensor(1.5, dtype=torch.float64), moving)


@pytest.mark.parametrize("name, order", [("etd1", 1), ("etdrk2", 2), ("etdrk4", 4)])
@pytest.mark.parametrize("moving", [False, True], ids=["constant L", "L of y"])
def test_order_on_a_stiff_semilinear_field(name, order, moving):
    field, y = allen_cahn(moving), 0.5 * start(N, 2)
    exact = solve(field, y, [0.0, 1.0], "dopri5", rtol=1e-12, atol=1e-13).y[-1]
    steps = [96, 192]
    sizes = [float((solve(field, y, [0.0, 1.0], name, dt=1 / n, rtol=1e-11).y[-1] - exact).abs().max()) for n in steps]
    assert slope(steps, sizes) > order - 0.35, sizes


def test_etd_is_exact_for_linear_fields_with_a_constant_source():
    flow = LinearFlow(-300.0 * dense_laplacian("path", N), start(N, 1, seed=3))
    y = start(N, 2)
    exact = solve(flow, y, [0.0, 1.0], "chebyshev_exp", rtol=1e-12).y[-1]
    for name in ("etd1", "etdrk2", "etdrk4"):
        torch.testing.assert_close(solve(flow, y, [0.0, 1.0], name, dt=0.5, rtol=1e-11).y[-1], exact, rtol=0, atol=1e-9)
    # for a general method, with an embedded estimate that sees no error at all
    sol = solve(flow, y, [0.0, 1.0], "exprb32", rtol=1e-8)
    torch.testing.assert_close(sol.y[-1], exact, rtol=0, atol=1e-7)
    assert sol.stats.accepted < 8


def test_rosenbrock_takes_stiff_fields_in_large_steps():
    """An explicit method would need 25,000 steps for stability alone."""
    field, y = replace(allen_cahn(), laplacian=500.0 * dense_laplacian("cycle", N)), 0.5 * start(N, 2)
    exact = solve(field, y, [0.0, 2.0], "etdrk4", dt=0.01, rtol=1e-11).y[-1]
    sol = solve(field, y, [0.0, 2.0], "exprb32", rtol=1e-4)
    assert float((sol.y[-1] - exact).abs().max()) < 3e-3  # a mean near zero grows 20 times
    assert sol.stats.accepted < 100 and not sol.y.requires_grad


def test_rosenbrock_gradients():
    lap, rate = dense_laplacian("cycle", N).matrix, torch.tensor(1.5, dtype=torch.float64)

    def run(matrix: Tensor, rate: Tensor, y: Tensor) -> Tensor:
        return solve(AllenCahn(Dense(matrix / 20), rate), y, [0.0, 0.6], "exprb32", dt=0.6, rtol=1e-12).y[-1]

    leaves = [x.clone().requires_grad_() for x in (lap, rate, 0.5 * start(N, 1))]
    assert torch.autograd.gradcheck(run, leaves, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_rosenbrock_refuses_what_it_cannot_see():
    hidden = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(TypeError, match=r"nn\.Module or a frozen dataclass"):
        solve(lambda t, y: hidden * torch.sin(y), start(2, 1), [0.0, 1.0], "exprb32", dt=0.5)
    with torch.no_grad():
        assert solve(lambda t, y: hidden * torch.sin(y), start(2, 1), [0.0, 1.0], "exprb32", dt=0.5).ok


def test_a_space_that_is_too_small_shortens_the_step():
    graph = torch.arange(200)
    ring = SparseOperator.from_edges(
        torch.stack([torch.cat([graph, graph]), torch.cat([graph, graph.roll(-1)])]),
        torch.cat([torch.full((200,), -400.0), torch.full((200,), 400.0)]).double(),
        200,
    )
    field = AllenCahn(ring * -0.05, torch.tensor(0.1, dtype=torch.float64))
    y = start(200, 1)
    with pytest.raises(IntegrationError, match="Krylov space") as caught:
        solve(field, y, [0.0, 4.0], ETD1(), dt=2.0)
    assert caught.value.status == "linear"
    sol = solve(field, y, [0.0, 0.1], ExpRB32(dimension=8), rtol=1e-3)
    assert sol.ok and sol.stats.rejected > 0


def test_jacobian_of_a_field():
    field, y, v = allen_cahn(True), start(N, 2), start(N, 2, seed=9)
    problem = Problem(field)
    dense = torch.autograd.functional.jacobian(lambda u: problem.f(0.4, u), y).reshape(2 * N, 2 * N)
    J = FieldJacobian(problem, 0.4, y)
    torch.testing.assert_close(J.matvec(v).flatten(), dense @ v.flatten())
    torch.testing.assert_close(J.adjoint.matvec(v).flatten(), dense.T @ v.flatten())
    found = time_derivative(problem, 0.4, y)
    assert found is not None
    torch.testing.assert_close(found, torch.full_like(y, math.cos(0.4)))
    assert time_derivative(Problem(lambda t, y: -y), 0.4, y) is None
