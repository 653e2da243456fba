"""Yoshida's compositions: order, reversibility and long-time energy on Kepler and Henon-Heiles; damping; GraphCON's name."""

import math
from dataclasses import dataclass

import pytest
import torch
from problems import Oscillator, SeparableHamiltonian, errors, slope
from torch import Tensor

from solvers import Problem, SymplecticEuler, Yoshida4, Yoshida6, method_named, solve

F64 = torch.float64
METHODS = pytest.mark.parametrize("method", [Yoshida4(), Yoshida6()], ids=["yoshida4", "yoshida6"])


@dataclass(frozen=True, eq=False)
class Kepler:
    """`q'' = -q / |q|^3`, eccentricity 0.5, period 2 pi. State: `[2, 1, 2]`."""

    damping: float = 0.0

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return -q / (q * q).sum(-1, keepdim=True) ** 1.5

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack((y[1], self.force(t, y[0])))

    def start(self) -> Tensor:
        e = 0.5
        return torch.tensor([[[1 - e, 0.0]], [[0.0, math.sqrt((1 + e) / (1 - e))]]], dtype=F64)

    def energy(self, y: Tensor) -> Tensor:
        q, p = y.unbind(-3)
        return ((p * p).sum(-1) / 2 - 1 / (q * q).sum(-1).sqrt()).squeeze(-1)

    def momentum(self, y: Tensor) -> Tensor:
        q, p = y.unbind(-3)
        return (q[..., 0] * p[..., 1] - q[..., 1] * p[..., 0]).squeeze(-1)


@dataclass(frozen=True, eq=False)
class HenonHeiles:
    """`H = (p^2 + q^2) / 2 + q_1^2 q_2 - q_2^3 / 3`, energy 1/12 (regular orbits). State: `[2, 1, 2]`."""

    damping: float = 0.0

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        a, b = q.unbind(-1)
        return torch.stack((-a - 2 * a * b, -b - a * a + b * b), -1)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack((y[1], self.force(t, y[0])))

    def start(self) -> Tensor:
        return torch.tensor([[[0.0, 0.1]], [[math.sqrt(1 / 6 - 0.01 + 2e-3 / 3 - 0.04), 0.2]]], dtype=F64)

    def energy(self, y: Tensor) -> Tensor:
        q, p = y.unbind(-3)
        a, b = q.unbind(-1)
        return ((p * p + q * q).sum(-1) / 2 + a * a * b - b**3 / 3).squeeze(-1)


def test_weights_satisfy_the_order_conditions():
    """Sum 1; the odd power sums vanish below the order, and with them one commutator (Hairer, Lubich & Wanner, V.3)."""
    for method in (Yoshida4(), Yoshida6()):
        w = method.weights
        assert sum(w) == pytest.approx(1, abs=1e-14) and w == w[::-1]
        for k in range(3, method.order, 2):
            assert sum(x**k for x in w) == pytest.approx(0, abs=1e-13)
    assert float(HenonHeiles().energy(HenonHeiles().start())) == pytest.approx(1 / 12)


@METHODS
@pytest.mark.parametrize("problem, end", [(Kepler(), 2 * math.pi), (HenonHeiles(), 8.0)], ids=["kepler", "henon_heiles"])
def test_order(method, problem, end):
    y0 = problem.start()
    exact = y0 if isinstance(problem, Kepler) else solve(problem, y0, [0.0, end], "dopri8", rtol=1e-13, atol=1e-15).y[-1]
    steps, found = [], []
    per_time = {4: (32, 64, 128, 256), 6: (24, 32, 48, 64)}[method.order]
    for count in per_time:
        count = round(count * end / (2 * math.pi) * (1.0 if isinstance(problem, HenonHeiles) else 5.0))
        steps.append(count)
        found.append(errors(solve(problem, y0, [0.0, end], method, dt=end / count).y[-1], exact))
    assert slope(steps, found) == pytest.approx(method.order, abs=0.2)


