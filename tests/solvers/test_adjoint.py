"""The continuous adjoint against backpropagation, and where it must refuse."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from solvers import Dense, Event, IntegrationError, LinearFlow, PerGraph, solve

F64 = torch.float64


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lin = nn.Linear(3, 3, dtype=F64)

    def forward(self, t, y):
        return torch.tanh(self.lin(y)) * torch.cos(t)


@dataclass(frozen=True, eq=False)
class Attending:
    """Holds W and something computed from W before the solve."""

    W: Tensor
    attention: Tensor

    def __call__(self, t, y):
        return torch.tanh(self.attention @ y @ self.W)


class Spring:
    damping = 0.0

    def velocity(self, t, p):
        return p

    def force(self, t, q):
        return -q

    def __call__(self, t, y):
        return torch.stack([y[1], -y[0]])


def gradients(f, y0, t, wrt, gradient, create_graph=False, **options):
    sol = solve(f, y0, t, rtol=1e-10, atol=1e-12, gradient=gradient, **options)
    weights = torch.linspace(0.5, 2, sol.y.numel(), dtype=F64).view(sol.y.shape)
    return torch.autograd.grad((weights * sol.y**2).sum(), wrt, create_graph=create_graph)


def close(a, b, atol=1e-8):
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=atol * max(1.0, float(y.abs().max())))


@pytest.mark.parametrize("save", ["times", "final", "steps"])
def test_adjoint_is_backprop(save):
    net, y0 = Net(), torch.randn(4, 3, dtype=F64).requires_grad_()
    t = torch.tensor([0.0, 0.7, 1.5], dtype=F64, requires_grad=save == "times")
    wrt = [y0, *net.parameters(), *([t] if t.requires_grad else [])]
    found = [gradients(net, y0, t, wrt, g, save=save) for g in ("adjoint", "backprop")]
    close(*found, atol=1e-7 if save == "steps" else 1e-8)


def test_backwards_in_time_and_fixed_steps():
    net, y0 = Net(), torch.randn(4, 3, dtype=F64).requires_grad_()
    wrt = [y0, *net.parameters()]
    for options in ({}, {"method": "rk4", "dt": 0.01}, {"method": "ab4", "dt": 0.01}):
        found = [gradients(net, y0, [1.0, 0.2, 0.0], wrt, g, **options) for g in ("adjoint", "backprop")]
        close(*found, atol=1e-6 if options else 1e-8)


def test_second_derivatives():
    net, y0 = Net(), torch.randn(2, 3, dtype=F64).requires_grad_()
    wrt, found = [y0, *net.parameters()], []
    for gradient in ("adjoint", "backprop"):
        sol = solve(net, y0, [0.0, 0.5], rtol=1e-8, gradient=gradient)
        first = torch.autograd.grad((sol.y[-1] ** 2).sum(), wrt, create_graph=True)
        found.append(torch.autograd.grad(sum((g**2).sum() for g in first), wrt))
    for x, y in zip(*found, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)


def test_a_tensor_computed_from_another_is_not_counted_twice():
    torch.manual_seed(1)
    W = (0.5 * torch.randn(3, 3, dtype=F64)).requires_grad_()
    x = torch.randn(5, 3, dtype=F64)
    found = {}
    for gradient in ("adjoint", "backprop"):
        attention = torch.softmax((x @ W) @ (x @ W).T, -1)
        f = Attending(W, attention)
        found[gradient] = torch.autograd.grad((solve(f, x, 1.0, rtol=1e-10, gradient=gradient).y[-1] ** 2).sum(), W)[0]
    torch.testing.assert_close(found["adjoint"], found["backprop"], rtol=1e-8, atol=1e-8)
    attention = torch.softmax((x @ W) @ (x @ W).T, -1)
    only_w = torch.autograd.grad((solve(Attending(W, attention.detach()), x, 1.0, rtol=1e-10).y[-1] ** 2).sum(), W)[0]
    assert (only_w - found["backprop"]).abs().max() > 1e-3  # the attention's share is there to be lost


def test_the_held_scalar_of_the_design():
    """y' = -(W + s) y with s = W^2 held: dL/dW = -(1 + 2W) T L, not -(1 + 4W) T L (counting the path through s twice)."""

    @dataclass(frozen=True, eq=False)
    class Decay:
        W: Tensor
        s: Tensor

        def __call__(self, t, y):
            return -(self.W + self.s) * y

    W = torch.tensor(0.7, dtype=F64, requires_grad=True)
    y = solve(Decay(W, W**2), torch.ones(1, dtype=F64), 0.5, rtol=1e-11, gradient="adjoint").y[-1]
    grad = torch.autograd.grad(y.sum(), W)[0]
    assert float(grad) == pytest.approx(-0.5 * (1 + 2 * 0.7) * float(y.detach()), abs=1e-9)


