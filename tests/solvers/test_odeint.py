"""odeint against torchdiffeq: names, options, states, gradients, in both directions."""

from itertools import pairwise

import pytest
import torch
import torchdiffeq
from torch import nn

from solvers import Dopri5, IntegrationError, LinearFlow, SparseOperator, UnknownName, odeint, odeint_adjoint, odeint_event

Y0 = torch.tensor([1.0, 0.3], dtype=torch.float64)
FORWARD = torch.linspace(0, 1, 6, dtype=torch.float64)
BACKWARD = torch.tensor([1.0, 0.63, 0.1], dtype=torch.float64)


def oscillator(t, y):
    return torch.stack([y[1], -y[0] * (1 + 0.1 * t) - 0.1 * y[1]])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lin = nn.Linear(2, 2, dtype=torch.float64)

    def forward(self, t, y):
        return torch.tanh(self.lin(y)) * torch.cos(t)


@pytest.mark.parametrize("t", [FORWARD, BACKWARD], ids=["forward", "backward"])
@pytest.mark.parametrize("method", ["euler", "midpoint", "heun2", "heun3", "rk4"])
@pytest.mark.parametrize(
    "options",
    [{}, {"step_size": 0.07}, {"step_size": 0.07, "interp": "cubic"}, {"step_size": 0.1, "perturb": True}],
    ids=["grid", "linear", "cubic", "perturb"],
)
def test_fixed_grids_give_the_same_numbers(method, t, options):
    ours = odeint(oscillator, Y0, t, method=method, options=options)
    theirs = torchdiffeq.odeint(oscillator, Y0, t, method=method, options=dict(options))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("t", [FORWARD, BACKWARD], ids=["forward", "backward"])
def test_dopri5_agrees(t):
    ours = odeint(oscillator, Y0, t, rtol=1e-11, atol=1e-12)
    theirs = torchdiffeq.odeint(oscillator, Y0, t, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["bosh3", "adaptive_heun", "fehlberg2", "tsit5"])
def test_adaptive_methods_are_as_exact_as_theirs(method):
    exact = torchdiffeq.odeint(oscillator, Y0, FORWARD, rtol=1e-12, atol=1e-13)
    error = (odeint(oscillator, Y0, FORWARD, method=method, rtol=1e-6, atol=1e-8) - exact).abs().max()
    if method == "tsit5":
        assert error < 1e-6
    else:
        theirs = torchdiffeq.odeint(oscillator, Y0, FORWARD, method=method, rtol=1e-6, atol=1e-8)
        assert error < 1.5 * (theirs - exact).abs().max()


@pytest.mark.parametrize("method", ["explicit_adams", "implicit_adams", "fixed_adams"])
def test_adams_methods_are_of_order_four(method):
    exact = odeint(oscillator, Y0, FORWARD, rtol=1e-12, atol=1e-13)
    errors = [
        (odeint(oscillator, Y0, FORWARD, method=method, options={"step_size": h}) - exact)[-1].abs().max()
        for h in (1 / 20, 1 / 40)
    ]
    assert errors[0] / errors[1] > 12
    five = odeint(oscillator, Y0, FORWARD, method=method, options={"step_size": 1 / 40, "max_order": 5})
    assert (five - exact)[-1].abs().max() < errors[1]


