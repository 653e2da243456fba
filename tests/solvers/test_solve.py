"""The front door: times, states, saving, dense output, callbacks, statistics, structures."""

import inspect
import math

import pytest
import torch

from solvers import PID, Fixed, IntegrationError, PerGraph, SolveOptions, available, odeint, solve

F64 = torch.float64
START = torch.tensor([1.0, 0.0], dtype=F64)


def turn(t, y):
    return torch.stack([y[1], -y[0]])


def exact(t):
    t = torch.as_tensor(t, dtype=F64)
    return torch.stack([torch.cos(t), -torch.sin(t)], -1)


class Watcher:
    def __init__(self, times=None, change_at=None):
        self.times, self.change_at, self.calls = times, change_at, []

    def before(self, t, y, dt):
        self.calls.append(("before", t, y.clone(), dt))

    def after(self, t, y, dt):
        self.calls.append(("after", t, y.clone(), dt))
        if self.change_at is not None and t >= self.change_at:
            self.change_at = None
            return -y

    def rejected(self, t, y, dt):
        self.calls.append(("rejected", t, y.clone(), dt))


def test_options_are_the_keywords_of_solve():
    parameters = inspect.signature(solve).parameters.values()
    assert set(SolveOptions.__annotations__) == {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("t", [[0.0, 0.5, 2.0], torch.tensor([0.0, 0.5, 2.0]), (0, 0.5, 2)])
def test_times_as_list_tensor_tuple(t):
    sol = solve(turn, START, t, rtol=1e-9)
    assert sol.t.dtype == F64 and sol.t.tolist() == [0.0, 0.5, 2.0]
    torch.testing.assert_close(sol.y, exact(sol.t), rtol=0, atol=1e-8)


@pytest.mark.parametrize("t", [2.0, 2, torch.tensor(2.0)])
def test_a_number_is_the_end(t):
    assert solve(turn, START, t).t.tolist() == [0.0, 2.0]


def test_negative_and_descending_times():
    torch.testing.assert_close(solve(turn, START, -2.0, rtol=1e-9).y[-1], exact(-2.0), rtol=0, atol=1e-8)
    for method, dt in (("dopri5", None), ("rk4", 0.01), ("ab4", 0.01)):
        sol = solve(turn, exact(1.0), [1.0, 0.3, -2.0], method, dt=dt, rtol=1e-9)
        torch.testing.assert_close(sol.y, exact(sol.t), rtol=0, atol=1e-7)


def test_save_modes():
    full = solve(turn, START, [0.0, 1.0, 2.0], rtol=1e-8)
    final = solve(turn, START, [0.0, 1.0, 2.0], rtol=1e-8, save="final")
    assert final.t.tolist() == [2.0] and torch.equal(final.y[0], full.y[-1])
    steps = solve(turn, START, [0.0, 1.0, 2.0], rtol=1e-8, save="steps")
    assert len(steps.t) == steps.stats.accepted + 1 and steps.t[0] == 0.0 and steps.t[-1] == 2.0
    assert bool((steps.t.diff() > 0).all())
    dense = solve(turn, START, [0.0, 1.0, 2.0], rtol=1e-8, save="dense")
    assert torch.equal(dense.y, full.y)


@pytest.mark.parametrize(
    "method,dt,error",
    [
        ("dopri5", None, 1e-7),
        ("tsit5", None, 1e-7),
        ("bosh3", None, 1e-6),
        ("rk4", 0.05, 1e-6),
        ("ab4", 0.02, 1e-5),
        ("euler", 0.001, 2e-3),
    ],
)
def test_dense_output(method, dt, error):
    sol = solve(turn, START, 2.0, method, dt=dt, rtol=1e-8, save="dense")
    t = torch.linspace(0, 2, 41, dtype=F64)
    torch.testing.assert_close(sol(t), exact(t), rtol=0, atol=error)
    torch.testing.assert_close(sol(1.234), exact(1.234), rtol=0, atol=error)
    back = solve(turn, START, -2.0, method, dt=dt, rtol=1e-8, save="dense")
    torch.testing.assert_close(back(-t), exact(-t), rtol=0, atol=error)
    with pytest.raises(ValueError, match="outside"):
        sol(2.5)
    with pytest.raises(ValueError, match="dense"):
        solve(turn, START, 2.0)(1.0)


def test_dense_output_is_differentiable():
    y0 = START.clone().requires_grad_()
    sol = solve(turn, y0, 2.0, rtol=1e-9, save="dense")
    exact_gradient = torch.tensor([math.cos(1.3), math.sin(1.3)], dtype=F64)
    torch.testing.assert_close(torch.autograd.grad(sol(1.3)[0], y0)[0], exact_gradient, rtol=0, atol=1e-7)


def test_statistics_count_what_happened():
    count = [0]

    def counted(t, y):
        count[0] += 1
        return turn(t, y)

    for method, dt in (("dopri5", None), ("bosh3", None), ("rk4", 0.1), ("ab3", 0.1)):
        count[0] = 0
        stats = solve(counted, START, 3.0, method, dt=dt, rtol=1e-5).stats
        assert stats.evaluations == count[0]
        assert stats.steps == stats.accepted + stats.rejected
        assert dt is None or stats.accepted == 30
    sol = solve(turn, START, 3.0)
    assert sol.method == "Dopri5" and "Dopri5" in sol.message and sol.ok


def test_callbacks_in_order():
    def kick(t, y):
        return torch.where(t > 1.0, 50.0, 1.0) * turn(t, y)

    watcher = Watcher()
    sol = solve(kick, START, 2.0, rtol=1e-6, callbacks=[watcher])
    kinds = [c[0] for c in watcher.calls]
    assert kinds[0] == "after" and watcher.calls[0][1] == 0.0 and watcher.calls[0][3] == 0.0
    assert kinds.count("before") == kinds.count("after") - 1 == sol.stats.accepted
    assert kinds.count("rejected") == sol.stats.rejected > 0
    for previous, current in zip(watcher.calls, watcher.calls[1:], strict=False):
        if previous[0] == "before":
            assert current[0] == "after" and current[1] == pytest.approx(previous[1] + previous[3])
    torch.testing.assert_close(watcher.calls[-1][2], sol.y[-1])


@pytest.mark.parametrize("method,dt", [("dopri5", None), ("rk4", 0.05)])
def test_callback_times_by_dense_output(method, dt):
    watcher = Watcher(times=[0.0, 0.33, 0.77, 9.0])
    plain = solve(turn, START, 1.0, method, dt=dt, rtol=1e-9)
    sol = solve(turn, START, 1.0, method, dt=dt, rtol=1e-9, callbacks=[watcher])
    seen = [(t, y) for kind, t, y, _ in watcher.calls if kind == "after"]
    assert [t for t, _ in seen] == [0.0, 0.33, 0.77]
    for t, y in seen:
        torch.testing.assert_close(y, exact(t), rtol=0, atol=1e-6)
    if dt is None:
        assert sol.stats == plain.stats and torch.equal(sol.y, plain.y)


@pytest.mark.parametrize("method,dt", [("dopri5", None), ("rk4", 0.05), ("ab4", 0.01)])
def test_a_replaced_state_starts_the_method_anew(method, dt):
    watcher = Watcher(change_at=1.0)
    sol = solve(turn, START, 2.0, method, dt=dt, rtol=1e-9, callbacks=[watcher], save="steps")
    torch.testing.assert_close(sol.y[-1], -exact(2.0), rtol=0, atol=1e-6)


def test_progress_writes_to_stderr(capsys):
    solve(turn, START, 2.0, progress=True)
    err = capsys.readouterr().err
    assert "t = 2 of 2" in err and "100%" in err and len(err.splitlines()) <= 13
    solve(turn, START, 2.0)
    assert capsys.readouterr().err == ""


def test_partial_solution_of_a_failure():
    def explode(t, y):
        return y * y

    with pytest.raises(IntegrationError) as caught:
        solve(explode, torch.ones(1, dtype=F64), [0.0, 0.5, 2.0])
    partial = caught.value.solution
    assert partial is not None and not partial.ok and partial.t[1] == 0.5
    torch.testing.assert_close(partial.y[1], torch.tensor([2.0], dtype=F64), rtol=1e-5, atol=0)
    assert caught.value.status == partial.status
    with pytest.raises(IntegrationError) as caught:
        solve(lambda t, s: {"y": s["y"] ** 2}, {"y": torch.ones(1, dtype=F64)}, [0.0, 0.5, 2.0])
    assert set(caught.value.solution.y) == {"y"}


def test_structures():
    state = {"q": START[:1], "p": START[1:]}
    seen = []

    class Keys(Watcher):
        def after(self, t, y, dt):
            seen.append(sorted(y))
            return {"q": y["q"], "p": y["p"]} if t == 0 else None

        def before(self, t, y, dt):
            seen.append(sorted(y))

        rejected = before

    field = lambda t, s: {"p": -s["q"], "q": s["p"]}  # noqa: E731
    sol = solve(field, state, [0.0, 1.0, 2.0], rtol=1e-9, save="dense", callbacks=[Keys()])
    assert seen and all(keys == ["p", "q"] for keys in seen)
    torch.testing.assert_close(sol.y["q"][:, 0], exact(sol.t)[:, 0], rtol=0, atol=1e-7)
    torch.testing.assert_close(sol(0.5)["p"], exact(0.5)[1:], rtol=0, atol=1e-7)
    assert sol(torch.tensor([0.5, 0.6]))["p"].shape == (2, 1)
    pair = solve(lambda t, s: (s[1], -s[0]), (START[:1], START[1:]), 2.0)
    assert isinstance(pair.y, tuple) and pair.y[0].shape == (2, 1)
    nested = solve(lambda t, s: [(s[0][1], -s[0][0])], [(START[0], START[1])], 2.0)
    assert nested.y[0][0].shape == (2,)


def test_structures_keep_nodes_apart_for_a_space():
    space = PerGraph(torch.tensor([0, 0, 1]))
    state = (torch.ones(3, 2, dtype=F64), torch.ones(3, 1, dtype=F64))
    sol = solve(lambda t, s: (-s[0] * s[1], -s[1]), state, 1.0, space=space)
    assert sol.y[0].shape == (2, 3, 2)
    with pytest.raises(ValueError, match=r"nodes, channels"):
        solve(lambda t, s: (-s[0], -s[1]), (state[0], torch.ones(3, dtype=F64)), 1.0, space=space)


def test_structures_that_cannot_be():
    with pytest.raises(ValueError, match="one dtype"):
        solve(lambda t, s: s, (START, START.float()), 1.0)
    with pytest.raises(TypeError, match="found a int"):
        solve(lambda t, s: s, (START, 3), 1.0)
    with pytest.raises(ValueError, match="no entries"):
        solve(lambda t, s: s, (), 1.0)
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        solve(lambda t, s: (s[0].unsqueeze(0),), (START,), 1.0)
    with pytest.raises(ValueError, match="is 3 entries; expected 2 entries"):
        solve(lambda t, s: (*s, s[0]), (START, START), 1.0)


def test_gradients_in_time_with_every_save_mode():
    y0 = START.clone()
    for save in ("times", "final", "dense"):
        t = torch.tensor([0.0, 1.0, 2.0], dtype=F64, requires_grad=True)
        sol = solve(turn, y0, t, rtol=1e-10, save=save)
        grad = torch.autograd.grad(sol.y[-1, 0], t)[0]
        slope = -torch.sin(torch.tensor(2.0, dtype=F64))
        torch.testing.assert_close(grad, torch.stack([-slope, 0 * slope, slope]), rtol=0, atol=1e-8)
    end = torch.tensor(2.0, dtype=F64, requires_grad=True)
    grad = torch.autograd.grad(solve(turn, y0, end, rtol=1e-10).y[-1, 0], end)[0]
    torch.testing.assert_close(grad, -torch.sin(end.detach()), rtol=0, atol=1e-8)


def test_controllers_and_fixed_steps():
    sol = solve(turn, START, 1.0, controller=Fixed(0.1))
    assert sol.stats.accepted == 10
    assert torch.equal(sol.y, solve(turn, START, 1.0, dt=0.1).y)
    short = solve(turn, START, 1.0, controller=PID(max_dt=0.01), save="steps")
    assert float(short.t.diff().max()) <= 0.01 + 1e-12
    forced = solve(turn, START, 1.0, rtol=1e-12, controller=PID(min_dt=0.25, first_dt=0.25))
    assert forced.stats.rejected == 0 and forced.stats.accepted <= 5


def test_complex_and_float32_states():
    z = solve(lambda t, y: 1j * y, torch.ones(2, dtype=torch.complex128), 1.0, rtol=1e-9).y[-1]
    torch.testing.assert_close(z, torch.exp(1j * torch.ones(2, dtype=F64)), rtol=0, atol=1e-8)
    y = solve(turn, START.float(), 1.0).y[-1]
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), exact(1.0), rtol=0, atol=1e-3)