def test_operators_and_batches():
    A = (0.3 * torch.randn(4, 4, dtype=F64)).requires_grad_()
    y0 = torch.randn(4, 2, dtype=F64).requires_grad_()
    close(*[gradients(LinearFlow(Dense(A)), y0, [0.0, 0.5, 1.0], [A, y0], g) for g in ("adjoint", "backprop")])
    space = PerGraph(torch.tensor([0, 0, 1, 1]))
    net, y0 = Net(), torch.randn(4, 3, dtype=F64).requires_grad_()
    wrt = [y0, *net.parameters()]
    close(*[gradients(net, y0, [0.0, 1.0], wrt, g, space=space) for g in ("adjoint", "backprop")])


def test_complex_states_with_real_parameters():
    w = torch.tensor([0.3, 0.8], dtype=F64, requires_grad=True)

    @dataclass(frozen=True, eq=False)
    class Turn:
        w: Tensor

        def __call__(self, t, y):
            return 1j * self.w * y * y.abs()

    y0 = torch.tensor([1.0 + 0.2j, 0.5j], requires_grad=True, dtype=torch.complex128)
    found = []
    for g in ("adjoint", "backprop"):
        y = solve(Turn(w), y0, [0.0, 0.5, 1.0], rtol=1e-10, gradient=g).y
        found.append(torch.autograd.grad((y.real * torch.arange(6.0).view(3, 2) + y.imag).sum(), [w, y0]))
    close(*found)


def test_tuple_states():
    net, q, p = Net(), torch.randn(2, 3, dtype=F64).requires_grad_(), torch.randn(3, dtype=F64)

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, t, s):
            return self.net(t, s[0]) + s[1], -s[0].sum(0)

    found = []
    for g in ("adjoint", "backprop"):
        y = solve(Pair(), (q, p), [0.0, 1.0], rtol=1e-10, gradient=g).y
        found.append(torch.autograd.grad((y[0][-1] ** 2).sum() + y[1][-1].sum(), [q, *net.parameters()]))
    close(*found)


def test_closures_need_params():
    w = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
    y0 = torch.ones(2, dtype=F64)

    def f(t, y):
        return -w * y

    with pytest.raises(ValueError, match="params="):
        solve(f, y0, 1.0, gradient="adjoint")
    sol = solve(f, y0, 1.0, rtol=1e-10, gradient="adjoint", params=[w])  # the fix that the message names
    torch.testing.assert_close(torch.autograd.grad(sol.y[-1].sum(), w)[0], -torch.exp(-w.detach()), rtol=0, atol=1e-8)
    assert not solve(f, y0, 1.0, gradient="adjoint", params=()).y.requires_grad