@METHODS
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_order_with_forcing_and_damping(method, damping):
    problem, steps, found = SeparableHamiltonian(damping), [16, 32, 64, 128], []
    for count in steps:
        found.append(errors(solve(problem, problem.exact(0.0), [0.0, 2.0], method, dt=2 / count).y[-1], problem.exact(2.0)))
    assert slope(steps, found) == pytest.approx(method.order, abs=0.2)


@METHODS
@pytest.mark.parametrize("problem", [Kepler(), HenonHeiles()], ids=["kepler", "henon_heiles"])
def test_reversibility(method, problem):
    there = solve(problem, problem.start(), [0.0, 6.0], method, dt=0.05)
    back = solve(problem, there.y[-1], [6.0, 0.0], method, dt=0.05)
    assert errors(back.y[-1], problem.start()) < 1e-11


@METHODS
@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_areas(method, damping):
    """M' J M = exp(-damping dt) J for the derivative M of a step."""
    y, dt, problem = torch.linspace(-0.6, 0.7, 6, dtype=F64).reshape(2, 3, 1), 0.2, Problem(SeparableHamiltonian(damping))
    turn = torch.kron(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64), torch.eye(3, dtype=F64))

    def one(flat: Tensor) -> Tensor:
        state = flat.reshape(y.shape)
        return method.step(problem, 0.3, dt, state, method.init(problem, 0.3, state)[0]).y.flatten()

    m = torch.autograd.functional.jacobian(one, y.flatten())
    assert torch.allclose(m.T @ turn @ m, math.exp(-damping * dt) * turn, atol=1e-10)


@METHODS
@pytest.mark.parametrize(
    "problem, dt, bound", [(Kepler(), 0.05, (5e-3, 3e-4)), (HenonHeiles(), 0.15, (1e-4, 1e-6))], ids=["kepler", "henon_heiles"]
)
def test_energy_does_not_drift(method, problem, dt, bound):
    """Over 2,000 steps (16 periods of Kepler) the energy stays in a band; its mean does not move."""
    sol = solve(problem, problem.start(), [0.0, 2000 * dt], method, dt=dt, save="steps")
    energy = problem.energy(sol.y)
    width = float((energy / energy[0] - 1).abs().max())
    assert width < (bound[0] if method.order == 4 else bound[1])
    early, late = energy[: len(energy) // 2], energy[len(energy) // 2 :]
    assert abs(float(early.mean() - late.mean())) < 0.1 * width * abs(float(energy[0]))
    if isinstance(problem, Kepler):
        turning = problem.momentum(sol.y)
        assert torch.allclose(turning, turning[0].expand_as(turning), rtol=1e-12), "central forces: conserved exactly"


@METHODS
def test_damping_alone_is_exact(method):
    class Free:
        damping = 0.9

        def velocity(self, t: Tensor, p: Tensor) -> Tensor:
            return torch.zeros_like(p)

        def force(self, t: Tensor, q: Tensor) -> Tensor:
            return torch.zeros_like(q)

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.stack((0 * y[0], -self.damping * y[1]))

    y0 = torch.ones(2, 3, 1, dtype=F64)
    sol = solve(Free(), y0, [0.0, 10.0], method, dt=2.5)
    assert torch.allclose(sol.y[-1, 1], math.exp(-9.0) * y0[1], rtol=1e-12)


def test_forces_are_reused():
    problem = Oscillator(1.0)
    four, six = (solve(problem, problem.exact(0.0), [0.0, 5.0], n, dt=0.1) for n in ("yoshida4", "yoshida6"))
    assert (four.stats.evaluations, six.stats.evaluations) == (1 + 3 * 50, 1 + 7 * 50)


def test_graphcon_is_a_name_of_symplectic_euler():
    assert method_named("graphcon") == SymplecticEuler() == method_named("GraphCON")
    with pytest.raises(TypeError, match="state"):
        Yoshida4().step(Problem(Oscillator()), 0.0, 0.1, Oscillator().exact(0.0), None)
