"""gradient="checkpoint" against backpropagation, for every method; its memory; and where it must refuse."""

import math
import weakref
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from solvers import PID, Dense, Event, IntegrationError, Integrator, LinearFlow, PerGraph, available, method_named, solve

F64 = torch.float64
EYE = torch.eye(3, dtype=F64)
X = torch.randn(3, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
METHODS = [name for name in available() if method_named(name).order < math.inf]


@dataclass(frozen=True, eq=False)
class Learned:
    """Holds W and something computed from it before the solve; offers every structure."""

    W: Tensor
    attention: Tensor
    damping: Tensor | float = 0.3

    def linear_part(self, t, y):
        return Dense(self.attention - EYE)

    def nonlinear_part(self, t, y):
        return torch.tanh(y @ self.W) * torch.cos(t)

    def velocity(self, t, p):
        return torch.tanh(p @ self.W) * (1 + t)

    def force(self, t, q):
        return self.attention @ torch.sin(q) - q

    def __call__(self, t, y):
        if y.dim() == 3:
            q, p = y.unbind(0)
            return torch.stack((self.velocity(t, p), self.force(t, q) - self.damping * p))
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


def weight() -> Tensor:
    return (0.5 * torch.randn(2, 2, dtype=F64, generator=torch.Generator().manual_seed(1))).requires_grad_()


def attention(W: Tensor) -> Tensor:
    return torch.softmax((X @ W) @ (X @ W).T, -1)


def start(method: Integrator) -> Tensor:
    return torch.stack((X, X.flip(0))) if method.needs == "partitioned" else X


def gradients(build, y0, t, method, gradient, **options):
    """Of a number that depends on every output, to the initial state and to W; `build` makes the field of W."""
    W, y0 = weight(), y0.clone().requires_grad_()
    sol = solve(build(W), y0, t, method, gradient=gradient, **options)
    weights = torch.linspace(0.5, 2, sol.y.numel(), dtype=F64).view(sol.y.shape)
    return torch.autograd.grad((weights * sol.y**2).sum(), [y0, W]), sol


def assert_same(build, y0, t, method, gradient="checkpoint", tolerance=1e-12, **options):
    """Controlled steps are of the same sizes but for rounding in the error estimates: there the tolerance is 1e-10."""
    (expected, by_backprop), (found, sol) = (gradients(build, y0, t, method, g, **options) for g in ("backprop", gradient))
    torch.testing.assert_close(sol.y, by_backprop.y, rtol=0, atol=tolerance * float(sol.y.detach().abs().max()))
    assert (sol.stats.accepted, sol.stats.rejected) == (by_backprop.stats.accepted, by_backprop.stats.rejected)
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())
    return sol


def learned(W):
    return Learned(W, attention(W))


@pytest.mark.parametrize("name", METHODS)
def test_checkpoint_is_backprop(name):
    method = method_named(name)
    dt = 0.2 if method.needs == "semilinear" else 0.11
    assert_same(learned, start(method), [0.0, 0.33, 1.0], method, dt=dt)


@pytest.mark.parametrize(
    "name", [name for name in METHODS if method_named(name).adaptive and name not in ("sdirk2", "exprb32")]
)
def test_checkpoint_is_backprop_with_controlled_steps(name):
    method = method_named(name)
    assert_same(learned, start(method), [0.0, 0.33, 1.0], method, rtol=1e-4, tolerance=1e-10)


@pytest.mark.parametrize("name", ["dopri5", "trbdf2", "bdf2", "cnab2", "krylov_exp"])
def test_linear_fields_whose_operator_is_learned(name):
    def field(W):
        return LinearFlow(Dense(attention(W) - EYE), X @ W)

    assert_same(field, X, [0.0, 0.33, 1.0], name, dt=0.09)


@pytest.mark.parametrize("name", ["rk4", "ab4", "bdf2", "cnab2", "leapfrog", "implicit_midpoint"])
def test_pieces_that_are_divided(name):
    """150 steps: a mark every 16, pieces in four parts."""
    method = method_named(name)
    sol = assert_same(learned, start(method), [0.0, 0.33, 1.0], method, dt=1 / 150)
    assert sol.stats.accepted >= 150


def test_divided_pieces_of_controlled_steps_with_rejections():
    field = lambda W: Learned(6 * W, 3 * attention(W))  # noqa: E731
    sol = assert_same(field, X, 30.0, "bosh3", tolerance=1e-8, rtol=1e-5, controller=PID(first_dt=3.0))
    assert sol.stats.accepted > 128 and sol.stats.rejected > 0


