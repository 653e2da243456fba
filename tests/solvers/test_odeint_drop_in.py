"""What code that was written for torchdiffeq relies on: names, callbacks, errors, warnings, counters, and whole programs."""

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import nn

from solvers import (
    IntegrationError,
    ScipyMethod,
    UnknownName,
    odeint,
    odeint_adjoint,
    odeint_dense,
    odeint_event,
)
from solvers.odeint_options import way

Y0 = torch.tensor([1.0, 0.3], dtype=torch.float64)
TIMES = torch.linspace(0, 1, 4, dtype=torch.float64)
LIBRARIES = pytest.mark.parametrize("library", [torchdiffeq.odeint_adjoint, odeint_adjoint], ids=["theirs", "ours"])


def spin(t, y):
    return torch.stack([y[1], -y[0] * (1 + 0.1 * t) - 0.1 * y[1]])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lin = nn.Linear(2, 2, dtype=torch.float64)
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return torch.tanh(self.lin(y)) * torch.cos(t)


def gradients(solve, net, **options):
    y0 = Y0.clone().requires_grad_()
    y = solve(net, y0, TIMES, **options)
    return y, torch.autograd.grad((y**2 * torch.arange(8.0).view(4, 2)).sum(), [y0, *net.parameters()])


@pytest.mark.parametrize("solver", ["RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"])
@pytest.mark.parametrize("times", [TIMES, TIMES.flip(0)], ids=["forward", "backward"])
def test_scipys_solvers_by_their_option(solver, times):
    y = odeint(spin, Y0, times, method="scipy_solver", options={"solver": solver})
    torch.testing.assert_close(y, odeint(spin, Y0, times), rtol=0, atol=1e-5)


def test_scipys_steps_can_be_limited():
    net = Net()
    counts = []
    with torch.no_grad():
        for options in ({}, {"max_step": 0.001}):
            net.calls = 0
            odeint(net, Y0, TIMES, method="scipy_solver", options=options)
            counts.append(net.calls)
        assert counts[1] > 1000 > counts[0]
        assert way("scipy_solver", {"min_step": 0.3}).method == ScipyMethod("LSODA", min_step=0.3)
        with pytest.warns(UserWarning, match="no smallest step"):
            odeint(net, Y0, TIMES, method="scipy_solver", options={"solver": "RK45", "min_step": 0.1})
    with pytest.raises(UnknownName, match="Radau"):
        odeint(spin, Y0, TIMES, method="scipy_solver", options={"solver": "Radua"})
    with pytest.raises(ValueError, match="events"):
        odeint(spin, Y0, TIMES[:2], method="scipy_solver", event_fn=lambda t, y: y[0])


