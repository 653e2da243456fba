"""The adjoint equation along the forward solution: implicit methods, contractive flows, and what it keeps."""

import warnings
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from solvers import Dense, Dopri5, Event, Fixed, LinearFlow, PerGraph, Plain, Problem, UnknownName, solve
from solvers.recording import Tape, roots
from solvers.replay import Recorded
from solvers.task import Task
from solvers.trajectory import Trajectory

F64 = torch.float64


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lin = nn.Linear(3, 3, dtype=F64)

    def forward(self, t, y):
        return torch.tanh(self.lin(y)) * torch.cos(t)


@dataclass(frozen=True, eq=False)
class Pulled:
    """Nonlinear, and drawn to sin(t) at the rate `rate`."""

    W: Tensor
    rate: Tensor

    def __call__(self, t, y):
        return torch.tanh(y @ self.W) * torch.cos(t) - self.rate * (y - torch.sin(t))


@dataclass(frozen=True, eq=False)
class Heat:
    """`y' = -kappa L y`, as a field that does not say that it is linear."""

    kappa: Tensor
    L: Tensor
    calls: list[int] = field(default_factory=lambda: [0])

    def __call__(self, t, y):
        self.calls[0] += 1
        return -self.kappa * (self.L @ y)


def pulled(rate: float) -> tuple[Pulled, Tensor, list[Tensor]]:
    torch.manual_seed(0)
    f = Pulled((0.5 * torch.randn(3, 3, dtype=F64)).requires_grad_(), torch.tensor(rate, dtype=F64, requires_grad=True))
    y0 = torch.randn(4, 3, dtype=F64).requires_grad_()
    return f, y0, [f.W, f.rate, y0]


def gradient_of(f, y0, wrt, method="dopri5", t=(0.0, 0.5, 1.5), create_graph=False, **options) -> Tensor:
    y = solve(f, y0, list(t), method, **options).y
    weights = torch.linspace(0.5, 2, y.numel(), dtype=F64).view(y.shape)
    found = torch.autograd.grad((weights * (y * y.conj()).real).sum(), wrt, create_graph=create_graph)
    return torch.cat([g.reshape(-1) for g in found])


@pytest.mark.parametrize(
    ("method", "tolerances"), [("trbdf2", (1e-2, 1e-4)), ("kvaerno5", (1e-3, 1e-5)), ("radau_iia5", (1e-3, 1e-6))]
)
def test_implicit_methods_converge_with_the_tolerance(method, tolerances):
    f, y0, wrt = pulled(5.0)
    exact = gradient_of(f, y0, wrt, "dopri8", rtol=1e-9)
    errors = []
    for tol in tolerances:
        errors.append(
            float((gradient_of(f, y0, wrt, method, gradient="adjoint", rtol=tol, atol=tol / 100) - exact).abs().max())
        )
    assert errors[1] < errors[0] / 5
    assert errors[1] < 500 * tolerances[1]  # where the state errs by about as much


@pytest.mark.parametrize(("method", "order"), [("implicit_euler", 1), ("crank_nicolson", 2), ("gauss4", 4)])
def test_implicit_methods_have_their_order_in_the_gradient(method, order):
    f, y0, wrt = pulled(2.0)
    exact = gradient_of(f, y0, wrt, "dopri8", rtol=1e-11)
    dt = 0.125 if order == 4 else 0.05
    errors = [
        float((gradient_of(f, y0, wrt, method, gradient="adjoint", dt=h, rtol=1e-10) - exact).abs().max()) for h in (dt, dt / 2)
    ]
    assert errors[0] / errors[1] > 0.75 * 2**order


def geometric_heat(nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Laplacian of a random geometric graph with its eigenvalues and -vectors."""
    torch.manual_seed(0)
    x = torch.rand(nodes, 2, dtype=F64)
    d = torch.cdist(x, x)
    A = ((d < 0.13) & (d > 0)).to(F64)
    L = torch.diag(A.sum(1)) - A
    return L, *torch.linalg.eigh(L)


@pytest.mark.parametrize(
    ("method", "reach", "rtol", "most"),
    [("dopri5", 146.0, 1e-4, 1400), ("kvaerno5", 146.0, 1e-4, 800), ("kvaerno5", 1e3, 1e-4, 900)],
)
def test_heat_on_a_graph_where_the_backward_solve_of_the_state_is_ill_posed(method, reach, rtol, most):
    """torchdiffeq's odeint_adjoint has not finished after 18,352 evaluations at lambda_max T = 146."""
    L, values, vectors = geometric_heat(300)
    T = reach / float(values[-1])
    times = [0.0, T / 20, T]
    torch.manual_seed(1)
    y0, kappa = torch.randn(300, 1, dtype=F64).requires_grad_(), torch.tensor(1.0, dtype=F64, requires_grad=True)
    to_y0, to_kappa = torch.zeros(300, 1, dtype=F64), torch.zeros((), dtype=F64)
    for t in times[1:]:  # of sum |y(t)|^2: exp(-t L) is its own transpose
        flow = vectors @ torch.diag(torch.exp(-t * values)) @ vectors.T
        y = flow @ y0.detach()
        to_y0, to_kappa = to_y0 + 2 * flow @ y, to_kappa - 2 * t * (y * (L @ y)).sum()
    f = Heat(kappa, L)
    y = solve(f, y0, times, method, rtol=rtol, atol=rtol, gradient="interpolating").y
    a, g = torch.autograd.grad(y[1:].square().sum(), [y0, kappa])
    assert float((a - to_y0).norm() / to_y0.norm()) < 30 * rtol
    assert float((g - to_kappa).abs() / to_kappa.abs()) < 30 * rtol
    assert f.calls[0] < most


def test_adjoint_switches_and_says_so():
    """Known beforehand for a linear flow that states its bounds; found out, and warned of once, for any other."""
    L, *_ = geometric_heat(60)
    symmetric = SymmetricDense(-20.0 * L, symmetric=True)
    y0 = torch.randn(60, 1, dtype=F64).requires_grad_()
    sol = solve(LinearFlow(symmetric), y0, 4.0, rtol=1e-4, gradient="adjoint")
    assert "takes states of the forward solve, as errors of a state solved backwards would grow" in sol.message
    sol = solve(Net(), torch.zeros(2, 3, dtype=F64), 1.0, "trbdf2", gradient="adjoint")
    assert "TRBDF2 is implicit" in sol.message
    sol = solve(Net(), torch.zeros(2, 3, dtype=F64), 1.0, gradient="adjoint")
    assert "forward solve" not in sol.message
    kappa = torch.tensor(20.0, dtype=F64, requires_grad=True)
    sol = solve(Heat(kappa, L), y0, [0.0, 2.0, 4.0], rtol=1e-4, gradient="adjoint")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = torch.autograd.grad(sol.y[1:].square().sum(), [kappa, y0], retain_graph=True)
        again = torch.autograd.grad(sol.y[1:].square().sum(), [kappa, y0])
    assert len(caught) == 1 and 'gradient="interpolating"' in str(caught[0].message)
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=1e-4)