def test_what_has_no_adjoint_is_refused():
    net, y0 = Net(), torch.randn(2, 3, dtype=F64).requires_grad_()
    with pytest.raises(ValueError, match="dense"):
        solve(net, y0, 1.0, gradient="adjoint", save="dense")

    with pytest.raises(TypeError, match=r"CrankNicolson.*implicit.*dopri5.*interpolating.*backprop"):
        solve(net, y0, 1.0, "crank_nicolson", dt=0.1, gradient="backsolve")
    for fix in ("backprop", "interpolating", "adjoint"):
        assert solve(net, y0, 1.0, "crank_nicolson", dt=0.1, gradient=fix).y.requires_grad
    assert solve(net, y0, 1.0, "dopri5", gradient="backsolve").y.requires_grad
    pair = torch.randn(2, 3, 1, dtype=F64).requires_grad_()
    for gradient in ("adjoint", "interpolating", "backsolve"):
        with pytest.raises(TypeError, match=r"Leapfrog.*partitioned fields only.*backprop"):
            solve(Spring(), pair, 1.0, "leapfrog", dt=0.1, gradient=gradient, params=())

    class Jump:
        times = None

        def before(self, t, y, dt): ...

        def rejected(self, t, y, dt): ...

        def after(self, t, y, dt):
            return y + 1 if t > 0.5 else None

    with pytest.raises(ValueError, match="Jump replaced the state"):
        solve(net, y0, 1.0, gradient="adjoint", callbacks=[Jump()])


def test_contractive_flows_are_noticed():
    """Diffusion with lambda_max T = 292 cannot be solved backwards; the error says so, and what it advises works."""
    L = 2 * torch.eye(60, dtype=F64) - torch.diag(torch.ones(59, dtype=F64), 1) - torch.diag(torch.ones(59, dtype=F64), -1)
    scale = torch.tensor(36.5 / 2, dtype=F64, requires_grad=True)

    @dataclass(frozen=True, eq=False)
    class Heat:
        scale: Tensor
        L: Tensor = field(default_factory=lambda: L)

        def __call__(self, t, y):
            return -self.scale * (self.L @ y)

    torch.manual_seed(0)
    y0 = torch.randn(60, 1, dtype=F64)
    sol = solve(Heat(scale), y0, 4.0, rtol=1e-4, gradient="backsolve")
    with pytest.raises(IntegrationError, match=r"interpolating.*backprop") as caught:
        sol.y[-1].square().sum().backward()
    assert caught.value.status == "adjoint"
    found = []
    for gradient in ("backprop", "interpolating", "adjoint"):
        sol = solve(Heat(scale), y0, 4.0, rtol=1e-4, gradient=gradient)
        with pytest.warns(UserWarning, match="could not follow the state back") if gradient == "adjoint" else nullcontext():
            found.append(torch.autograd.grad(sol.y[-1].square().sum(), scale)[0])
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=0)
    torch.testing.assert_close(found[2], found[1], rtol=0, atol=0)


def test_events_end_the_adjoint_too():
    @dataclass(frozen=True, eq=False)
    class Fall:
        g: Tensor

        def __call__(self, t, y):
            return torch.stack([y[1], -self.g * torch.ones_like(y[1])])

    found = []
    for gradient in ("adjoint", "backprop"):
        g = torch.tensor(9.81, dtype=F64, requires_grad=True)
        y0 = torch.tensor([2.0, 3.0], dtype=F64, requires_grad=True)
        sol = solve(Fall(g), y0, [0.0, 0.5, 9.0], rtol=1e-10, gradient=gradient, events=[Event(lambda t, y: y[0])])
        assert sol.status == "event"
        found.append(torch.autograd.grad(sol.t_event + sol.y_event[1] + sol.y[1].sum(), [g, y0]))
    close(*found)


def test_nothing_to_differentiate_costs_nothing():
    net, y0 = Net().requires_grad_(False), torch.randn(2, 3, dtype=F64)
    assert not solve(net, y0, 1.0, gradient="adjoint").y.requires_grad
    with torch.no_grad():
        assert not solve(Net(), y0, 1.0, gradient="adjoint").y.requires_grad


def test_no_circle_keeps_the_graph_alive():
    import gc
    import weakref

    net, y0 = Net(), torch.randn(2, 3, dtype=F64).requires_grad_()
    gc.disable()
    try:
        alive = weakref.ref(solve(net, y0, 1.0, gradient="adjoint").y.grad_fn)
        assert alive() is None
    finally:
        gc.enable()
