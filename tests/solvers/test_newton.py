"""The Jacobian by automatic differentiation, and Newton-Krylov: roots, gradients, failures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from solvers import (
    CG,
    GMRES,
    TRBDF2,
    BiCGStab,
    Dense,
    IntegrationError,
    LinearFlow,
    NewtonKrylov,
    PerGraph,
    Problem,
    linearise,
    solve,
)

TIGHT = {"rtol": 1e-12, "atol": 1e-14}


@dataclass(frozen=True, eq=False)
class Mixing:
    """`f = tanh(y W) - rate y^3 + sin t`: channels are mixed, W is not symmetric."""

    weight: Tensor
    rate: Tensor

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.weight) - self.rate * y**3 + torch.sin(t)


def mixing() -> Mixing:
    torch.manual_seed(0)
    return Mixing(torch.randn(3, 3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_jacobian_and_its_adjoint(shape):
    y = torch.randn(shape, dtype=torch.float64)
    problem = Problem(mixing())
    J = linearise(problem, 0.3, y)
    n = y.numel()
    dense = torch.autograd.functional.jacobian(lambda u: problem.f(0.3, u), y).reshape(n, n)
    assert J.shape == (n, n) and not J.columnwise and not J.symmetric
    assert torch.allclose(J.to_dense(), dense) and torch.allclose(J.adjoint.to_dense(), dense.T)
    assert torch.equal(J.value, problem.f(0.3, y)) and not J.value.requires_grad
    assert torch.allclose(J.adjoint.adjoint.to_dense(), dense)
    with pytest.raises(ValueError, match="states of shape"):
        J.matvec(torch.ones(5, 7, dtype=torch.float64))


def test_jacobian_of_special_fields():
    y = torch.randn(4, 2, dtype=torch.float64)
    matrix = torch.randn(4, 4, dtype=torch.float64)
    linear = linearise(Problem(LinearFlow(Dense(matrix))), 0.0, y)
    assert torch.allclose(linear.matvec(y), matrix @ y)
    constant = linearise(Problem(lambda t, y: torch.ones_like(y)), 0.0, y)
    assert not constant.matvec(y).any() and not constant.adjoint.matvec(y).any()
    assert not linearise(Problem(lambda t, y: torch.sign(y)), 0.0, y).matvec(y).any()
    with torch.no_grad():
        assert torch.allclose(linearise(Problem(lambda t, y: y * y), 0.0, y).matvec(y), 2 * y * y)
    with torch.inference_mode():
        assert torch.allclose(linearise(Problem(lambda t, y: y * y), 0.0, y).matvec(y.clone()), 2 * y * y)


class _OnlyOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g: Tensor) -> Tensor:
        return 2 * g * ctx.saved_tensors[0]


class _Recordless(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        with torch.no_grad():
            return 2 * g * ctx.saved_tensors[0]


def test_a_field_that_cannot_be_differentiated_twice_is_refused_with_the_ways_out():
    y = torch.ones(3, 1, dtype=torch.float64)

    def squares(t: Tensor, y: Tensor) -> Tensor:
        return _OnlyOnce.apply(y)  # type: ignore[return-value]

    with pytest.raises(TypeError, match=r"Jacobian of squares.*LinearFlow.*dopri5"):
        solve(squares, y, 1.0, "trbdf2", dt=0.1)

    def without_record(t: Tensor, y: Tensor) -> Tensor:
        return _Recordless.apply(y)  # type: ignore[return-value]

    with pytest.raises(TypeError, match="Jacobian of without_record"):
        solve(without_record, y, 1.0, "trbdf2", dt=0.1)
    assert solve(squares, 0.1 * y, 1.0, "dopri5").ok


@pytest.mark.parametrize("linear_solver", [None, GMRES(restart=5), BiCGStab()])
def test_root(linear_solver):
    problem, b = Problem(mixing(), **TIGHT), torch.randn(5, 3, dtype=torch.float64)
    root = NewtonKrylov(linear_solver).solve(problem, 0.2, 0.8, b, b)
    assert root.status == "ok" and root.message == ""
    assert torch.allclose(root.y - 0.8 * problem.f(0.2, root.y), b, rtol=1e-11, atol=1e-11)
    assert 1 < root.work.evaluations < 12 and root.work.products >= root.work.linear_iterations > 0


def test_a_root_that_is_known_costs_one_evaluation():
    problem, b = Problem(mixing(), rtol=1e-8, atol=1e-10), torch.randn(5, 3, dtype=torch.float64)
    with torch.no_grad():
        found = NewtonKrylov().solve(Problem(problem.field, **TIGHT), 0.2, 0.8, b, b)
        again = NewtonKrylov().solve(problem, 0.2, 0.8, b, found.y)
    assert again.work.evaluations == 1 and again.work.products == 0


def test_graphs_of_a_batch_do_not_disturb_each_other():
    batch = torch.tensor([0, 0, 1, 1, 1])
    b = torch.randn(5, 3, dtype=torch.float64)
    b[batch == 1] *= 30  # much harder
    field = mixing()
    whole = NewtonKrylov().solve(Problem(field, PerGraph(batch), 1e-6, 1e-9), 0.2, 0.8, b, b)
    for g in range(2):
        part = b[batch == g]
        alone = NewtonKrylov().solve(Problem(field, PerGraph(batch[batch == g] * 0), 1e-6, 1e-9), 0.2, 0.8, part, part)
        assert whole.status == alone.status == "ok"
        assert torch.allclose(whole.y[batch == g], alone.y, rtol=1e-6, atol=1e-8)


def test_gradient_by_the_implicit_function_theorem():
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((4, 3), (3, 3), ())]

    def root(b: Tensor, weight: Tensor, rate: Tensor) -> Tensor:
        def field(t: Tensor, y: Tensor) -> Tensor:  # a closure: what it holds is seen by nobody
            return torch.tanh(y @ weight) - rate.exp() * y**3 + torch.sin(t)

        return NewtonKrylov().solve(Problem(field, **TIGHT), 0.2, 0.5, b, b).y

    assert torch.autograd.gradcheck(root, inputs, nondet_tol=1e-12)
    y = root(*inputs)
    (g,) = torch.autograd.grad(y.square().sum(), inputs[0], create_graph=True)
    (second,) = torch.autograd.grad(g.square().sum(), inputs[0], create_graph=True)
    with pytest.raises(NotImplementedError, match=r"first and second derivatives only.*nn.Module"):
        torch.autograd.grad(second.sum(), inputs[0])


def test_what_needs_no_gradient_gets_none_and_the_graph_keeps_no_iterations():
    b = torch.randn(40, 3, dtype=torch.float64)
    field = mixing()
    assert not NewtonKrylov().solve(Problem(field, **TIGHT), 0.2, 0.3, b, b).y.requires_grad
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
        b.requires_grad_()
        root = NewtonKrylov().solve(Problem(field, **TIGHT), 0.2, 0.3, b, b)
        value = root.y.detach().requires_grad_()
        nodes_of_one_evaluation = _nodes(field(torch.tensor(0.2), value.clone()))
    assert root.y.requires_grad and _nodes(root.y) <= nodes_of_one_evaluation + 8, (_nodes(root.y), nodes_of_one_evaluation)
    assert root.work.evaluations > 3


def _nodes(y: Tensor) -> int:
    seen, todo = set(), [y.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [f for f, _ in node.next_functions]
    return len(seen)


def blow_up(t: Tensor, y: Tensor) -> Tensor:
    return torch.exp(5 * y) * (1 - y) * 50 - 100 * y**3


def test_failure_of_a_fixed_step_is_an_error_with_the_numbers_and_its_fix_works():
    def double_well(t: Tensor, y: Tensor) -> Tensor:
        return 2 * (y - y**3)

    y0, method = torch.tensor([-1.5, 2.0], dtype=torch.float64), TRBDF2(max_newton=2)
    with pytest.raises(IntegrationError, match=r"Newton's method reached 2 iterations at a residual of \d.*wanted 1") as caught:
        solve(double_well, y0, 1.0, method, dt=0.5, rtol=1e-4)
    error = caught.value
    assert error.status == "nonlinear"
    assert "TRBDF2 stopped at t = 0 of 1, step 1" in str(error) and "smaller dt" in str(error)
    assert solve(double_well, y0, 1.0, method, dt=5e-3, rtol=1e-4).ok


def arctangent(t: Tensor, y: Tensor) -> Tensor:
    return -1000 * torch.atan(y - 0.3)


@pytest.mark.parametrize("guess", [3.0, 30.0, -200.0])
def test_halved_steps_converge_where_full_ones_diverge(guess):
    b, problem = torch.zeros(4, 2, dtype=torch.float64), Problem(arctangent, **TIGHT)
    start = torch.full_like(b, guess)
    full = NewtonKrylov(max_halvings=0, max_iterations=40).solve(problem, 0.0, 1.0, b, start)
    halved = NewtonKrylov(max_iterations=40).solve(problem, 0.0, 1.0, b, start)
    assert full.status == "nonlinear" and halved.status == "ok" and halved.work.evaluations > full.work.evaluations
    assert torch.allclose(halved.y, 1000 * torch.atan(0.3 - halved.y), rtol=1e-9, atol=1e-9)


def test_groups_of_a_batch_are_halved_by_themselves():
    batch, b = torch.tensor([0, 0, 1]), torch.zeros(3, 1, dtype=torch.float64)
    start = torch.tensor([[0.31], [0.3], [30.0]], dtype=torch.float64)
    root = NewtonKrylov(max_iterations=40).solve(Problem(arctangent, PerGraph(batch), **TIGHT), 0.0, 1.0, b, start)
    assert root.status == "ok" and torch.allclose(root.y, root.y[:1].expand(3, 1), rtol=1e-9, atol=1e-12)


def test_a_fixed_step_is_rescued_by_halving():
    y0 = torch.full((3, 1), 4.0, dtype=torch.float64)
    found = solve(arctangent, y0, 1.0, "implicit_euler", dt=0.25, rtol=1e-8, atol=1e-10)
    assert found.ok and torch.allclose(found.y[-1], torch.full_like(y0, 0.3), atol=1e-6)


def test_failure_when_halving_does_not_help_is_that_of_full_steps():
    b = torch.zeros(2, dtype=torch.float64)
    root = NewtonKrylov().solve(Problem(lambda t, y: y + y * y + 1, **TIGHT), 0.0, 1.0, b, b + 0.7)  # y^2 + 1 = 0
    assert root.status == "nonlinear" and "wanted 1" in root.message


def test_failure_of_an_adaptive_step_rejects_it_and_goes_on():
    y0 = torch.tensor([-1.0, 3.0], dtype=torch.float64)
    failed: list[str] = []
    original = TRBDF2.step

    @dataclass(frozen=True)
    class Watched(TRBDF2):
        def step(self, *args):
            step = original(self, *args)
            failed.append(step.status)
            return step

    sol = solve(blow_up, y0, 1.0, Watched(max_newton=3), rtol=1e-4)
    assert "nonlinear" in failed and sol.ok and sol.stats.rejected >= failed.count("nonlinear")
    reference = solve(blow_up, y0, 1.0, "dopri5", rtol=1e-9)
    assert torch.allclose(sol.y[-1], reference.y[-1], rtol=1e-3)


def test_linear_failure_inside_newton_is_called_that():
    y0 = torch.linspace(-1, 1, 40, dtype=torch.float64)
    stiff = 1e5 * torch.linspace(0, 1, 40, dtype=torch.float64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -stiff * y + y.roll(1) ** 2

    with pytest.raises(IntegrationError, match=r"GMRES reached 2 iterations at .* in Newton iteration \d") as caught:
        solve(field, y0, 1.0, TRBDF2(GMRES(max_iterations=2)), dt=0.1)
    assert caught.value.status == "linear"
    with pytest.raises(ValueError, match=r"CG needs a symmetric operator.*GMRES\(\)"):
        solve(field, y0, 1.0, TRBDF2(CG()), dt=0.1)


def test_non_finite_fields_are_called_that():
    with pytest.raises(IntegrationError, match="not finite") as caught:
        solve(lambda t, y: torch.log(y - 10), torch.ones(2, 1, dtype=torch.float64), 1.0, "implicit_euler", dt=0.1)
    assert caught.value.status == "nonfinite"


def test_van_der_pol():
    """mu = 1000 over a full period: 10^6 steps for an explicit method; error against Radau at 1e-10."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(0)
        return torch.stack((b, 1000 * (1 - a * a) * b - a))

    with torch.no_grad():
        sol = solve(field, torch.tensor([2.0, 0.0], dtype=torch.float64), [0.0, 2000.0], "trbdf2", rtol=1e-3, atol=1e-6)
    assert sol.stats.steps < 1000
    assert math.isclose(float(sol.y[-1, 0]), 1.706168, rel_tol=2e-2)