def test_scipys_solvers_have_a_gradient_by_the_adjoint_only():
    net = Net()
    with pytest.warns(UserWarning, match="no gradient"):
        y = odeint(net, Y0.clone().requires_grad_(), TIMES, method="scipy_solver")
    assert not y.requires_grad
    _, exact = gradients(odeint, net)
    for options in ({}, {"options": {"solver": "BDF"}}):
        _, found = gradients(odeint_adjoint, net, method="scipy_solver", **options)
        for a, b in zip(found, exact, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_methods_of_other_libraries_by_their_long_names():
    exact = odeint(spin, Y0, TIMES)
    torch.testing.assert_close(odeint(spin, Y0, TIMES, method="scipy:BDF"), exact, rtol=0, atol=1e-5)
    y0 = Y0.clone().requires_grad_()
    y = odeint(spin, y0, TIMES, method="torchdiffeq:rk4", options={"step_size": 0.01})
    torch.testing.assert_close(y, exact, rtol=0, atol=1e-8)
    assert torch.autograd.grad(y[-1].sum(), y0)[0].abs().max() > 0.1


IMPLICIT = {"implicit_euler": 1, "implicit_midpoint": 2, "trapezoid": 2, "gl4": 4, "gl6": 6}
IMPLICIT |= {"sdirk2": 2, "trbdf2": 2, "radauIIA3": 3, "radauIIA5": 5}


@pytest.mark.parametrize("name,order", IMPLICIT.items())
def test_implicit_names_step_on_a_grid_that_is_given(name, order):
    exact, end = odeint(spin, Y0, TIMES, rtol=1e-12, atol=1e-13), 1e-11
    errors = [
        (odeint(spin, Y0, TIMES, method=name, options={"step_size": h}, rtol=1e-12, atol=1e-13) - exact)[-1].abs().max()
        for h in (1 / 3, 1 / 6)
    ]
    assert errors[0] / (errors[1] + end) > 2 ** (order - 0.5)


@LIBRARIES
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.parametrize("tupled", [False, True])
def test_callbacks_of_the_backward_solve(library, method, tupled):
    net, seen = Net(), []
    field = net
    if tupled:

        class Tupled(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, t, s):
                return self.net(t, s[0]), s[0]

        field = Tupled()
    for name in ("step", "accept_step", "reject_step") if method == "dopri5" else ("step",):
        setattr(field, f"callback_{name}_adjoint", lambda t, s, dt, name=name: seen.append((name, t, s, dt)))
    y0 = Y0.clone().requires_grad_()
    options = {"options": {"step_size": 0.1}} if method == "rk4" else {"rtol": 1e-6, "atol": 1e-8}
    y = library(field, (y0, Y0) if tupled else y0, TIMES[[0, 3]], method=method, **options)
    assert not seen
    (y[0] if tupled else y)[-1].sum().backward()
    names = [s[0] for s in seen]
    if method == "rk4":
        assert names == ["step"] * 10
    else:
        assert names[::2] == ["step"] * (len(names) // 2) and set(names[1::2]) <= {"accept_step", "reject_step"}
    _, t, state, dt = seen[0]
    assert t == 1.0 and 0 < dt <= 1
    assert isinstance(state, tuple)
    size = (4,) if tupled else (2,)
    assert [tuple(p.shape) for p in state] == [(), size, size, (2, 2), (2,)]
    torch.testing.assert_close(state[2][:2], torch.ones(2, dtype=torch.float64))


def test_a_step_is_announced_before_the_field_is_evaluated_in_it():
    order = []

    class Field:
        def __call__(self, t, y):
            order.append("field")
            return -y

        def callback_step(self, t, y, dt):
            order.append("step")

    odeint(Field(), Y0, TIMES, method="euler")
    assert order == ["step", "field"] * 3


@pytest.mark.parametrize("method,name", [("rk4", "accept_step"), ("euler", "reject_step"), ("scipy_solver", "step")])
def test_callbacks_that_a_method_does_not_call_are_named(method, name):
    def field(t, y):
        return -y

    setattr(field, f"callback_{name}", lambda t, y, dt: pytest.fail("called"))
    with pytest.warns(UserWarning, match=f"callback_{name}"):
        odeint(field, Y0, TIMES, method=method)


def test_options_of_other_methods_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match=r"rk4 .*first_step, max_num_steps"):
        y = odeint(spin, Y0, TIMES, method="rk4", options={"max_num_steps": 5, "first_step": 0.1})
    assert torch.equal(y, odeint(spin, Y0, TIMES, method="rk4"))
    with pytest.warns(UserWarning, match=r"dopri5 .*interp"):
        odeint(spin, Y0, TIMES, options={"interp": "cubic"})
    with pytest.warns(UserWarning, match=r"implicit_adams .*max_iters"):
        odeint(spin, Y0, TIMES, method="implicit_adams", options={"max_iters": 9})


def test_failures_and_bad_input_are_assertion_errors_too():
    def blow_up(t, s):
        return s[0] ** 2 * 1e3, s[1]

    with pytest.raises(AssertionError) as caught:
        odeint(blow_up, (Y0, Y0[:1]), TIMES, options={"max_num_steps": 20})
    assert isinstance(caught.value, IntegrationError) and caught.value.status == "max_steps"
    assert caught.value.solution is not None and isinstance(caught.value.solution.y, tuple)
    calls = [
        lambda: odeint(spin, Y0, torch.tensor([0.0, 1.0, 0.5])),
        lambda: odeint(spin, Y0, [0.0, 1.0]),
        lambda: odeint(spin, Y0, TIMES, rtol=torch.tensor(1e-3, requires_grad=True)),
        lambda: odeint(lambda t, s: s, (Y0, Y0), TIMES, rtol=(1e-3,)),
        lambda: odeint(spin, Y0, TIMES[:2], event_fn=lambda t, y: y[0], method="rk4"),
        lambda: odeint(spin, Y0, TIMES, method="rk4", options={"grid_constructor": lambda f, y, t: t[1:]}),
    ]
    for call in calls:
        with pytest.raises(AssertionError):
            call()


def test_a_module_counts_its_evaluations_on_the_way_back():
    net = Net()
    y = odeint_adjoint(net, Y0, TIMES)
    forward = net.calls
    y.sum().backward()
    assert net.calls > 1.5 * forward


def test_the_norm_is_called_without_parameters_that_need_no_gradient():
    seen = []

    def norm(parts):
        seen.append(len(parts))
        return parts[1].abs().max()

    w, v = torch.ones(2, dtype=torch.float64, requires_grad=True), torch.ones(3)
    with pytest.warns(UserWarning, match="needs no gradient"):
        y = odeint_adjoint(lambda t, y: -w * y, Y0, TIMES, adjoint_params=(p for p in (w, v)), adjoint_options={"norm": norm})
    y.sum().backward()
    assert set(seen) == {4} and w.grad is not None


def test_the_adjoint_of_a_contractive_flow_takes_another_way_and_says_so():
    w = nn.Parameter(torch.tensor([40.0, 0.5], dtype=torch.float64))
    y0 = Y0.clone().requires_grad_()
    y = odeint_adjoint(lambda t, y: -w * y, y0, TIMES[[0, 3]], adjoint_params=(w,))
    with pytest.warns(UserWarning, match="contractive"):
        found = torch.autograd.grad(y[-1].sum(), (y0, w))
    decay = torch.exp(-w.detach())
    torch.testing.assert_close(found[0], decay, rtol=0, atol=1e-6)
    torch.testing.assert_close(found[1], -decay * Y0, rtol=0, atol=1e-6)


def test_the_event_time_of_the_adjoint_has_its_gradient():
    rate = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    when, y = odeint_adjoint(
        lambda t, y: -rate * y, Y0[:1], TIMES[:2], event_fn=lambda t, y: y[0] - 0.5, adjoint_params=(rate,), rtol=1e-9
    )
    (slope,) = torch.autograd.grad(when, rate, retain_graph=True)  # ln(2) / rate
    assert float(slope) == pytest.approx(-float(np.log(2)) / 4, abs=1e-7)
    (at_fixed_time,) = torch.autograd.grad(y[-1].sum(), rate)
    assert float(at_fixed_time) == pytest.approx(-0.5 * float(np.log(2)) / 2, abs=1e-7)
    when, _ = odeint(lambda t, y: -rate * y, Y0[:1], TIMES[:2], event_fn=lambda t, y: y[0] - 0.5)
    assert not when.requires_grad


def test_numpy_numbers_are_tolerances():
    y = odeint(spin, Y0, TIMES, rtol=np.float32(1e-6), atol=np.float64(1e-8))
    torch.testing.assert_close(y, odeint(spin, Y0, TIMES), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "rk4"])
