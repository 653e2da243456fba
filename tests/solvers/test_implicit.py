"""The implicit methods on linear and stiff fields: exact solutions, damping, gradients, work, failures by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from problems import dense_laplacian, errors, heat, laplacian, slope
from scipy.linalg import expm
from torch import Tensor

from solvers import (
    BDF2,
    CG,
    GMRES,
    SDIRK2,
    TRBDF2,
    BiCGStab,
    CrankNicolson,
    Dense,
    Diagonal,
    ImplicitEuler,
    IntegrationError,
    LinearFlow,
    PerGraph,
    Scaled,
    SparseOperator,
    solve,
)
from solvers.integrators.implicit_stage import ImplicitMethod

METHODS = [ImplicitEuler, CrankNicolson, BDF2, SDIRK2, TRBDF2]
L_STABLE = [ImplicitEuler, BDF2, SDIRK2, TRBDF2]
TIGHT = {"rtol": 1e-12, "atol": 1e-14}
each = pytest.mark.parametrize("cls", METHODS)


def sparse_path(n: int, dtype: torch.dtype = torch.float64) -> SparseOperator:
    matrix = -torch.from_numpy(laplacian("path", n)).to(dtype)
    rows, cols = matrix.nonzero().T
    return SparseOperator.from_edges(torch.stack((cols, rows)), matrix[rows, cols], n, symmetric=True)


@each
def test_order_on_heat_with_a_source(cls):
    """`y' = -L y + s` on a path against the matrix exponential; every shape of state."""
    n = 8
    A = -laplacian("path", n)
    source = torch.from_numpy(np.cos(np.arange(n * 2)).reshape(n, 2))
    y0 = torch.from_numpy(np.sin(np.arange(n * 2) ** 2).reshape(n, 2))
    block = np.block([[A, source.numpy()], [np.zeros((2, n)), np.zeros((2, 2))]])
    exact = torch.from_numpy((expm(2 * block) @ np.vstack((y0.numpy(), np.eye(2))))[:n])
    flow = LinearFlow(sparse_path(n), source)
    steps = [16, 32, 64, 128]
    found = [errors(solve(flow, y0, 2.0, cls(), dt=2 / k, **TIGHT).y[-1], exact) for k in steps]
    assert slope(steps, found) == pytest.approx(cls.order, abs=0.15)
    whole = solve(flow, y0, 2.0, cls(), dt=0.1, **TIGHT).y[-1]
    single = solve(LinearFlow(sparse_path(n), source[:, 0]), y0[:, 0], 2.0, cls(), dt=0.1, **TIGHT).y[-1]
    double = solve(flow, torch.stack((y0, -y0)), 2.0, cls(), dt=0.1, **TIGHT).y[-1]
    assert torch.allclose(single, whole[:, 0], rtol=1e-9) and torch.allclose(double[0], whole, rtol=1e-9)


@each
@pytest.mark.parametrize("solver", [None, CG(), CG(preconditioner="jacobi"), BiCGStab(), GMRES(restart=10)])
def test_the_linear_solver_does_not_show(cls, solver):
    flow, y0, value = heat("path", 40, 3)
    sol = solve(flow, y0, 1.0, cls(linear_solver=solver, linear_rtol=1e-12), dt=0.01)
    assert errors(sol.y[-1], math.exp(-value) * y0) < (1e-3 if cls.order == 1 else 1e-6)
    assert sol.stats.products >= sol.stats.linear_iterations > 0


@each
def test_a_linear_field_and_the_same_as_a_closure_agree(cls):
    matrix = torch.tensor([[-3.0, 2.0, 0.0], [-1.0, -2.0, 0.5], [0.3, 0.0, -40.0]], dtype=torch.float64)
    y0 = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    linear = solve(LinearFlow(Dense(matrix)), y0, 1.0, cls(), dt=0.1, **TIGHT)
    closure = solve(lambda t, y: matrix @ y, y0, 1.0, cls(), dt=0.1, **TIGHT)
    assert torch.allclose(linear.y, closure.y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cls", L_STABLE)
def test_what_is_stiff_is_damped_at_once(cls):
    y0 = torch.ones(2, 1, dtype=torch.float64)
    flow = LinearFlow(Diagonal(torch.tensor([-1.0, -1e8], dtype=torch.float64)))
    sol = solve(flow, y0, 1.0, cls(), dt=0.1, **TIGHT)
    assert abs(float(sol.y[-1, 1])) < 1e-8
    assert float(sol.y[-1, 0]) == pytest.approx(math.exp(-1), abs=2e-2)


def test_crank_nicolson_keeps_the_norm_of_a_rotation_and_rings_on_rough_data():
    turn = Dense(torch.tensor([[0.0, 7.0], [-7.0, 0.0]], dtype=torch.float64))
    y0 = torch.tensor([[3.0], [4.0]], dtype=torch.float64)
    sol = solve(LinearFlow(turn), y0, 50.0, CrankNicolson(), dt=0.25, save="steps", **TIGHT)
    assert torch.allclose(sol.y.square().sum((1, 2)), torch.full((201,), 25.0, dtype=torch.float64), rtol=1e-9)
    rough = LinearFlow(Diagonal(torch.tensor([-1e6], dtype=torch.float64)))
    ringing = solve(rough, torch.ones(1, 1, dtype=torch.float64), 1.0, CrankNicolson(), dt=0.1, save="steps", **TIGHT)
    assert (ringing.y[1:, 0, 0] * ringing.y[:-1, 0, 0] < 0).all() and float(ringing.y[-1].abs()) > 0.99


def test_one_implicit_euler_step_is_personalised_pagerank():
    """`(I + tau (I - P))^-1 s = alpha sum_k (1 - alpha)^k P^k s` with `alpha = 1/(1 + tau)`."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.rand(30, 30, generator=generator, dtype=torch.float64) * (torch.rand(30, 30, generator=generator) < 0.2)
    weight = weight + torch.eye(30, dtype=torch.float64)
    P = weight / weight.sum(0)  # columns sum to one: mass is kept
    tau, start = 9.0, torch.zeros(30, 1, dtype=torch.float64)
    start[4] = 1.0
    alpha, power, ppr = 1 / (1 + tau), start, torch.zeros_like(start)
    for k in range(400):
        ppr, power = ppr + alpha * (1 - alpha) ** k * power, P @ power
    step = solve(LinearFlow(Dense(P - torch.eye(30, dtype=torch.float64))), start, tau, ImplicitEuler(), dt=tau, **TIGHT)
    assert step.stats.steps == 1 and errors(step.y[-1], ppr) < 1e-11
    assert float(step.y[-1].sum()) == pytest.approx(1.0, abs=1e-11) and bool((step.y[-1] >= 0).all())


