"""The methods of scipy and torchdiffeq as methods of `solve`: results, counts, callbacks, gradients, refusals."""

import math
from dataclasses import dataclass, field

import pytest
import torch
import torchdiffeq
from problems import Nonlinear, errors
from torch import Tensor

from solvers import (
    PID,
    Dense,
    Event,
    IntegrationError,
    LinearFlow,
    PerGraph,
    TorchdiffeqMethod,
    UnknownName,
    available,
    compare,
    method_named,
    solve,
)

SCIPY, TORCHDIFFEQ = available("scipy"), available("torchdiffeq")
ADAPTIVE = ["dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun"]
FIXED = [n for n in TORCHDIFFEQ if n.partition(":")[2] not in ADAPTIVE]
DEFECTIVE = "torchdiffeq:explicit_adams"  # its order 12 is unstable in torchdiffeq 0.2.5, at any of these steps
PROBLEM = Nonlinear()


def step_of(name: str) -> float | None:
    return 0.005 if name in FIXED else None


@pytest.mark.parametrize("span", [[0.0, 0.3, 1.0], [1.0, 0.3, 0.0]], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", [n for n in (*SCIPY, *TORCHDIFFEQ) if n != DEFECTIVE])
def test_solution(name, span):
    calls = [0]

    def f(t: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        return PROBLEM(t, y)

    y0 = PROBLEM.exact(span[0])
    sol = solve(f, y0, span, name, dt=step_of(name), rtol=1e-5)
    assert sol.t.tolist() == span and sol.ok and sol.method == name and name in sol.message
    bound = (0.05 if name.endswith(":euler") else 1e-3) * (3 if span[0] else 1)  # backwards, errors grow
    assert max(errors(y, PROBLEM.exact(t)) for t, y in zip(span, sol.y, strict=True)) < bound
    assert sol.stats.evaluations == calls[0]
    assert sol.stats.steps == sol.stats.accepted + sol.stats.rejected > 0
    last = solve(f, y0, span, name, dt=step_of(name), rtol=1e-5, save="final")
    assert last.t.tolist() == span[-1:] and torch.equal(last.y[-1], sol.y[-1])


@pytest.mark.parametrize("name", ["scipy:RK45", "scipy:BDF", "torchdiffeq:dopri5"])
def test_states_of_other_kinds(name):
    y0 = PROBLEM.exact(0.0, torch.float32)
    low = solve(PROBLEM, y0, 1.0, name)
    assert low.y.dtype == torch.float32 and errors(low.y[-1].double(), PROBLEM.exact(1.0)) < 1e-2
    turning = solve(lambda t, y: 1j * y, torch.ones(2, 1, dtype=torch.complex128), 2.0, name)
    assert torch.allclose(turning.y[-1], torch.full((2, 1), 2j, dtype=torch.complex128).exp(), atol=1e-4)
    pair = solve(lambda t, y: (y[1], -y[0]), (torch.zeros(2).double(), torch.ones(2).double()), 1.0, name)
    assert torch.allclose(pair.y[0][-1], torch.full((2,), 1.0).double().sin(), atol=1e-4)


@dataclass
class Watcher:
    """Keeps what it is shown."""

    times: list[float] | None
    seen: list[tuple[float, Tensor]] = field(default_factory=list)

    def before(self, t: float, y: Tensor, dt: float) -> None: ...

    def after(self, t: float, y: Tensor, dt: float) -> None:
        self.seen.append((t, y))

    def rejected(self, t: float, y: Tensor, dt: float) -> None: ...


@pytest.mark.parametrize("name", ["scipy:LSODA", "torchdiffeq:dopri5", "torchdiffeq:rk4"])
def test_callbacks_at_their_times(name):
    watcher = Watcher([0.0, 0.25, 0.5, 1.0])
    sol = solve(PROBLEM, PROBLEM.exact(0.0), [0.0, 0.7, 1.0], name, dt=step_of(name), callbacks=[watcher])
    assert [t for t, _ in watcher.seen] == watcher.times and sol.t.tolist() == [0.0, 0.7, 1.0]
    assert all(errors(y, PROBLEM.exact(t)) < 1e-3 for t, y in watcher.seen)


def test_gradient_of_torchdiffeq():
    torch.manual_seed(0)
    inputs = [torch.randn(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]

    def run(y0: Tensor, weight: Tensor) -> Tensor:
        held = LinearFlow(Dense(weight))
        return solve(held, y0, [0.0, 0.5, 1.0], "torchdiffeq:rk4", dt=0.1).y

    assert torch.autograd.gradcheck(run, inputs)


def test_scipy_has_no_gradient():
    y0, weight = torch.ones(2, 1, dtype=torch.float64), torch.eye(2, dtype=torch.float64, requires_grad=True)
    for f, start in ((lambda t, y: weight @ y, y0), (lambda t, y: -y, y0.clone().requires_grad_())):
        with pytest.raises(ValueError, match=r"no gradient.*torch\.no_grad"):
            solve(f, start, 1.0, "scipy:Radau")
        with torch.no_grad():
            assert not solve(f, start, 1.0, "scipy:Radau").y.requires_grad


@pytest.mark.parametrize("name", ["scipy:Radau", "scipy:BDF"])
def test_the_jacobian_of_a_linear_field_is_handed_over(name):
    matrix = torch.tensor([[-100.0, 1.0, 0.0], [0.0, -1.0, 2.0], [0.0, 0.0, -1e4]], dtype=torch.float64)
    y0 = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=torch.float64)
    known = solve(LinearFlow(Dense(matrix)), y0, 1.0, name, rtol=1e-7)
    guessed = solve(lambda t, y: matrix @ y, y0, 1.0, name, rtol=1e-7)
    assert torch.allclose(known.y[-1], torch.linalg.matrix_exp(matrix) @ y0, rtol=1e-5, atol=1e-9)
    assert known.stats.evaluations < guessed.stats.evaluations


def test_comparison():
    found = compare(PROBLEM, PROBLEM.exact(0.0), 1.0, ["dopri5", "scipy:DOP853", "torchdiffeq:dopri5"])
    assert [r.method for r in found.rows] == ["dopri5", "scipy:DOP853", "torchdiffeq:dopri5"]
    assert all(r.status == "ok" and r.error < 1e-4 and r.evaluations > 0 for r in found.rows)


@pytest.mark.parametrize("name", ["scipy:RK45", "scipy:Radau", "scipy:LSODA", "torchdiffeq:dopri5"])
def test_failures(name):
    y0 = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(IntegrationError, match="steps were not enough") as caught:
        solve(lambda t, y: torch.cos(40 * t) * y, y0, [0.0, 1e-3, 50.0], name, max_steps=40)
    assert caught.value.status == "max_steps" and caught.value.solution is not None
    assert caught.value.solution.stats.steps == 40
    assert len(caught.value.solution.t) == (2 if name.startswith("scipy") else 1)


@pytest.mark.parametrize("name", ["scipy:RK45", "torchdiffeq:dopri5", "torchdiffeq:euler"])
def test_a_field_that_is_not_finite_is_named(name):
    with pytest.raises(IntegrationError, match="not finite") as caught:
        solve(lambda t, y: y * float("nan"), torch.ones(2, 1), 1.0, name, dt=0.1 if name in FIXED else None)
    assert caught.value.status == "nonfinite"


REFUSED = {
    "every step": ({"callbacks": [Watcher(None)]}, "every=", ValueError),
    "steps": ({"save": "steps"}, "save=", ValueError),
    "dense": ({"save": "dense"}, "save=", ValueError),
    "events": ({"events": [Event(lambda t, y: t - 0.5)]}, "events", ValueError),
    "controller": ({"controller": PID()}, "controller=", ValueError),
    "space": ({"space": PerGraph(torch.tensor([0, 0, 1]))}, "PerGraph", ValueError),
    "dt": ({"dt": 0.1}, "leave dt= out", ValueError),
    "adjoint": ({"gradient": "adjoint"}, "backprop", ValueError),
}


@pytest.mark.parametrize("name", ["scipy:DOP853", "torchdiffeq:dopri5"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_needs_steps_is_refused(name, case):
    options, match, kind = REFUSED[case]
    with pytest.raises(kind, match=match):
        solve(PROBLEM, PROBLEM.exact(0.0), 1.0, name, **options)


@pytest.mark.parametrize("solver, options", [("explicit_adams", {"max_order": 5}), ("implicit_adams", {"max_iters": 40})])
def test_options_of_adams_methods_are_handed_over(solver, options):
    y0, times = PROBLEM.exact(0.0), torch.tensor([0.0, 1.0], dtype=torch.float64)
    theirs = torchdiffeq.odeint(
        PROBLEM, y0, times, method=solver, rtol=1e-6, atol=1e-8, options={"step_size": 0.05, "interp": "cubic", **options}
    )
    sol = solve(PROBLEM, y0, 1.0, TorchdiffeqMethod(solver, **options), dt=0.05, rtol=1e-6, atol=1e-8)
    assert torch.equal(sol.y[-1], theirs[-1]) and sol.method == f"torchdiffeq:{solver}"
    if solver == "explicit_adams":
        found = [
            errors(solve(PROBLEM, y0, 1.0, TorchdiffeqMethod(solver, **options), dt=dt).y[-1], PROBLEM.exact(1.0))
            for dt in (0.02, 0.01)
        ]
        assert 3.5 < math.log2(found[0] / found[1]) < 5.0  # the order that was asked for, where the default one is higher


def test_options_of_adams_methods_are_refused_elsewhere():
    with pytest.raises(ValueError, match="torchdiffeq:rk4 with max_order = 5; expected 4 to 12"):
        TorchdiffeqMethod("rk4", max_order=5)
    with pytest.raises(ValueError, match="max_order = 13; expected 4 to 12"):
        TorchdiffeqMethod("explicit_adams", max_order=13)
    with pytest.raises(ValueError, match="max_iters = 9; expected at least 1, with implicit_adams"):
        TorchdiffeqMethod("explicit_adams", max_iters=9)
    TorchdiffeqMethod("implicit_adams", max_order=12, max_iters=9)


def test_names():
    assert len(SCIPY) == 6 and len(TORCHDIFFEQ) == 12 and not any(":" in name for name in available())
    assert method_named("scipy:radau").name == method_named("scipy:Radau").name == "scipy:Radau"
    with pytest.raises(UnknownName, match="'scipy:Radau'"):
        method_named("scipy:radua")
    with pytest.raises(UnknownName, match="'torchdiffeq:dopri5'"):
        method_named("torchdiffeq:dopri4")
    with pytest.raises(ValueError, match="give dt="):
        solve(PROBLEM, PROBLEM.exact(0.0), 1.0, "torchdiffeq:rk4")
    with pytest.raises(TypeError, match="whole solve"):
        method_named("scipy:BDF").step(None, 0.0, 0.1, torch.ones(1), None)  # type: ignore[arg-type]
