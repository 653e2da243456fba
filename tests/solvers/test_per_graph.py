"""Each graph of a batch by its own steps: the steps, states and outputs that it has alone."""

import math
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import pytest
import torch
from torch import Tensor

from solvers import PI, PID, Event, Fixed, IntegrationError, LinearFlow, PerGraph, Solution, SparseOperator, solve

F64 = torch.float64
SIZES = (3, 1, 4)
BATCH = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
RATES = torch.tensor([0.3, 40.0, 4.0], dtype=F64)  # of the three graphs
METHODS = ("heun", "bosh3", "rkf45", "dopri5", "tsit5", "dopri8")
SUMS = 1e-7  # stages are summed in another order: of an error of 1e-9 that is 1e-7, and so of a step size
TIMES = [0.0, 0.4, 0.41, 1.5, 2.0]


@dataclass(frozen=True, eq=False)
class Forced:
    """`y' = r (mean of the neighbours on a ring - y) - y^3 + sin(r t)`: not autonomous, nonlinear, a ring for each graph."""

    rates: Tensor  # [nodes, 1]
    operator: SparseOperator

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rates * (self.operator.matvec(y) - y) - y**3 + torch.sin(self.rates * t)


def ring(n: int) -> Tensor:
    i = torch.arange(n)
    return torch.stack([torch.cat([i, i]), torch.cat([(i + 1) % n, (i - 1) % n])])


def field(graphs: tuple[int, ...] = (0, 1, 2), rates: Tensor = RATES) -> Forced:
    """The block-diagonal field of some of the graphs."""
    starts = torch.tensor([0, *[SIZES[g] for g in graphs]]).cumsum(0)
    edges = torch.cat([ring(SIZES[g]) + s for g, s in zip(graphs, starts, strict=False)], 1)
    operator = SparseOperator.from_edges(edges, torch.full((edges.shape[1],), 0.5, dtype=F64), int(starts[-1]))
    own = torch.cat([rates[g].expand(SIZES[g]) for g in graphs])
    return Forced(own.unsqueeze(1), operator)


def start(channels: int = 2) -> Tensor:
    return torch.randn(sum(SIZES), channels, dtype=F64, generator=torch.Generator().manual_seed(5))


def of(g: int) -> Tensor:
    return BATCH.eq(g)