class SymmetricDense(Dense):
    def bounds(self):
        low, *_, high = torch.linalg.eigvalsh(self.matrix).tolist()
        return low, high


@pytest.mark.parametrize("save", ["times", "final", "steps"])
def test_outputs_of_every_kind(save):
    f, y0, wrt = pulled(5.0)
    found = [
        gradient_of(f, y0, wrt, "dopri5", (1.0, 0.7, 0.0), gradient=g, rtol=1e-8, save=save)
        for g in ("interpolating", "backprop")
    ]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_events_operators_batches_and_complex_states():
    f, y0, wrt = pulled(3.0)
    space = PerGraph(torch.tensor([0, 0, 1, 1]))
    event = Event(lambda t, y: y[0, 0] - 0.3)
    for options in ({"space": space}, {"space": space, "method": "kvaerno5", "rtol": 1e-5}, {"events": [event]}):
        found = [gradient_of(f, y0, wrt, **{"rtol": 1e-9, **options}, gradient=g) for g in ("interpolating", "backprop")]
        bound = 1e-3 if "rtol" in options else 1e-5
        torch.testing.assert_close(*found, rtol=bound, atol=bound)
    A, z = torch.randn(4, 4, dtype=torch.complex128), torch.randn(4, 2, dtype=torch.complex128)
    A, z = (0.3 * A).requires_grad_(), z.requires_grad_()
    for method in ("dopri5", "kvaerno5"):
        found = [
            gradient_of(LinearFlow(Dense(A)), z, [A, z], method, rtol=1e-7, gradient=g) for g in ("interpolating", "backprop")
        ]
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_second_derivatives_are_those_of_the_steps():
    net, y0 = Net(), torch.randn(2, 3, dtype=F64).requires_grad_()

    def first(y):
        y = solve(net, y, [0.0, 0.2, 0.5], "rk4", dt=0.1, gradient="interpolating").y
        return y.square().sum(0)

    assert torch.autograd.gradgradcheck(first, (y0,))
    wrt, found = [y0, *net.parameters()], []
    for gradient in ("interpolating", "backprop"):
        g = gradient_of(net, y0, wrt, gradient=gradient, create_graph=True, rtol=1e-7)
        found.append(torch.cat([x.reshape(-1) for x in torch.autograd.grad(g.square().sum(), wrt)]))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)
    w = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
    y = solve(lambda t, y: -w * y, torch.ones(2, dtype=F64), 1.0, gradient="interpolating", params=[w]).y
    assert torch.autograd.grad(y[-1].sum(), w, retain_graph=True)[0].isfinite().all()
    with pytest.raises(ValueError, match=r'gradient="interpolating" need a field that shows its tensors'):
        torch.autograd.grad(y[-1].sum(), w, create_graph=True)


def test_memory_grows_with_the_root_of_the_steps():
    y0, steps = torch.randn(2, 3, dtype=F64), 1000
    task = Task(Problem(Net(), Plain()), Dopri5(), Fixed(1 / steps), y0, [0.0, 1.0])
    run = Recorded(task, (), Tape(roots), "interpolating")
    with torch.no_grad():
        run.forward(y0)
        path = Trajectory(run, y0)
        reference = solve(Net(), y0, [0.0, 1.0], dt=1 / steps, save="dense")
        kept = []
        for t in torch.linspace(1.0, 0.0, 37, dtype=F64).tolist():
            torch.testing.assert_close(path(t), reference(t), rtol=0, atol=1e-12)
            kept.append(sum(len(piece) for piece in path._loaded.values()))
    assert len(run.tape.times) == steps
    assert len(run.tape.marks) + max(kept) < 6 * steps**0.5


def test_names_of_gradients():
    with pytest.raises(UnknownName, match=r"Did you mean 'interpolating'"):
        solve(Net(), torch.zeros(2, 3, dtype=F64), 1.0, gradient="interpolation")