def test_a_retained_graph_can_be_gone_through_again():
    W, y0 = weight(), X.clone().requires_grad_()
    y = solve(learned(W), y0, 1.0, "rk4", dt=1 / 150, gradient="checkpoint").y
    first = torch.autograd.grad(y[-1].sum(), [y0, W], retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(y[-1].sum(), [y0, W]), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("save", ["final", "steps"])
def test_what_is_saved(save):
    assert_same(learned, X, 1.0, "dopri5", dt=0.07, save=save)
    assert_same(learned, X, [1.0, 0.0], "ab4", dt=0.03, save=save)


def test_rejected_steps_are_repeated():
    """A method that keeps something from a rejected step uses it in the next attempt."""
    for name in ("trbdf2", "dopri5", "rkc2"):
        sol = assert_same(
            lambda W: Learned(6 * W, 3 * attention(W)), X, 1.0, name, tolerance=1e-10, rtol=1e-4, controller=PID(first_dt=0.9)
        )
        assert sol.stats.rejected > 0


def test_groups_and_structured_states():
    graphs = PerGraph(torch.tensor([0, 0, 1]), dim=0)
    assert_same(
        lambda W: Learned(W, torch.block_diag(attention(W)[:2, :2], W[:1, :1])), X, 1.0, "bosh3", tolerance=1e-10, space=graphs
    )
    W, y0 = weight(), X.clone().requires_grad_()

    @dataclass(frozen=True, eq=False)
    class Pair:
        W: Tensor

        def __call__(self, t, state):
            a, b = state["a"], state["b"]
            return {"a": torch.tanh(b @ self.W), "b": -a}

    found = []
    for gradient in ("backprop", "checkpoint"):
        y = solve(Pair(W), {"a": y0, "b": 2 * y0}, [0.0, 1.0], "tsit5", gradient=gradient).y
        found.append(torch.autograd.grad((y["a"] ** 2).sum() + y["b"].sum(), [y0, W]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["dopri5", "implicit_midpoint"])
def test_events_and_times(name):
    found = []
    for gradient in ("backprop", "checkpoint"):
        W, y0, t = weight(), X.clone().requires_grad_(), torch.tensor([0.0, 0.2, 3.0], dtype=F64, requires_grad=True)
        passing = Event(lambda t, y: y[0, 1] + 0.3, terminal=False)
        ending = Event(lambda t, y: t - 1.234 - 0.01 * y[0, 0])
        sol = solve(learned(W), y0, t, name, dt=0.05, gradient=gradient, events=[passing, ending])
        assert sol.status == "event" and sol.t_event is not None and sol.y_event is not None
        loss = (sol.y**2).sum() + sol.t_event + sol.y_event.sum() + sum(c.t + c.y.sum() for c in sol.crossings)
        found.append([sol.t_event, *torch.autograd.grad(loss, [y0, W, t])])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_states_at_events_of_a_method_without_interpolant():
    """They come from a cubic whose slopes have gradients too, though the search for the event, which has none, came first."""

    def crossing(y0: Tensor, dt: float) -> Tensor:
        event = Event(lambda t, y: y[0, 0, 0] - 1.05, terminal=False)
        found = solve(learned(weight().detach()), y0, 1.0, "leapfrog", dt=dt, events=[event])
        return torch.cat([found.crossings[0].y.reshape(-1), found.crossings[0].t.reshape(1)])

    y0, h, misses = start(method_named("leapfrog")), 1e-6, []
    shifts = [h * e.view_as(y0) for e in torch.eye(12, dtype=F64)]
    for dt in (0.04, 0.01):
        found = torch.autograd.functional.jacobian(lambda y, dt=dt: crossing(y, dt), y0).view(13, 12)
        exact = torch.stack([(crossing(y0 + s, dt) - crossing(y0 - s, dt)) / (2 * h) for s in shifts], 1)
        misses.append(float((found - exact).abs().max()))
    assert misses[1] < 1e-4 and misses[0] / misses[1] > 12  # the field, not the cubic, is the slope there: order 2


def test_closures_need_params():
    W, y0 = weight(), X.clone()
    with pytest.raises(ValueError, match=r'gradient="checkpoint" cannot see which tensors .* params=\[\.\.\.\]'):
        solve(lambda t, y: torch.tanh(y @ W), y0, 1.0, gradient="checkpoint")
    found = []
    for gradient in ("backprop", "checkpoint"):
        twice = 2 * W  # with a history of its own, which every piece of the solve leads back to
        sol = solve(lambda t, y, twice=twice: torch.tanh(y @ twice), y0, 1.0, "rk4", dt=0.02, gradient=gradient, params=[W])
        found.append(torch.autograd.grad(sol.y[-1].sum(), W)[0])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_without_a_gradient_nothing_is_recorded():
    sol = solve(Learned(weight().detach(), EYE), X, 1.0, gradient="checkpoint")
    assert not sol.y.requires_grad
    with torch.no_grad():
        assert not solve(learned(weight()), X, 1.0, gradient="checkpoint").y.requires_grad


def test_refusals():
    with pytest.raises(ValueError, match='save="dense"'):
        solve(learned(weight()), X, 1.0, gradient="checkpoint", save="dense")

    class Halving:
        times = None

        def before(self, t, y, dt): ...
        def after(self, t, y, dt):
            return y / 2 if dt else None

        def rejected(self, t, y, dt): ...

    with pytest.raises(ValueError, match=r'Halving replaced the state .* gradient="checkpoint" cannot follow jumps'):
        solve(learned(weight()), X, 1.0, gradient="checkpoint", callbacks=[Halving()])


@dataclass(frozen=True, eq=False)
class Noisy:
    W: Tensor

    def __call__(self, t, y):
        return torch.tanh(y @ self.W) * torch.rand(())


def test_a_field_that_is_not_the_same_function_twice_is_noticed():
    sol = solve(Noisy(weight()), X, 1.0, "rk4", dt=0.05, gradient="checkpoint")
    with pytest.raises(IntegrationError, match="did not come back"):
        sol.y.sum().backward()


@pytest.mark.parametrize(("gradient", "name"), [("checkpoint", "dopri5"), ("checkpoint", "cnab2"), ("reversible", "leapfrog")])
def test_second_derivatives(gradient, name):
    y, found = start(method_named(name)), []
    for by in ("backprop", gradient):
        W, y0 = weight(), y.clone().requires_grad_()
        sol = solve(learned(W), y0, 0.6, name, dt=0.2, gradient=by)
        first = torch.autograd.grad((sol.y[-1] ** 2).sum(), [y0, W], create_graph=True)
        found.append(torch.autograd.grad(sum((g**2).sum() for g in first), [y0, W]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)
    W = weight()
    sol = solve(lambda t, y: torch.tanh(y @ W), X, 0.6, dt=0.2, gradient="checkpoint", params=[W])
    with pytest.raises(ValueError, match="second derivatives"):
        torch.autograd.grad(sol.y.sum(), W, create_graph=True)


class Live:
    """The bytes that autograd holds at a time, each storage once, and the most that they ever were."""

    def __init__(self):
        self.count: dict[int, int] = {}
        self.now = self.peak = 0

    def pack(self, x: Tensor) -> list[Tensor]:
        class Held(list): ...

        key, size, held = x.untyped_storage().data_ptr(), x.untyped_storage().nbytes(), Held([x])
        self.now += 0 if self.count.get(key) else size
        self.peak = max(self.peak, self.now)
        self.count[key] = self.count.get(key, 0) + 1
        weakref.finalize(held, self._free, key, size)
        return held

    def _free(self, key: int, size: int) -> None:
        self.count[key] -= 1
        self.now -= 0 if self.count[key] else size


def peak_bytes(gradient: str, name: str, steps: int) -> int:
    live, W = Live(), weight()
    y0 = torch.linspace(0.1, 0.9, 600, dtype=F64).view(2, 150, 2).requires_grad_()
    field = Learned(W, 0.5 * torch.eye(150, dtype=F64).requires_grad_(), 0.0)
    with torch.autograd.graph.saved_tensors_hooks(live.pack, lambda held: held[0]):
        sol = solve(field, y0, 1.0, name, dt=1 / steps, gradient=gradient, save="final")
        sol.y.sum().backward()
    return live.peak - field.attention.untyped_storage().nbytes()


def test_memory_grows_with_the_cube_root_of_the_steps():
    few, many = (peak_bytes("checkpoint", "leapfrog", n) for n in (100, 1600))
    assert many < 2 * few
    everything = peak_bytes("backprop", "leapfrog", 1600)
    assert everything > 10 * peak_bytes("backprop", "leapfrog", 100)
    assert many < everything / 30


def test_memory_of_a_reversible_method_is_constant():
    few, many = (peak_bytes("reversible", "leapfrog", n) for n in (10, 400))
    assert many == few