def test_dense_solutions(method):
    options = {"step_size": 0.01, "interp": "cubic"} if method == "rk4" else {"jump_t": torch.tensor([0.4])}
    y0 = Y0.clone().requires_grad_()
    at = odeint_dense(spin, y0, 0.0, TIMES[-1], method=method, options=options)
    exact = odeint(spin, Y0, TIMES, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(at(TIMES), exact, rtol=0, atol=1e-6)
    torch.testing.assert_close(at(TIMES[1]), exact[1], rtol=0, atol=1e-6)
    assert torch.autograd.grad(at(0.5).sum(), y0)[0].abs().max() > 0.1
    parts = odeint_dense(
        lambda t, s: (s[1], -s[0]), (Y0, Y0), torch.tensor(1.0), 0.0, method=method if method != "rk4" else None
    )
    assert isinstance(parts(0.5), tuple) and parts(TIMES)[0].shape == (4, 2)
    with pytest.raises(ValueError, match="steps"):
        odeint_dense(spin, Y0, 0.0, 1.0, method="scipy_solver")


class Classifier(nn.Module):
    """A neural ODE between two layers, as in a thousand repositories."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.up, self.down = nn.Linear(3, 8), nn.Linear(8, 2)
        self.inner = nn.Sequential(nn.Linear(9, 16), nn.ELU(), nn.Linear(16, 8))

    def field(self, t, y):
        return self.inner(torch.cat([y, t.expand(len(y), 1)], 1))

    def loss(self, solve, x, **options):
        end = solve(self.field, self.up(x), torch.tensor([0.0, 1.0]), **options)[1]
        return nn.functional.cross_entropy(self.down(end), torch.arange(5) % 2)


@pytest.mark.parametrize(
    "method,dtype,tol", [("dopri5", torch.float32, 1e-5), ("rk4", torch.float32, 1), ("bosh3", None, 1e-8)]
)
def test_a_neural_ode_learns_the_same(method, dtype, tol):
    dtype = dtype or torch.float64
    x, found = torch.linspace(-1, 1, 15, dtype=dtype).view(5, 3), []
    for solve, options in (
        (torchdiffeq.odeint, {}),
        (odeint, {}),
        (torchdiffeq.odeint_adjoint, {"inner": True}),
        (odeint_adjoint, {"inner": True}),
    ):
        model = Classifier().to(dtype)
        more = {"adjoint_params": tuple(model.inner.parameters())} if options else {}
        loss = model.loss(solve, x, method=method, rtol=tol, atol=tol / 10, **more)
        found.append([loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))])
    for ours, theirs in ((found[1], found[0]), (found[3], found[2])):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


class Flow(nn.Module):
    """A continuous normalising flow: the state, its log density by the trace of the Jacobian, and a regulariser."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2)).double()

    def forward(self, t, state):
        z = state[0]
        with torch.enable_grad():
            z = z.requires_grad_(True) if z.is_leaf else z
            dz = self.net(torch.cat([z, torch.ones_like(z[:, :1]) * t], 1))
            trace = sum(torch.autograd.grad(dz[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(2))
        return dz, -trace.unsqueeze(1), dz.square().sum(1, keepdim=True)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_continuous_normalising_flow_learns_the_same(reverse):
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    found = []
    for solve in (torchdiffeq.odeint, odeint, torchdiffeq.odeint_adjoint, odeint_adjoint):
        model, x = Flow(), torch.linspace(-1, 1, 8, dtype=torch.float64).view(4, 2).requires_grad_()
        zero = torch.zeros(4, 1, dtype=torch.float64)
        z, log_p, cost = solve(model, (x, zero, zero), t.flip(0) if reverse else t, rtol=1e-8, atol=1e-9)
        loss = (z[-1].square().sum(1) / 2 + log_p[-1][:, 0] + 0.1 * cost[-1][:, 0]).mean()
        found.append([loss.detach(), *torch.autograd.grad(loss, [x, *model.parameters()], allow_unused=True)])
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            if b is not None and a is not None:
                torch.testing.assert_close(a, b, rtol=0, atol=1e-7)


class Ball(nn.Module):
    """A bouncing ball with learnable gravity and restitution, and a latent clock beside the state."""

    def __init__(self):
        super().__init__()
        self.gravity = nn.Parameter(torch.tensor(9.8, dtype=torch.float64))
        self.keep = nn.Parameter(torch.tensor(0.2, dtype=torch.float64))

    def forward(self, t, state):
        height, speed, log_radius = state
        return speed, -self.gravity * torch.ones_like(height), torch.zeros_like(log_radius)

    def touches(self, t, state):
        height, _, log_radius = state
        return height - torch.exp(log_radius)

    def bounces(self, event, interface, count):
        zero = torch.zeros((), dtype=torch.float64)
        state: tuple[torch.Tensor, ...] = (zero + 10.0, zero, torch.log(zero + 0.1))
        t, times = zero, []
        for _ in range(count):
            t, states = event(
                self, state, t, event_fn=self.touches, odeint_interface=interface, rtol=1e-9, atol=1e-10
            )  # fmt: skip
            height, speed, log_radius = (s[-1] for s in states)
            state = (height + 1e-7, -speed * (1 - self.keep), log_radius)
            times.append(t)
        return torch.stack(times)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["odeint", "odeint_adjoint"])
def test_a_bouncing_ball_bounces_the_same(name, reverse):
    """Their driver with our solver as its interface, and ours with ours (reverse: ours with theirs)."""
    ours, theirs = {"odeint": odeint, "odeint_adjoint": odeint_adjoint}[name], getattr(torchdiffeq, name)
    pairs = [(torchdiffeq.odeint_event, theirs), (odeint_event, theirs) if reverse else (torchdiffeq.odeint_event, ours)]
    found = []
    for event, interface in [*pairs, (odeint_event, ours)]:
        ball = Ball()
        times = ball.bounces(event, interface, 3)
        found.append([times.detach(), *torch.autograd.grad(times[-1], list(ball.parameters()))])
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["rk4", "heun3", "midpoint"])
def test_float32_states_are_rounded_once_a_step(method):
    slope = nn.Parameter(torch.tensor(0.2))
    ends = [
        odeint(lambda t, y: slope + 0 * y, torch.tensor([3.2]), torch.tensor([1.0, 3.0]), method=m, options={"step_size": 0.01})
        for m in (method, "euler")
    ]
    torch.testing.assert_close(ends[0][-1], ends[1][-1], rtol=0, atol=1e-6)
