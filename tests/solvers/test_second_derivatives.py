"""Second derivatives through the steps of implicit and linearly implicit methods on nonlinear fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from solvers import Dense, LinearFlow, LinearOperator, NewtonKrylov, PerGraph, Problem, SparseOperator, solve

IMPLICIT = ["implicit_euler", "crank_nicolson", "sdirk2", "trbdf2", "kvaerno3"]
IMPLICIT += ["radau_iia5", "gauss4", "bdf2", "bdf", "rosenbrock_w"]
SPLIT = ["ars222", "cnab2", "sbdf2"]
TIMES = torch.tensor([0.0, 0.3], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Held:
    """`f = tanh(y W) - exp(r) y^3 + sin t`."""

    weight: Tensor
    rate: Tensor

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.weight) - self.rate.exp() * y**3 + torch.sin(t)


def closure(weight: Tensor, rate: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda t, y: Held(weight, rate)(t, y)


@dataclass(frozen=True, eq=False)
class Reaction:
    """`y' = L(y) y + g(t, y)`: a linear part that depends on the state, with parameters in both."""

    weight: Tensor
    rate: Tensor

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return Dense(-self.rate.exp() * torch.eye(2, dtype=y.dtype) * (1 + y[:, :1] ** 2) + 0.3 * self.weight)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y @ self.weight) + t

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


def inputs(seed: int = 0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(s, dtype=torch.float64, generator=draw).requires_grad_() for s in ((2, 2), (2, 2), ())]


def steps(field: object, y0: Tensor, method: str) -> Tensor:
    return solve(field, y0, TIMES, method, dt=0.15, rtol=1e-11, atol=1e-12).y[-1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "make"), [(m, Held) for m in IMPLICIT] + [(m, closure) for m in ("trbdf2", "radau_iia5", "rosenbrock_w")]
)
def test_implicit_steps(method, make):
    def run(y0: Tensor, weight: Tensor, rate: Tensor) -> Tensor:
        return steps(make(weight, rate), y0, method)

    assert torch.autograd.gradgradcheck(run, inputs(), nondet_tol=1e-8, fast_mode=True)


@pytest.mark.parametrize("method", SPLIT)
def test_steps_with_a_linear_part(method):
    def run(y0: Tensor, weight: Tensor, rate: Tensor) -> Tensor:
        return steps(Reaction(weight, rate), y0, method)

    assert torch.autograd.gradgradcheck(run, inputs(), nondet_tol=1e-8, fast_mode=True)


def test_tensors_that_depend_on_each_other_are_not_counted_twice():
    """A field that holds both W and exp(W), against the same by a closure."""
    y0, weight, rate = inputs(3)

    @dataclass(frozen=True, eq=False)
    class Both:
        weight: Tensor
        made: Tensor

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.tanh(y @ self.weight) - torch.sigmoid(self.made) @ y**3

    def second(field: object) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(steps(field, y0, "sdirk2").square().sum(), (y0, weight, rate), create_graph=True)
        total = torch.stack([(g**2).sum() for g in first]).sum()
        return torch.autograd.grad(total, (y0, weight, rate), retain_graph=True)

    made = weight.exp() * rate
    field = Both(weight, made)
    for got, want in zip(second(field), second(lambda t, y: field(t, y)), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-10)


def test_third_derivatives_of_a_field_that_shows_what_it_holds():
    y0 = torch.tensor([[0.8]], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    @dataclass(frozen=True, eq=False)
    class Decay:
        rate: Tensor

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return -self.rate * y * y

    def root(y0: Tensor, rate: Tensor) -> Tensor:  # y + h r y^2 = y0
        return (torch.sqrt(1 + 4 * 0.5 * rate * y0) - 1) / (2 * 0.5 * rate)

    solver, problem = NewtonKrylov(), Problem(Decay(rate), rtol=1e-12, atol=1e-14)
    for y, exact in [(solver.solve(problem, 0.0, 0.5, y0, y0).y, root(y0, rate))]:
        for _ in range(3):
            y, exact = (torch.autograd.grad(v.sum(), rate, create_graph=True)[0] for v in (y, exact))
            torch.testing.assert_close(y, exact, rtol=1e-9, atol=1e-11)


def test_modules_and_groups_of_a_batch():
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = module

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return self.net(y) - y**3

    field, space = Field(), PerGraph(torch.tensor([0, 0, 1]))
    y0 = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)

    def second(f: object) -> tuple[Tensor, ...]:
        end = solve(f, y0, TIMES, "trbdf2", dt=0.3, rtol=1e-11, atol=1e-12, space=space).y[-1]  # type: ignore[arg-type]
        (first,) = torch.autograd.grad(end.square().sum(), y0, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (y0, *module.parameters()), allow_unused=True)  # type: ignore[return-value]

    for got, want in zip(second(field), second(lambda t, y: field(t, y)), strict=True):
        assert (got is None and want is None) or torch.allclose(got, want, rtol=1e-8, atol=1e-11)


def test_hidden_tensors_are_refused_by_name():
    hidden = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    @dataclass(frozen=True, eq=False)
    class Hides:
        rate: Tensor

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return -self.rate.exp() * y**3 * hidden

    y0, _, rate = inputs()
    end = steps(Hides(rate), y0, "implicit_euler").sum()
    assert all(g is not None for g in torch.autograd.grad(end, (y0, rate, hidden), retain_graph=True))
    with pytest.raises(NotImplementedError, match=r"Hides.*hides.*frozen dataclass"):
        torch.autograd.grad(end, y0, create_graph=True)


@pytest.mark.parametrize("looked", [False, True])
def test_a_complex_operator_whose_adjoint_was_made_without_gradients(looked):
    values = torch.randn(6, dtype=torch.complex128, generator=torch.Generator().manual_seed(2)).requires_grad_()
    edges = torch.tensor([[0, 1, 2, 0, 1, 2], [1, 2, 0, 0, 1, 2]])
    x = torch.randn(3, 1, dtype=torch.complex128, generator=torch.Generator().manual_seed(4))

    def image(values: Tensor) -> Tensor:
        A = SparseOperator.from_edges(edges, values, 3)
        if looked:
            with torch.no_grad():
                _ = A.adjoint
        return A.adjoint.matvec(x)

    assert torch.autograd.gradcheck(image, (values,))


def test_second_derivatives_of_a_complex_linear_flow_after_first_ones():
    draw = torch.Generator().manual_seed(2)
    values, x = (torch.randn(n, dtype=torch.complex128, generator=draw).requires_grad_() for n in (6, 3))
    edges = torch.tensor([[0, 1, 2, 0, 1, 2], [1, 2, 0, 0, 1, 2]])

    def run(values: Tensor, x: Tensor) -> Tensor:
        A = SparseOperator.from_edges(edges, values, 3)
        y = steps(LinearFlow(A), x, "implicit_euler")
        torch.autograd.grad(y.abs().square().sum(), x, retain_graph=True)  # its solve needs the adjoint, and makes it
        return y

    assert torch.autograd.gradgradcheck(run, (values, x), nondet_tol=1e-9, fast_mode=True)