ALONE = PerGraph(BATCH, own_steps=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_steps_and_outputs_are_those_alone(method, backward):
    span = [-0.04 * s for s in TIMES] if backward else TIMES  # diffusion runs backward for a short while only
    rtol = 1e-3 if method == "heun" else 1e-5
    sol = solve(field(), start(), span, method, rtol=rtol, space=ALONE)
    assert sol.ok and sol.per_graph is not None and sol.per_graph.status == ("ok",) * 3
    for g in range(3):
        own = solve(field((g,)), start()[of(g)], span, method, rtol=rtol)
        assert sol.per_graph.accepted[g] == own.stats.accepted and sol.per_graph.rejected[g] == own.stats.rejected
        torch.testing.assert_close(sol.y[:, of(g)], own.y, rtol=1e-12, atol=1e-12)
        batch = torch.zeros(SIZES[g], dtype=torch.long)
        one = solve(field((g,)), start()[of(g)], span, method, rtol=rtol, space=PerGraph(batch, own_steps=True))
        assert one.per_graph is not None
        torch.testing.assert_close(sol.per_graph.times[g], one.per_graph.times[0], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(sol.y[-1, of(g)], one.y[-1], rtol=1e-13, atol=1e-13)
        if method != "heun":  # which lands on outputs, and none are asked for with save="steps"
            steps = solve(field((g,)), start()[of(g)], span, method, rtol=rtol, save="steps")
            torch.testing.assert_close(sol.per_graph.times[g], steps.t, rtol=SUMS, atol=0)
    assert sol.per_graph.accepted.max() > sol.per_graph.accepted.min() and sol.stats.steps >= sol.per_graph.accepted.max()


@pytest.mark.parametrize("controller", [PI(), PID(0.7, 0.3, 0.1, max_dt=0.2), PID(first_dt=0.5), PID(min_dt=0.02)], ids=repr)
def test_controllers(controller):
    sol = solve(field(), start(), TIMES, "tsit5", controller=controller, space=ALONE, save="final")
    assert sol.per_graph is not None and sol.t.tolist() == [2.0]
    for g in range(3):
        own = solve(field((g,)), start()[of(g)], TIMES, "tsit5", controller=controller, save="steps")
        assert (sol.per_graph.accepted[g], sol.per_graph.rejected[g]) == (own.stats.accepted, own.stats.rejected)
        torch.testing.assert_close(sol.per_graph.times[g], own.t, rtol=SUMS, atol=0)
        torch.testing.assert_close(sol.y[0, of(g)], own.y[-1], rtol=1e-13, atol=1e-13)


def test_a_stiff_graph_leaves_the_others_alone():
    def counts(rate: float, space: PerGraph) -> list[int]:
        sol = solve(field(rates=torch.tensor([0.3, 1.0, rate], dtype=F64)), start(), 1.0, space=space)
        return [sol.stats.accepted] if sol.per_graph is None else sol.per_graph.accepted.tolist()

    mild, stiff = counts(2.0, ALONE), counts(500.0, ALONE)
    assert mild[:2] == stiff[:2] and stiff[2] > 5 * stiff[0]
    together = counts(500.0, PerGraph(BATCH))[0]
    assert together >= stiff[2]  # by common steps all take those of the stiffest


@pytest.mark.parametrize("shape", [(8,), (2, 8, 3)], ids=str)
def test_shapes_and_complex_states(shape):
    y0 = torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    speed = torch.arange(1.0, 4.0, dtype=F64)[BATCH] if len(shape) == 1 else torch.arange(1.0, 4.0, dtype=F64)[BATCH][:, None]
    sol = solve(lambda t, y: 1j * speed * y, y0, 2.0, rtol=1e-8, space=ALONE)
    torch.testing.assert_close(sol.y[-1], torch.exp(2j * speed) * y0, rtol=0, atol=1e-6)
    if len(shape) == 3:
        halve: Any = lambda t, s: (-s[0] * t, -s[1])  # noqa: E731
        pair = solve(halve, (y0.real, y0.imag), 1.0, space=ALONE)
        torch.testing.assert_close(pair.y[0][-1], y0.real * math.exp(-0.5), rtol=0, atol=1e-5)


def test_the_field_gets_the_time_of_every_node():
    seen = []

    def watched(t: Tensor, y: Tensor) -> Tensor:
        seen.append(t)
        return -RATES[BATCH][:, None] * y * t

    solve(watched, start(), 1.0, space=ALONE)
    assert all(t.shape == (8, 1) and t.dtype == F64 for t in seen)
    assert any(len(t.unique()) == 3 for t in seen) and all(len(t[of(g)].unique()) == 1 for t in seen for g in range(3))


def test_float32_takes_about_the_steps_of_float64():
    single = solve(lambda t, y: -RATES.float()[BATCH][:, None] * y, start().float(), 1.0, rtol=1e-3, space=ALONE)
    double = solve(lambda t, y: -RATES[BATCH][:, None] * y, start(), 1.0, rtol=1e-3, space=ALONE)
    assert single.y.dtype == torch.float32 and single.per_graph is not None and double.per_graph is not None
    assert single.per_graph.accepted.tolist() == double.per_graph.accepted.tolist()
    torch.testing.assert_close(single.y.double(), double.y, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["heun", "dopri5"])
def test_gradients(method):
    times = torch.tensor([0.0, 0.13, 0.5], dtype=F64, requires_grad=True)

    def final(y0: Tensor, rates: Tensor, t: Tensor) -> Tensor:
        return solve(field(rates=rates), y0, t, method, controller=PID(first_dt=0.04, max_dt=0.04), rtol=1e-1, space=ALONE).y

    y0, rates = start(1).requires_grad_(), torch.tensor([0.5, 1.0, 2.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y, r: final(y, r, times.detach()), (y0, rates))
    (slope,) = torch.autograd.grad(final(y0, rates, times)[-1].sum(), times)
    ends = final(y0, rates, times.detach())[-1]
    torch.testing.assert_close(slope[-1], field(rates=rates)(times[-1], ends).sum())


def test_gradients_forget_what_was_rejected():
    """The first attempts of one graph leave the domain of the root; nothing of them may reach a parameter that all share."""
    speed = torch.tensor([0.1, 2.0, 0.2], dtype=F64)

    def gradient(y0: Tensor, own: Tensor, space: PerGraph | None) -> tuple[Tensor, Solution]:
        scale = torch.tensor(1.0, dtype=F64, requires_grad=True)
        root = lambda t, y: -scale * own * torch.sqrt(y)  # noqa: E731
        sol = solve(root, y0, 0.25, controller=PID(first_dt=0.25), space=space, save="final")
        return torch.autograd.grad(sol.y.sum(), scale)[0], sol

    y0 = torch.where(of(1), 0.08, 1.0)[:, None].to(F64)
    got, sol = gradient(y0, speed[BATCH][:, None], ALONE)
    assert sol.per_graph is not None and sol.per_graph.rejected[1] > 0
    torch.testing.assert_close(got, sum(gradient(y0[of(g)], speed[g], None)[0] for g in range(3)), rtol=1e-9, atol=1e-12)


def test_failure_of_one_graph():
    y0 = torch.ones(8, 1, dtype=F64)
    growth = torch.where(BATCH == 2, 1.0, 0.0)[:, None].to(F64)
    with pytest.raises(IntegrationError, match=r"1 of 3 graphs.*graph 2 at t = 1 ") as caught:
        solve(lambda t, y: growth * y**2 - (1 - growth) * y, y0, [0.0, 0.5, 2.0], space=ALONE)  # graph 2: y = 1 / (1 - t)
    sol = caught.value.solution
    assert sol is not None and sol.per_graph is not None and not sol.ok and caught.value.status == sol.status
    assert sol.per_graph.status[:2] == ("ok", "ok") and sol.per_graph.status[2] in ("dt_min", "nonfinite")
    assert sol.y[-1, of(2)].isnan().all() and sol.t.tolist() == [0.0, 0.5, 2.0]
    torch.testing.assert_close(sol.y[1, of(2)], torch.full((4, 1), 2.0, dtype=F64), rtol=1e-4, atol=0)
    torch.testing.assert_close(sol.y[-1, ~of(2)], y0[~of(2)] * math.exp(-2), rtol=1e-5, atol=0)


def test_a_nan_in_one_graph():
    broken = torch.where(BATCH == 0, torch.nan, 1.0)[:, None].to(F64)
    field = lambda t, y: torch.where(t > 0.3, broken * -y, -y)  # noqa: E731
    with pytest.raises(IntegrationError, match=r"graph 0 at t = 0\.(29|3)") as caught:
        solve(field, start(), [0.0, 0.1, 1.0], space=ALONE)
    sol = caught.value.solution
    assert sol is not None and sol.per_graph is not None and sol.per_graph.status == ("nonfinite", "ok", "ok")
    assert sol.per_graph.times[0][-1] <= 0.3 and torch.isfinite(sol.y[1]).all()
    torch.testing.assert_close(sol.y[-1, ~of(0)], start()[~of(0)] * math.exp(-1), rtol=1e-5, atol=1e-8)
    with pytest.raises(IntegrationError, match="3 of 3 graphs") as caught:
        solve(lambda t, y: y * torch.nan, start(), 1.0, space=ALONE, save="final")
    assert caught.value.solution is not None and caught.value.solution.y.shape == (1, 8, 2)


def test_each_graph_has_its_own_allowance_of_steps():
    with pytest.raises(IntegrationError, match="allowed number of steps") as caught:
        solve(field(), start(), 2.0, max_steps=40, space=ALONE)
    assert caught.value.status == "max_steps" and caught.value.solution is not None
    per = caught.value.solution.per_graph
    assert per is not None and per.status == ("ok", "max_steps", "ok") and per.accepted[1] + per.rejected[1] == 40


@dataclass(frozen=True)
class Watch:
    """Collects the states that it is shown."""

    times: list[float] | None
    seen: list = dataclass_field(default_factory=list)

    def before(self, t, y, dt):
        return None

    rejected = before

    def after(self, t, y, dt):
        self.seen.append((t, y))


@pytest.mark.parametrize("save", ["times", "final"])
@pytest.mark.parametrize("method", ["heun", "tsit5"])
def test_callbacks_at_times(method, save):
    watch, alone = Watch([0.0, 0.7, 2.0]), Watch([0.0, 0.7, 2.0])
    sol = solve(field(), start(), TIMES, method, rtol=1e-4, space=ALONE, callbacks=[watch], save=save)
    assert [t for t, _ in watch.seen] == [0.0, 0.7, 2.0] and torch.equal(watch.seen[-1][1], sol.y[-1])
    assert sol.t.tolist() == (TIMES if save == "times" else [2.0]) and torch.isfinite(sol.y).all()
    solve(field((2,)), start()[of(2)], TIMES, method, rtol=1e-4, callbacks=[alone], save=save)
    torch.testing.assert_close(watch.seen[1][1][of(2)], alone.seen[1][1], rtol=0, atol=1e-12)


REFUSED = {
    "fixed steps": ({"dt": 0.1}, ValueError, "dt=0.1 is the same for all"),
    "fixed controller": ({"controller": Fixed(0.1)}, TypeError, "takes a PID controller"),
    "no estimate": ({"method": "rk4"}, TypeError, "explicit Runge-Kutta method with an error estimate.*RK4"),
    "implicit": ({"method": "trbdf2"}, TypeError, "TRBDF2 is not one"),
    "multistep": ({"method": "bdf"}, TypeError, "explicit Runge-Kutta"),
    "back end": ({"method": "scipy:RK45"}, TypeError, "explicit Runge-Kutta"),
    "adjoint": ({"gradient": "adjoint"}, ValueError, "backprop"),
    "checkpoint": ({"gradient": "checkpoint"}, ValueError, "backprop"),
    "steps": ({"save": "steps"}, ValueError, "no steps in common"),
    "dense": ({"save": "dense"}, ValueError, "no steps in common"),
    "events": ({"events": [Event(lambda t, y: y[0, 0])]}, ValueError, "events"),
    "step callback": ({"callbacks": [Watch(None)]}, ValueError, "give the callbacks times"),
    "progress": ({"progress": True}, ValueError, "progress=True"),
}


@pytest.mark.parametrize("options, error, match", REFUSED.values(), ids=REFUSED)
def test_refusals(options, error, match):
    operator = SparseOperator.from_edges(ring(8), torch.full((16,), 0.5, dtype=F64), 8)
    with pytest.raises(error, match=match):
        solve(LinearFlow(operator), start(), 1.0, **options, space=ALONE)


def test_without_the_option_steps_are_common():
    sol = solve(field(), start(), 2.0, space=PerGraph(BATCH))
    assert sol.per_graph is None
    with pytest.raises(ValueError, match=r"returned \(8, 1\)"):
        solve(lambda t, y: y[:, :1], start(), 1.0, space=ALONE)
