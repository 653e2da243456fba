"""Piecewise fields: knots are landed on, order is kept across them, jumps, history, gradients, dense output, events."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from solvers import (
    Dense,
    Event,
    Every,
    IntegrationError,
    LinearFlow,
    PerGraph,
    Pieces,
    Piecewise,
    StateDropout,
    available,
    method_named,
    odeint,
    solve,
)
from solvers.pieces import At, Knots

RATES = (-1.0, 0.6, -0.3, 2.0)
KNOTS = (0.37, 0.81, 1.33)
DOUBLE = {"dtype": torch.float64}


@dataclass(frozen=True, eq=False)
class Scaled:
    """`y' = rate cos(t) y`, solution `y exp(rate sin t)`."""

    rate: Tensor

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * torch.cos(t) * y


def scaled(rates: Sequence[float] | Tensor = RATES) -> Pieces:
    return Pieces([Scaled(r) for r in torch.as_tensor(rates, **DOUBLE)], KNOTS)


def exact(t: float, start: float = 0.0) -> float:
    """The integral of rate cos over the pieces, exponentiated, for a solution of one at `start`."""
    low, high = sorted((start, t))
    ends = [low, *(k for k in KNOTS if low < k < high), high]
    total = 0.0
    for a, b in pairwise(ends):
        total += RATES[At(KNOTS).index((a + b) / 2)] * (math.sin(b) - math.sin(a))
    return math.exp(total if t >= start else -total)


def start(size: int = 3) -> Tensor:
    return torch.linspace(1.0, 2.0, size, **DOUBLE).unsqueeze(1)


@pytest.mark.parametrize(
    ("method", "order"),
    [("euler", 1), ("heun", 2), ("rk4", 4), ("dopri5", 5), ("ab3", 3), ("ab4", 4), ("crank_nicolson", 2), ("bdf2", 2)],
)
def test_order_is_kept_across_the_knots(method, order):
    """Knots at ends of steps; a history that led over one would spoil it. The largest error at the knots and the end."""
    ends, total, errors = (0.4, 0.8, 1.4, 2.0), [0.0], []
    for rate, (a, b) in zip(RATES, pairwise((0.0, *ends)), strict=True):
        total.append(total[-1] + rate * (math.sin(b) - math.sin(a)))
    expected = torch.stack([start() * math.exp(x) for x in total])
    for steps in (20, 40):
        field = Pieces([Scaled(r) for r in torch.tensor(RATES, **DOUBLE)], ends[:-1])
        errors.append(float((solve(field, start(), [0.0, *ends], method, dt=2.0 / steps).y - expected).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.6)


def test_steps_that_do_not_fit_land_all_the_same():
    class Unseen:
        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return scaled()(t, y)

    def slope(field: object) -> float:
        end = start() * exact(2.0)
        errors = [float((solve(field, start(), 2.0, "rk4", dt=2.0 / n).y[-1] - end).abs().max()) for n in (20, 160)]
        return math.log2(errors[0] / errors[1]) / 3

    assert slope(scaled()) == pytest.approx(4, abs=0.5)
    assert slope(Unseen()) < 1.6  # the same as one field, whose jumps the steps do not know


@pytest.mark.parametrize("method", ["dopri5", "bosh3", "tsit5", "dopri8", "trbdf2", "bdf", "adams"])
def test_adaptive_methods_reach_their_tolerance(method):
    rtol = 1e-6 if method in ("trbdf2", "bdf") else 1e-8
    sol = solve(scaled(), start(), [0.0, 0.81, 2.0], method, rtol=rtol)
    for t, y in zip(sol.t.tolist(), sol.y, strict=True):
        assert float((y - start() * exact(t)).abs().max()) < 300 * rtol
    assert sol.t.tolist() == [0.0, 0.81, 2.0] and "4 pieces" in sol.message


def linear_pieces(n: int = 4) -> tuple[Pieces, list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    matrices = []
    for i in range(3):
        w = torch.rand(n, n, generator=generator, **DOUBLE)
        w = w + w.t()
        laplacian = torch.diag(w.sum(1)) - w
        matrices.append(-(0.3 + i) * laplacian)
    return Pieces([LinearFlow(Dense(a, symmetric=True)) for a in matrices], (0.25, 0.6)), matrices


# methods for partitioned fields are in test_oscillators
@pytest.mark.parametrize("method", [m for m in available() if ":" not in m and method_named(m).needs != "partitioned"])
def test_every_method_is_a_chain_of_its_own_solves(method):
    """What the loop runs, it runs piece by piece: the same numbers as by hand, histories begun anew."""
    integrator = method_named(method)
    field, _ = linear_pieces()
    y0 = start(4)
    if method == "uniformization":
        field = Pieces([LinearFlow(f.operator) for f in field.fields], field.at)  # type: ignore[attr-defined]
    options = {} if integrator.order == math.inf else {"dt": 0.05}
    try:
        whole = solve(field, y0, [0.0, 0.1, 0.6, 0.9], method, stability_check=False, **options)
    except (TypeError, ValueError) as error:
        with pytest.raises(type(error)):
            solve(field.fields[0], y0, [0.0, 0.1, 0.25], method, stability_check=False, **options)
        return
    by_hand, y = [y0], y0
    for k, times in enumerate(([0.0, 0.1, 0.25], [0.25, 0.6], [0.6, 0.9])):
        part = solve(field.fields[k], y, times, method, stability_check=False, **options)
        by_hand.append(part.y[1] if k == 0 else part.y[-1])
        y = part.y[-1]
    assert torch.equal(whole.y, torch.stack(by_hand))


@pytest.mark.parametrize("method", ["chebyshev_exp", "krylov_exp"])
def test_exact_flows_run_once_for_each_piece(method):
    field, matrices = linear_pieces()
    sol = solve(field, start(4), [0.0, 0.1, 0.4, 0.9], method, rtol=1e-12)
    a, b, c = matrices
    at = torch.linalg.matrix_exp(0.25 * a) @ start(4)
    assert torch.allclose(sol.y[2], torch.linalg.matrix_exp(0.15 * b) @ at, rtol=0, atol=1e-10)
    end = torch.linalg.matrix_exp(0.3 * c) @ torch.linalg.matrix_exp(0.35 * b) @ at
    assert torch.allclose(sol.y[3], end, rtol=0, atol=1e-10) and sol.stats.accepted == 3


@dataclass(frozen=True, eq=False)
class Oscillator:
    """`q'' = -k q`."""

    k: float
    damping: float = 0.0
    unit_mass = True

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return -self.k * q

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack((y[1], -self.k * y[0]))


@pytest.mark.parametrize("method", ["symplectic_euler", "leapfrog", "yoshida4"])
def test_oscillators(method):
    field, y0 = Pieces([Oscillator(1.0), Oscillator(4.0)], (0.7,)), torch.stack((start(), -start()))
    errors = []
    for dt in (0.02, 0.01):
        sol = solve(field, y0, 2.0, method, dt=dt)
        q, p = y0
        q, p = q * math.cos(0.7) + p * math.sin(0.7), p * math.cos(0.7) - q * math.sin(0.7)
        q = q * math.cos(2.6) + p / 2 * math.sin(2.6)
        errors.append(float((sol.y[-1][0] - q).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(method_named(method).order, abs=0.3)
    way = solve(field, y0.requires_grad_(), 2.0, method, dt=0.02, gradient="reversible")
    plain = solve(field, y0, 2.0, method, dt=0.02)
    (a,), (b,) = (torch.autograd.grad(s.y[-1].square().sum(), y0) for s in (way, plain))
    assert torch.allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("gradient", ["backprop", "checkpoint", "adjoint", "interpolating"])
@pytest.mark.parametrize("options", [{"dt": 0.02}, {"rtol": 1e-9}], ids=str)
def test_gradients_reach_what_every_piece_holds(gradient, options):
    rates = torch.tensor(RATES, requires_grad=True, **DOUBLE)
    y0 = start().requires_grad_()
    sol = solve(scaled(rates), y0, [0.0, 0.5, 2.0], "dopri5", gradient=gradient, **options)
    loss = sol.y[-1].sum() + sol.y[1].square().sum()
    to_y0, to_rates = torch.autograd.grad(loss, (y0, rates))
    spans = [math.sin(b) - math.sin(a) for a, b in zip((0.0, *KNOTS), (*KNOTS, 2.0), strict=True)]
    early = [spans[0], math.sin(0.5) - math.sin(KNOTS[0]), 0.0, 0.0]
    end, half = start() * exact(2.0), (start() * exact(0.5)).square()
    expected = torch.tensor(
        [s * float(end.sum()) + 2 * e * float(half.sum()) for s, e in zip(spans, early, strict=True)], **DOUBLE
    )
    assert torch.allclose(to_rates, expected, rtol=1e-6, atol=1e-7)
    assert torch.allclose(to_y0, exact(2.0) + 2 * start() * exact(0.5) ** 2, rtol=1e-6)


def test_gradient_to_the_output_times_moves_no_knot():
    for at in (0.5, 0.81):  # inside a piece, and on a knot, where the derivative is the one from the left
        t = torch.tensor([0.0, at, 2.0], requires_grad=True, **DOUBLE)
        sol = solve(scaled(), start(), t, "rk4", dt=0.01)
        (first,) = torch.autograd.grad(sol.y[1].sum(), t, retain_graph=True)
        (last,) = torch.autograd.grad(sol.y[2].sum(), t)
        rate = RATES[At(KNOTS).index(at, forward=False)]
        total = float((start() * exact(at)).sum())
        assert first.tolist() == pytest.approx([-RATES[0] * total, rate * math.cos(at) * total, 0.0], rel=1e-6)
        end = float((start() * exact(2.0)).sum())
        assert last.tolist() == pytest.approx([-RATES[0] * end, 0.0, RATES[3] * math.cos(2.0) * end], rel=1e-6)


def test_dense_output_steps_and_backwards():
    sol = solve(scaled(), start(), [0.0, 2.0], "dopri5", rtol=1e-8, save="dense")
    at = torch.linspace(0, 2.0, 41, **DOUBLE)
    expected = torch.stack([start() * exact(s) for s in at.tolist()])
    assert torch.allclose(sol(at), expected, rtol=0, atol=1e-5) and sol.y.shape[0] == 2
    steps = solve(scaled(), start(), 2.0, "rk4", dt=0.1, save="steps")
    assert set(KNOTS) < set(steps.t.tolist()) and len(set(steps.t.tolist())) == len(steps.t) == steps.stats.accepted + 1
    back = solve(scaled(), start(), [2.0, 1.0, 0.0], "dopri5", rtol=1e-9)
    for t, y in zip(back.t.tolist(), back.y, strict=True):
        assert torch.allclose(y, start() * exact(t, 2.0), rtol=1e-6)
    final = solve(scaled(), start(), [0.0, 1.0, 2.0], "rk4", dt=0.1, save="final")
    assert final.t.tolist() == [2.0] and torch.allclose(final.y[0], steps.y[-1], rtol=1e-6)


def test_events_in_any_piece():
    level = Event(lambda t, y: y[0, 0] - 0.8, terminal=False)
    stop = Event(lambda t, y: y[0, 0] - 0.84 if t > 1 else y[0, 0] * 0 - 1)
    sol = solve(scaled(), start(), [0.0, 1.2, 5.0], "dopri5", rtol=1e-9, events=[level, stop])
    assert sol.status == "event" and sol.t_event is not None and 1.33 < float(sol.t_event) < 2.0
    assert exact(float(sol.t_event)) == pytest.approx(0.84, rel=1e-7)
    found = [float(c.t) for c in sol.crossings if c.index == 0]
    assert [exact(t) for t in found] == pytest.approx([0.8] * len(found), rel=1e-7) and len(found) == 2
    assert sol.t.tolist()[:2] == [0.0, 1.2] and float(sol.t[-1]) == float(sol.t_event)


class Kicked(Piecewise):
    """`y' = -y`, and one more at every knot."""

    @property
    def knots(self) -> Knots:
        return Every(0.5)

    def enter(self, k: int, y: Tensor):
        return (lambda t, y: -y), y + k


@pytest.mark.parametrize("method", ["rk4", "ab4", "bdf2"])
def test_jumps_of_the_state(method):
    seen = []

    class Watch:
        times = None

        def before(self, t, y, dt): ...
        def rejected(self, t, y, dt): ...
        def after(self, t, y, dt):
            seen.append((t, float(y[0, 0])))

    sol = solve(Kicked(), start(), [0.0, 0.5, 1.2], method, dt=0.01, callbacks=[Watch()])
    before = start() * math.exp(-0.5)
    assert torch.allclose(sol.y[1], before, rtol=1e-4)  # as the solution comes to the knot
    expected = (((before + 1) * math.exp(-0.5)) + 2) * math.exp(-0.2)
    assert torch.allclose(sol.y[2], expected, rtol=1e-4)
    stamps = [t for t, _ in seen]
    assert stamps == sorted(set(stamps)) and stamps[0] == 0.0 and stamps.count(0.5) == 1 and len(stamps) == 121


def test_callbacks_that_replace_the_state_at_a_knot_are_heard():
    class Halve:
        times = None

        def before(self, t, y, dt): ...
        def rejected(self, t, y, dt): ...
        def after(self, t, y, dt):
            return y / 2 if t == KNOTS[0] else None

    sol = solve(scaled(), start(), 2.0, "rk4", dt=0.01, callbacks=[Halve()])
    assert torch.allclose(sol.y[-1], start() * exact(2.0) / 2, rtol=1e-6)


def test_graphs_of_a_batch_and_their_own_steps():
    batch = torch.tensor([0, 0, 1])
    for own in (False, True):
        sol = solve(scaled(), start(), [0.0, 2.0], "dopri5", rtol=1e-7, space=PerGraph(batch, own_steps=own))
        assert torch.allclose(sol.y[-1], start() * exact(2.0), rtol=1e-5)
        assert (sol.per_graph is not None) == own
        if sol.per_graph is not None:
            alone = solve(scaled(), start()[2:], [0.0, 2.0], "dopri5", rtol=1e-7, save="steps")
            assert (
                torch.allclose(sol.per_graph.times[1], alone.t, rtol=1e-9)
                and int(sol.per_graph.accepted[1]) == alone.stats.accepted
            )


def test_masks_follow_from_the_seed_and_the_piece():
    y0 = torch.ones(200, 5, **DOUBLE)

    def run(seed: int, p: float = 0.25) -> Tensor:
        return solve(
            StateDropout(Scaled(torch.tensor(0.0, **DOUBLE)), 0.5, p, seed), y0, [0.0, 0.5, 0.75, 1.2], "rk4", dt=0.1
        ).y

    a, b, c = run(1), run(1), run(2)
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(a[1], y0) and set(a[2].unique().tolist()) == {0.0, 1 / 0.75}
    assert float((a[2] == 0).double().mean()) == pytest.approx(0.25, abs=0.05)
    assert float((a[3] == 0).double().mean()) == pytest.approx(1 - 0.75**2, abs=0.05)  # another mask at the next knot
    assert torch.equal(run(1, 0.0), torch.stack([y0] * 4))
    rate = torch.tensor(0.3, requires_grad=True, **DOUBLE)
    grads = []
    for gradient in ("backprop", "checkpoint"):
        sol = solve(StateDropout(Scaled(rate), 0.5, 0.25, 3), y0, 1.2, "rk4", dt=0.1, gradient=gradient)
        grads.append(torch.autograd.grad(sol.y[-1].sum(), rate)[0])
    assert torch.allclose(*grads, rtol=1e-12)


def test_knots_and_their_pieces():
    every = Every(0.1)
    assert every.between(0.0, 0.3) == [0.1, 0.2] and every.between(0.05, 0.35) == pytest.approx([0.1, 0.2, 0.3])
    assert [every.index(t) for t in (0.0, 0.3, 0.1 + 0.2, 0.35)] == [0, 3, 3, 3] and every.index(0.3, forward=False) == 2
    assert At((1.0, 2.0)).between(1.0, 3.0) == [2.0] and [At((1.0,)).index(1.0, f) for f in (True, False)] == [1, 0]
    fields = [Scaled(torch.tensor(r, **DOUBLE)) for r in (1.0, 2.0, 3.0)]
    sol = solve(Pieces(fields, Every(0.1)), start(), [0.0, 0.1 + 0.2], "rk4", dt=0.1)
    assert sol.stats.accepted == 3  # 0.30000000000000004 is the end of the third piece and not in a fourth


def test_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"knots = \[1\.0, 0\.5\]; expected finite times that strictly increase"):
        At((1.0, 0.5))
    with pytest.raises(ValueError, match=r"2 knots for 2 fields; expected one between each two"):
        Pieces([Scaled(start()), Scaled(start())], (0.1, 0.2))
    with pytest.raises(ValueError, match=r"there is no piece 1: 1 fields.*end the solve earlier"):
        solve(Pieces([Scaled(torch.tensor(1.0, **DOUBLE))], Every(0.5)), start(), 1.0, "rk4", dt=0.1)
    with pytest.raises(TypeError, match=r"Kicked is one field after another.*enter\(k, y\) gives the field of piece k"):
        Kicked()(torch.tensor(0.0), start())
    with pytest.raises(TypeError, match="takes one tensor as its state, got a tuple"):
        solve(scaled(), (start(), start()), 1.0, "rk4", dt=0.1)
    with pytest.raises(TypeError, match=r"odeint does not land on the knots.*solve\(field, y0, t, method\) does"):
        odeint(scaled(), start(), torch.tensor([0.0, 1.0]))
    with pytest.raises(IntegrationError, match="steps were not enough") as caught:
        solve(scaled(), start(), [0.0, 0.3, 2.0], "rk4", dt=0.05, max_steps=12)
    found = caught.value.solution
    assert found is not None and found.stats.accepted == 12 and found.t.tolist()[:2] == [0.0, 0.3]
    assert KNOTS[0] < float(found.t[-1]) < KNOTS[1]