@pytest.mark.parametrize("cls, most", [(TRBDF2, 120), (SDIRK2, 700)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stiff_heat_takes_few_steps(cls, most, dtype):
    """lambda_max T = 40,000 from a step function: an explicit method needs 12,000 steps and more."""
    n = 100
    y0 = (torch.arange(n) < n // 2).to(dtype).unsqueeze(1)
    exact = torch.from_numpy(expm(-1e4 * laplacian("path", n))) @ y0.double()
    sol = solve(LinearFlow(sparse_path(n, dtype)), y0, [0.0, 10.0, 1e4], cls(), rtol=1e-4)
    assert sol.stats.steps < most and sol.y.dtype == dtype
    assert errors(sol.y[-1].double(), exact) < 1e-3


@each
def test_a_step_cut_short_to_land_keeps_the_order(cls):
    flow, y0, value = heat("path", 12, 2)
    times = [0.0, 0.013, 0.5, 0.77, 0.9, 1.0]

    def error(dt: float) -> float:
        sol = solve(flow, y0, times, cls(), dt=dt, **TIGHT)
        return max(errors(y, math.exp(-value * t) * y0) for t, y in zip(times, sol.y, strict=True))

    assert math.log2(error(0.02) / error(0.01)) > cls.order - 0.4


@each
def test_gradients_to_conductivity_entries_source_and_state(cls):
    i = torch.arange(4)
    edges = torch.stack((torch.cat((i, (i + 1) % 4, i)), torch.cat(((i + 1) % 4, i, i))))

    def run(conductivity: Tensor, weight: Tensor, source: Tensor, y0: Tensor) -> Tensor:
        values = torch.cat((weight, weight, -weight - weight.roll(1)))
        operator = Scaled(SparseOperator.from_edges(edges, values, 4, symmetric=True), conductivity)
        return solve(LinearFlow(operator, source), y0, [0.0, 0.5, 0.8], cls(linear_rtol=1e-14), dt=0.25, **TIGHT).y[1:]

    inputs = [torch.rand(s, dtype=torch.float64).add(0.5).requires_grad_() for s in ((), (4,), (4, 1), (4, 1))]
    assert torch.autograd.gradcheck(run, inputs, nondet_tol=1e-12)
    assert torch.autograd.gradgradcheck(run, inputs, nondet_tol=1e-9, fast_mode=True)


@each
def test_gradients_when_the_operator_is_not_symmetric(cls):
    matrix = (torch.randn(4, 4, dtype=torch.float64) - 3 * torch.eye(4, dtype=torch.float64)).requires_grad_()
    y0 = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)

    def run(matrix: Tensor, y0: Tensor) -> Tensor:
        return solve(LinearFlow(Dense(matrix)), y0, 1.0, cls(linear_rtol=1e-14), dt=0.25, **TIGHT).y[-1]

    assert torch.autograd.gradcheck(run, (matrix, y0), nondet_tol=1e-12)


def test_adaptive_gradients():
    """Step sizes are constants of the backward pass; against the exact derivative at the solver's accuracy."""
    rate = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    operator = Scaled(-1.0 * dense_laplacian("path", 10), rate)
    _, y0, value = heat("path", 10, 2)
    y = solve(LinearFlow(operator), y0, 3.0, "trbdf2", rtol=1e-7).y[-1]
    y[0, 0].backward()
    assert rate.grad is not None
    assert float(rate.grad) == pytest.approx(-3 * value * math.exp(-2.4 * value) * float(y0[0, 0]), rel=1e-4)


@dataclass(frozen=True, eq=False)
class Semilinear:
    """`y' = A y + c (y - y^3)` with its linear part offered: Newton on the whole of it."""

    operator: SparseOperator
    c: float = 1.0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.operator.matvec(y) + self.nonlinear_part(t, y)

    def linear_part(self, t: Tensor, y: Tensor) -> SparseOperator:
        return self.operator

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return self.c * (y - y**3)


@each
def test_reaction_and_diffusion(cls):
    torch.manual_seed(0)
    field, y0 = Semilinear(sparse_path(30)), torch.randn(30, 2, dtype=torch.float64)
    reference = solve(field, y0, 1.0, "dopri5", rtol=1e-10).y[-1]
    coarse, fine = (errors(solve(field, y0, 1.0, cls(), dt=dt).y[-1], reference) for dt in (0.05, 0.025))
    assert fine < 0.05 and math.log2(coarse / fine) > cls.order - 0.35


def test_systems_that_are_symmetric_but_not_definite_are_solved_all_the_same():
    """Growth faster than the step, and time run backwards: CG breaks down, GMRES takes over where nothing was chosen."""
    A = Diagonal(torch.tensor([5.0, -1.0, -3.0], dtype=torch.float64))
    y0 = torch.ones(3, 1, dtype=torch.float64)
    y = solve(LinearFlow(A), y0, 0.5, "implicit_euler", dt=0.5, **TIGHT).y[-1]
    assert torch.allclose(y.squeeze(), 1 / (1 - 0.5 * A.values), rtol=1e-10)
    flow, start, value = heat("path", 10, 1)
    back = solve(flow, start, [1.0, 0.0], "trbdf2", rtol=1e-6)
    assert errors(back.y[-1], math.exp(value) * start) < 1e-4
    with pytest.raises(IntegrationError, match=r"CG broke down.*GMRES\(\)"):
        solve(LinearFlow(A), y0, 0.5, ImplicitEuler(CG()), dt=0.5)


def test_a_batch_of_graphs_is_solved_as_each_alone():
    sizes, operator = (6, 15), torch.block_diag(*(-torch.from_numpy(laplacian("path", n)) for n in (6, 15)))
    batch = torch.tensor([0] * 6 + [1] * 15)
    y0 = torch.randn(21, 2, dtype=torch.float64)
    y0[6:] *= 1e3
    space = PerGraph(batch)
    whole = solve(LinearFlow(Dense(operator, symmetric=True)), y0, 5.0, "trbdf2", dt=0.5, space=space).y[-1]
    for g, n in enumerate(sizes):
        alone = Dense(-torch.from_numpy(laplacian("path", n)), symmetric=True)
        own = solve(LinearFlow(alone), y0[batch == g], 5.0, "trbdf2", dt=0.5, space=PerGraph(torch.zeros(n, dtype=torch.long)))
        assert torch.allclose(whole[batch == g], own.y[-1], rtol=1e-11)


def test_a_linear_solve_that_fails_ends_a_fixed_run_with_the_numbers_and_the_fix_works():
    flow = LinearFlow(Diagonal(-torch.logspace(0, 6, 200, dtype=torch.float64)))
    flow = LinearFlow(Dense(torch.diag(flow.operator.diagonal()), symmetric=True))
    y0 = torch.randn(200, 3, dtype=torch.float64)
    with pytest.raises(IntegrationError) as caught:
        solve(flow, y0, 1.0, ImplicitEuler(CG(max_iterations=30)), dt=0.1)
    error, text = caught.value, str(caught.value)
    assert error.status == "linear" and error.solution is not None and error.solution.status == "linear"
    for part in ("ImplicitEuler stopped at t = 0 of 1, step 1", "CG reached 30 iterations at relative residual", "wanted"):
        assert part in text
    assert 'preconditioner="jacobi"' in text
    assert solve(flow, y0, 1.0, ImplicitEuler(CG(max_iterations=30, preconditioner="jacobi")), dt=0.1).ok
    adaptive = solve(flow, y0, 1e-4, TRBDF2(CG(max_iterations=30)), rtol=1e-3)  # smaller steps are solved
    assert adaptive.ok


@each
def test_work_is_counted(cls):
    class Counted(SparseOperator):
        calls = 0

        def matvec(self, x: Tensor) -> Tensor:
            Counted.calls += 1
            return super().matvec(x)

    path = sparse_path(50)
    operator = Counted(path.pattern, path.values, symmetric=True)
    y0 = torch.randn(50, 2, dtype=torch.float64)
    for options in ({"dt": 0.3}, {"rtol": 1e-4}) if cls.adaptive else ({"dt": 0.3},):
        Counted.calls = 0
        stats = solve(LinearFlow(operator), y0, 1.0, cls(), **options).stats
        assert Counted.calls == stats.products + stats.evaluations
        assert 0 < stats.linear_iterations < stats.products
    if cls.adaptive:  # nobody looks at the error of a fixed step: it is not paid for
        assert solve(LinearFlow(operator), y0, 0.3, cls(), dt=0.3).stats.products < stats.products


def test_settings_are_checked():
    with pytest.raises(TypeError, match=r"linear_solver is the class CG; pass an instance.*CG\(\)"):
        ImplicitEuler(linear_solver=CG)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="linear_solver is a str"):
        TRBDF2(linear_solver="cg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="linear_rtol = 2"):
        BDF2(linear_rtol=2.0)
    with pytest.raises(ValueError, match="max_newton = 0"):
        BDF2(max_newton=0)
    with pytest.raises(TypeError, match="takes what init or step returned"):
        SDIRK2().step(None, 0.0, 0.1, torch.ones(2), None)  # type: ignore[arg-type]
    assert issubclass(TRBDF2, ImplicitMethod) and not TRBDF2.explicit and math.isinf(TRBDF2.real_stability)
