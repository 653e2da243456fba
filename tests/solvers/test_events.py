"""Events: location, direction, several at once, and derivatives of where they happen."""

import math

import pytest
import torch

from solvers import Event, solve

F64 = torch.float64


def turn(t, y):
    return torch.stack([y[1], -y[0]])


START = torch.tensor([1.0, 0.0], dtype=F64)  # y = (cos t, -sin t)


def first(t, y):
    return y[0]


@pytest.mark.parametrize("method,dt", [("dopri5", None), ("bosh3", None), ("rk4", 0.01), ("ab4", 0.01), ("midpoint", 0.0005)])
def test_a_crossing_is_found_and_stops_the_solve(method, dt):
    sol = solve(turn, START, [0.0, 1.0, 5.0], method, dt=dt, rtol=None if dt else 1e-9, events=[Event(first)])
    assert sol.status == "event" and sol.ok
    assert float(sol.t_event) == pytest.approx(math.pi / 2, abs=2e-7)
    assert abs(float(sol.y_event[0])) < 1e-12 or dt or method == "bosh3"
    assert sol.t.tolist()[:2] == [0.0, 1.0] and len(sol.t) == 3
    torch.testing.assert_close(sol.y[-1], sol.y_event)


def test_direction():
    assert float(solve(turn, START, 9.0, rtol=1e-9, events=[Event(first, +1)]).t_event) == pytest.approx(
        1.5 * math.pi, abs=1e-7
    )
    assert float(solve(turn, START, 9.0, rtol=1e-9, events=[Event(first, -1)]).t_event) == pytest.approx(
        0.5 * math.pi, abs=1e-7
    )
    back = solve(turn, START, [0.0, -9.0], rtol=1e-9, events=[Event(first, -1)])
    assert float(back.t_event) == pytest.approx(-0.5 * math.pi, abs=1e-7)


def test_the_earliest_of_several():
    events = [Event(lambda t, y: t - 2.0), Event(first), Event(lambda t, y: y[0] - 0.5)]
    sol = solve(turn, START, 9.0, rtol=1e-9, events=events)
    assert float(sol.t_event) == pytest.approx(math.pi / 3, abs=1e-7) and sol.crossings[-1].index == 2
    within_one_step = solve(turn, START, 9.0, "rk4", dt=3.0, events=events)
    assert within_one_step.crossings[-1].index == 2


def test_events_that_do_not_stop():
    sol = solve(turn, START, 10.0, rtol=1e-9, events=[Event(first, terminal=False), Event(lambda t, y: t - 9.0)])
    times = [float(c.t) for c in sol.crossings]
    assert times == pytest.approx([math.pi / 2, 1.5 * math.pi, 2.5 * math.pi, 9.0], abs=1e-7)
    sol = solve(turn, START, 4.0, rtol=1e-9, events=[Event(first, terminal=False)])
    assert sol.status == "ok" and sol.t_event is None and len(sol.crossings) == 1
    assert sol.t.tolist() == [0.0, 4.0]


@pytest.mark.parametrize("nudge", [0.0, 1e-17, -1e-17])
def test_zero_at_the_start_is_no_event(nudge):
    start = torch.tensor([nudge, 1.0], dtype=F64)  # y = (sin t, cos t)
    sol = solve(turn, start, 9.0, rtol=1e-9, events=[Event(first)])
    assert float(sol.t_event) == pytest.approx(math.pi, abs=1e-7)


def test_a_start_at_zero_and_a_crossing_in_one_step():
    def throw(t, y):
        return torch.stack([y[1], torch.full_like(y[1], -2.0)])

    start = torch.tensor([0.0, 1.0], dtype=F64)  # height t - t^2
    sol = solve(throw, start, 5.0, "rk4", dt=1.5, events=[Event(first)])
    assert float(sol.t_event) == pytest.approx(1.0, abs=1e-12)


def test_bouncing_ball():
    def fall(t, y):
        return torch.stack([y[1], torch.full_like(y[1], -9.81)])

    t, y, bounces = 0.0, torch.tensor([1.0, 0.0], dtype=F64), []
    for _ in range(4):
        sol = solve(fall, y, [t, t + 5.0], rtol=1e-9, events=[Event(first, -1)])
        t, y = float(sol.t_event), sol.y_event * torch.tensor([1.0, -0.8], dtype=F64)
        bounces.append(t)
    fall_time = (2 / 9.81) ** 0.5
    exact = [fall_time * (1 + 2 * sum(0.8**j for j in range(1, k + 1))) for k in range(4)]
    assert bounces == pytest.approx(exact, abs=1e-8)


def test_vector_valued_functions_and_saving():
    sol = solve(turn, START, 9.0, rtol=1e-9, events=[Event(lambda t, y: torch.stack([t - 4, y[1] + 0.5]))])
    assert float(sol.t_event) == pytest.approx(math.pi / 6, abs=1e-7) and sol.crossings[-1].entry == 1
    final = solve(turn, START, 9.0, rtol=1e-9, save="final", events=[Event(first)])
    assert final.y.shape == (1, 2)
    dense = solve(turn, START, 9.0, rtol=1e-9, save="dense", events=[Event(first)])
    assert dense(1.0).shape == (2,)
    with pytest.raises(ValueError, match="outside"):
        dense(2.0)


def test_gradients_of_time_and_state():
    def run(y0, omega):
        sol = solve(lambda t, y: omega * turn(t, y), y0, 9.0, rtol=1e-11, events=[Event(lambda t, y: y[0] - 0.1 * omega)])
        return sol.t_event, sol.y_event

    y0 = torch.tensor([1.0, 0.2], dtype=F64, requires_grad=True)
    omega = torch.tensor(1.3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (y0, omega), atol=1e-6)


def test_events_of_structures():
    sol = solve(
        lambda t, s: {"q": s["p"], "p": -s["q"]}, {"q": START[:1], "p": START[1:]}, 9.0, events=[Event(lambda t, s: s["q"])]
    )
    assert float(sol.t_event) == pytest.approx(math.pi / 2, abs=1e-4)
    assert set(sol.y_event) == {"q", "p"} and sol.crossings[0].y["q"].shape == (1,)


def test_misuse():
    with pytest.raises(ValueError, match="direction = 2"):
        Event(first, 2)
    with pytest.raises(TypeError, match="function"):
        Event("y[0]")
    y0 = torch.tensor([0.0], dtype=F64, requires_grad=True)
    with pytest.raises(ValueError, match="tangential"):  # (t - 1)^3: the rate of change is zero where it crosses
        solve(lambda t, y: torch.ones_like(y), y0, 3.0, rtol=1e-6, events=[Event(lambda t, y: (t - 1.0) ** 3 + 0 * y[0])])