def test_our_own_names_and_instances():
    exact = odeint(oscillator, Y0, FORWARD, rtol=1e-11, atol=1e-12)
    for method in ("ab3", "rk438", Dopri5()):
        options = {} if isinstance(method, Dopri5) else {"step_size": 0.01}
        torch.testing.assert_close(odeint(oscillator, Y0, FORWARD, method=method, options=options), exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method,options", [("trbdf2", {}), ("crank_nicolson", {"step_size": 0.002})])
def test_implicit_methods_have_torchdiffeqs_interface_too(method, options):
    y0 = Y0.clone().unsqueeze(1).requires_grad_()
    y = odeint(lambda t, y: oscillator(t, y[:, 0]).unsqueeze(1), y0, FORWARD, method=method, options=options, rtol=1e-7)
    exact = odeint(oscillator, Y0, FORWARD, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(y[..., 0], exact, rtol=0, atol=1e-5)
    assert torch.autograd.grad(y[-1].sum(), y0)[0].abs().max() > 0.1


def test_methods_that_need_structure_say_so():
    with pytest.raises(TypeError, match="velocity"):
        odeint(oscillator, Y0, FORWARD, method="leapfrog", options={"step_size": 0.1})


def test_grid_constructor():
    def half_steps(func, y0, t):
        return torch.cat([torch.stack([a, (a + b) / 2]) for a, b in pairwise(t)] + [t[-1:]])

    for t in (FORWARD, BACKWARD):
        options = {"grid_constructor": half_steps}
        ours = odeint(oscillator, Y0, t, method="rk4", options=options)
        torch.testing.assert_close(
            ours, torchdiffeq.odeint(oscillator, Y0, t, method="rk4", options=options), rtol=0, atol=1e-14
        )
    with pytest.raises(ValueError, match=r"from 0\.0"):
        odeint(oscillator, Y0, FORWARD, method="rk4", options={"grid_constructor": lambda f, y, t: t[1:]})


def test_their_fields_here_and_ours_there():
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    values = torch.tensor([0.3, 0.2, 0.5, 0.1], dtype=torch.float64)
    flow = LinearFlow(SparseOperator.from_edges(edges, values, (3, 3)))
    y0 = torch.eye(3, dtype=torch.float64)
    net = Net()
    for field, start in ((flow, y0), (net, Y0)):
        ours = odeint(field, start, FORWARD, rtol=1e-11, atol=1e-12)
        theirs = torchdiffeq.odeint(field, start, FORWARD, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun2", "rk4", "dopri5"])
def test_gradients_agree(method):
    net, found = Net(), []
    for solve in (odeint, torchdiffeq.odeint, odeint_adjoint):
        y0 = Y0.clone().requires_grad_()
        y = solve(net, y0, FORWARD, method=method, rtol=1e-11, atol=1e-12)
        found.append(torch.autograd.grad((y**2 * torch.arange(12.0).view(6, 2)).sum(), [y0, *net.parameters()]))
    for ours, theirs in zip(found[0], found[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)
    if method == "dopri5":
        for adjoint, theirs in zip(found[2], found[1], strict=True):
            torch.testing.assert_close(adjoint, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4"])
def test_adjoints_on_a_grid_give_the_same_numbers(method):
    net, found = Net(), []
    for solve in (odeint_adjoint, torchdiffeq.odeint_adjoint):
        y0 = Y0.clone().requires_grad_()
        y = solve(net, y0, FORWARD, method=method, options={"step_size": 0.07})
        found.append(torch.autograd.grad((y**2 * torch.arange(12.0).view(6, 2)).sum(), [y0, *net.parameters()]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_options_of_the_adjoint():
    net, exact = Net(), []
    for solve, options in (
        (odeint, {}),
        (odeint_adjoint, {"adjoint_method": "tsit5", "adjoint_rtol": 1e-10, "adjoint_atol": 1e-12}),
        (odeint_adjoint, {"adjoint_options": {"norm": "seminorm"}}),
        (odeint_adjoint, {"adjoint_options": {"norm": lambda s: max(p.abs().max() for p in s)}}),
        (odeint_adjoint, {"options": {"first_step": 0.01}, "adjoint_options": {"max_step": 0.1}}),
    ):
        y0 = Y0.clone().requires_grad_()
        y = solve(net, y0, FORWARD, rtol=1e-10, atol=1e-12, **options)
        exact.append(torch.autograd.grad((y[1:] ** 2).sum(), [y0, *net.parameters()]))
    for found in exact[1:]:
        for a, b in zip(found, exact[0], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-7)
    with pytest.raises(ValueError, match="seminorm"):
        odeint_adjoint(net, Y0, FORWARD, adjoint_options={"norm": "seminrom"})


def test_the_adjoint_norm_sees_the_structure():
    seen = []

    def norm(parts):
        seen.append([tuple(p.shape) for p in parts])
        return max(p.abs().max() for p in parts)

    w = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    options = {"adjoint_params": [w], "adjoint_options": {"norm": norm}}
    tupled = odeint_adjoint(lambda t, s: (-w * s[0], -s[1]), (Y0[:1], Y0), FORWARD, **options)
    (grad,) = torch.autograd.grad(tupled[0][-1].sum(), w)
    torch.testing.assert_close(grad, -torch.exp(-w.detach()), rtol=0, atol=1e-6)
    assert seen and all(shapes == [(), (1,), (2,), (1,), (2,), ()] for shapes in seen)


def test_adjoint_params_restrict():
    net = Net()
    y = odeint_adjoint(net, Y0.clone().requires_grad_(), FORWARD, adjoint_params=[net.lin.bias])
    weight, bias = torch.autograd.grad(y.sum(), [net.lin.weight, net.lin.bias], allow_unused=True)
    assert weight is None and bias is not None
    with pytest.raises(ValueError, match="adjoint_rtol"):
        odeint_adjoint(pair, PAIR, FORWARD, rtol=(1e-6, 1e-6), adjoint_params=())


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint])
def test_gradcheck_in_the_times(solve):
    net = Net()
    t = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64, requires_grad=True)
    y0 = Y0.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t, y: solve(net, y, t, rtol=1e-10, atol=1e-11), (t, y0), atol=1e-6)
    theirs = torch.autograd.grad(torchdiffeq.odeint(net, y0, t, rtol=1e-13, atol=1e-13).sum(), t)[0]
    ours = torch.autograd.grad(solve(net, y0, t, rtol=1e-13, atol=1e-13).sum(), t)[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)


def pair(t, y):
    return y[1].mean(0), -y[0].expand(2, 3) * t


PAIR = (torch.ones(3, dtype=torch.float64), torch.arange(6.0, dtype=torch.float64).view(2, 3))


def test_tuples():
    ours = odeint(pair, PAIR, FORWARD, rtol=1e-11, atol=1e-12)
    theirs = torchdiffeq.odeint(pair, PAIR, FORWARD, rtol=1e-11, atol=1e-12)
    assert isinstance(ours, tuple)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    per_part = odeint(pair, PAIR, FORWARD, rtol=(1e-11, 1e-10), atol=(1e-12, 1e-11))
    torch.testing.assert_close(per_part[1], ours[1], rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match="3 entries for a state of 2"):
        odeint(pair, PAIR, FORWARD, rtol=(1e-3,) * 3)


def test_lists_and_dicts():
    state = {"q": PAIR[0], "p": [PAIR[1]]}
    ours = odeint(lambda t, s: {"p": [-s["q"].expand(2, 3) * t], "q": s["p"][0].mean(0)}, state, FORWARD)
    assert set(ours) == {"q", "p"} and isinstance(ours["p"], list)
    torch.testing.assert_close(ours["q"], odeint(pair, PAIR, FORWARD)[0])
    with pytest.raises(ValueError, match="keys"):
        odeint(lambda t, s: {"q": s["q"]}, state, FORWARD)


def test_the_norm_of_the_user_is_used():
    seen = []

    def norm(parts):
        seen.append(tuple(p.shape for p in parts))
        return max(p.abs().max() for p in parts)

    ours = odeint(pair, PAIR, FORWARD, options={"norm": norm}, rtol=1e-9, atol=1e-10)
    assert set(seen) == {((3,), (2, 3))}
    torch.testing.assert_close(ours[0], odeint(pair, PAIR, FORWARD, rtol=1e-11, atol=1e-12)[0], rtol=0, atol=1e-7)
    count = [0]

    def counted(t, y):
        count[0] += 1
        return oscillator(t, y)

    odeint(counted, Y0, FORWARD, options={"norm": lambda x: x.abs().max() * 1e5})
    strict, count[0] = count[0], 0
    odeint(counted, Y0, FORWARD)
    assert strict > 2 * count[0]


def test_step_size_options_do_something():
    sizes = []

    class Field:
        def __call__(self, t, y):
            return oscillator(t, y)

        def callback_step(self, t, y, dt):
            assert t.dim() == 0 and y.shape == (2,)
            sizes.append(float(dt))

    def run(**options):
        sizes.clear()
        odeint(Field(), Y0, FORWARD, rtol=1e-5, atol=1e-7, options=options)
        return list(sizes)

    assert run(first_step=1e-3)[0] == pytest.approx(1e-3)
    assert max(run(max_step=0.02)) <= 0.02 + 1e-15
    assert run(first_step=1e-3, ifactor=1.5)[1] == pytest.approx(1.5e-3)
    assert min(run(min_step=0.3, first_step=0.9)[:-1]) >= 0.3
    assert len(run(safety=0.3)) > len(run(safety=0.9))
    with pytest.raises(IntegrationError, match="max_num_steps"):
        run(max_num_steps=2, max_step=1e-3)


def test_callbacks_of_the_field():
    class Field:
        calls: list = []  # noqa: RUF012

        def __call__(self, t, y):
            return torch.where(t > 0.5, 100.0, 1.0) * oscillator(t, y)

        def callback_step(self, t, y, dt):
            self.calls.append("step")

        def callback_accept_step(self, t, y, dt):
            self.calls.append("accept")

        def callback_reject_step(self, t, y, dt):
            self.calls.append("reject")

    field = Field()
    odeint(field, Y0, FORWARD, rtol=1e-5)
    assert field.calls.count("reject") > 0
    assert field.calls[0::2] == ["step"] * (len(field.calls) // 2)
    assert field.calls.count("step") == field.calls.count("accept") + field.calls.count("reject")


@pytest.mark.parametrize("reverse", [False, True])
def test_jumps_are_stepped_onto(reverse):
    count = [0]

    def kicked(t, y):
        count[0] += 1
        return torch.where(t < 0.5, torch.ones_like(y), -3 * y)

    t = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64)
    y0 = torch.tensor([1.0], dtype=torch.float64)
    middle = 1.5
    exact = torch.tensor([1.0, 1.3, middle * torch.exp(torch.tensor(-0.6)), middle * torch.exp(torch.tensor(-1.5))])
    if reverse:
        t, y0 = t.flip(0), torch.tensor([middle], dtype=torch.float64) * torch.exp(torch.tensor([-1.5], dtype=torch.float64))
    y = odeint(kicked, y0, t, rtol=1e-9, atol=1e-10, options={"jump_t": torch.tensor([0.5])})
    torch.testing.assert_close(y[:, 0].float(), exact.flip(0) if reverse else exact, rtol=0, atol=1e-6)
    with_jump, count[0] = count[0], 0
    odeint(kicked, y0, t, rtol=1e-9, atol=1e-10)
    assert with_jump < count[0]
    twice = {"jump_t": torch.tensor([0.5]), "step_t": torch.tensor([0.5])}
    with pytest.raises(ValueError, match="twice"):
        odeint(kicked, y0, t, options=twice)


def fall(t, y):
    return torch.stack([y[1], torch.full_like(y[1], -9.81)])


def height(t, y):
    return y[0]


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint, torchdiffeq.odeint])
@pytest.mark.parametrize("reverse", [False, True])
def test_event_time_and_its_gradient(interface, reverse):
    speed = torch.tensor(-3.0 if reverse else 3.0, dtype=torch.float64, requires_grad=True)
    start = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    t0 = torch.tensor(0.0, dtype=torch.float64)
    extra = {"adjoint_params": ()} if interface is odeint_adjoint else {}
    when, states = odeint_event(
        fall, torch.stack([start, speed]), t0, event_fn=height, reverse_time=reverse,
        odeint_interface=interface, rtol=1e-10, atol=1e-12, **extra,
    )  # fmt: skip
    sign = -1 if reverse else 1
    v, h = abs(float(speed.detach())), 2.0
    exact = (v + (v * v + 2 * 9.81 * h) ** 0.5) / 9.81
    assert float(when.detach()) == pytest.approx(sign * exact, abs=1e-9)
    assert states.shape == (2, 2) and abs(float(states[1, 0].detach())) < 1e-8
    d_speed, d_start = torch.autograd.grad(when, (speed, start), retain_graph=True)
    root = (v * v + 2 * 9.81 * h) ** 0.5
    assert float(d_start) == pytest.approx(sign / root, abs=1e-7)
    assert float(d_speed) == pytest.approx((1 + v / root) / 9.81, abs=1e-7)
    d_final = torch.autograd.grad(states[1, 1], start)[0]  # v_end = -sign root
    assert float(d_final) == pytest.approx(-sign * 9.81 / root, abs=1e-6)


def test_events_of_tuples_and_on_grids():
    state = (torch.tensor(2.0, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64))

    def falling(t, s):
        return s[1], torch.full_like(s[1], -9.81)

    t0 = torch.tensor(0.0, dtype=torch.float64)
    when, states = odeint_event(falling, state, t0, event_fn=lambda t, s: s[0], rtol=1e-9)
    assert isinstance(states, tuple) and states[0].shape == (2,)
    grid, _ = odeint_event(
        falling, state, t0, event_fn=lambda t, s: s[0], method="rk4", options={"step_size": 0.05, "interp": "cubic"}
    )
    assert float(grid) == pytest.approx(float(when), abs=1e-8)
    with pytest.raises(ValueError, match="step_size"):
        odeint_event(falling, state, t0, event_fn=lambda t, s: s[0], method="rk4")


def test_float32_below_its_precision_still_runs():
    y = odeint(oscillator, Y0.float(), FORWARD.float())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), odeint(oscillator, Y0, FORWARD), rtol=0, atol=1e-5)