def test_auto_says_why():
    sol = solve(turn, START, 1.0, "auto")
    assert sol.method == "Dopri5" and "chosen because" in sol.message


def test_solve_and_odeint_agree():
    torch.testing.assert_close(
        solve(turn, START, [0.0, 1.0], rtol=1e-10, atol=1e-12).y,
        odeint(turn, START, torch.tensor([0.0, 1.0]), rtol=1e-10, atol=1e-12),
        rtol=0,
        atol=1e-9,
    )
    assert {"dopri5", "rk4", "rk438", "heun3", "fehlberg2", "ab4"} <= set(available())


def test_times_that_differ_by_rounding_are_one_stop():
    """Outputs from linspace and a callback's own multiples of 0.1 are the same times but for the last bits."""

    class Watch:
        times = tuple(0.1 * i for i in range(31))

        def __init__(self):
            self.seen = []

        def before(self, t, y, dt):
            return None

        def rejected(self, t, y, dt):
            return None

        def after(self, t, y, dt):
            self.seen.append(t)

    outputs = torch.linspace(0, 3, 31, dtype=torch.float64)
    assert any(a != b for a, b in zip(outputs.tolist(), Watch.times, strict=True))
    watch = Watch()
    sol = solve(lambda t, y: -y, torch.ones(2, dtype=torch.float64), outputs, "rk4", dt=0.1, callbacks=[watch])
    assert sol.stats.steps == 30 and len(watch.seen) == 31