def test_complex_states():
    def turn(t, y):
        return 1j * y

    y0 = torch.tensor([1.0 + 0.5j], dtype=torch.complex128)
    torch.testing.assert_close(
        odeint(turn, y0, FORWARD, rtol=1e-10, atol=1e-11)[-1], y0 * torch.exp(torch.tensor(1j)), rtol=0, atol=1e-7
    )


def test_one_time_returns_the_initial_state():
    assert torch.equal(odeint(oscillator, Y0, FORWARD[:1]), Y0.unsqueeze(0))


def test_refusals():
    with pytest.raises(UnknownName, match=r"dopri54.*dopri5"):
        odeint(oscillator, Y0, FORWARD, method="dopri54")
    with pytest.raises(UnknownName, match=r"rk4 'stepsize'.*step_size"):
        odeint(oscillator, Y0, FORWARD, method="rk4", options={"stepsize": 0.1})
    with pytest.raises(UnknownName, match="option of dopri5 'step_size'"):
        odeint(oscillator, Y0, FORWARD, options={"step_size": 0.1})
    with pytest.raises(UnknownName, match="cubic"):
        odeint(oscillator, Y0, FORWARD, method="rk4", options={"interp": "cubik"})
    with pytest.raises(ValueError, match="max_order = 12"):
        odeint(oscillator, Y0, FORWARD, method="explicit_adams", options={"max_order": 12})
    with pytest.raises(ValueError, match="float64"):
        odeint(oscillator, Y0, FORWARD, options={"dtype": torch.float32})
    with pytest.raises(ValueError, match="one of them"):
        odeint(oscillator, Y0, FORWARD, method="rk4", options={"step_size": 0.1, "grid_constructor": lambda f, y, t: t})
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(2,\)"):
        odeint(lambda t, y: y.unsqueeze(0), Y0, FORWARD)
    with pytest.raises(ValueError, match="strictly"):
        odeint(oscillator, Y0, torch.tensor([0.0, 1.0, 0.5]))
    with pytest.raises(TypeError, match="t is list"):
        odeint(oscillator, Y0, [0.0, 1.0])
    with pytest.raises(ValueError, match="adjoint_params"):
        odeint_adjoint(oscillator, Y0, FORWARD)
    with pytest.raises(ValueError, match="adjoint_options"):
        odeint_adjoint(Net(), Y0, FORWARD, method="rk4", options={"step_size": 0.1}, adjoint_method="dopri5")
    odeint(oscillator, Y0, FORWARD, method="rk4", options={"step_size": 0.1})
