"""Leapfrog and symplectic Euler: exact oscillators, reversibility, invariants, damping, GraphCON's recursion, gradients."""

import math

import numpy as np
import pytest
import torch
from problems import Chain, Nonlinear, Oscillator, SeparableHamiltonian, dense_laplacian, errors, mode, slope

from solvers import Leapfrog, Problem, SymplecticEuler, solve

F64 = torch.float64
BOTH = pytest.mark.parametrize("name, order", [("leapfrog", 2), ("symplectic_euler", 1)])


@BOTH
@pytest.mark.parametrize("damping", [0.0, 0.8])
def test_oscillator(name, order, damping):
    problem, steps, sizes = Oscillator(1.7, damping), [100, 200, 400, 800], []
    for count in steps:
        sol = solve(problem, problem.exact(0.0), [0.0, 6.0], name, dt=6 / count)
        sizes.append(errors(sol.y[-1], problem.exact(6.0)))
    assert slope(steps, sizes) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_order_on_a_nonlinear_problem_with_forcing(damping):
    problem, steps, sizes = SeparableHamiltonian(damping), [50, 100, 200, 400], []
    for count in steps:
        sol = solve(problem, problem.exact(0.0), [0.0, 3.0], "leapfrog", dt=3 / count, save="steps")
        sizes.append(max(errors(y, problem.exact(t)) for t, y in zip(sol.t.tolist(), sol.y, strict=True)))
    assert slope(steps, sizes) == pytest.approx(2, abs=0.05)


def test_leapfrog_is_reversible():
    problem = SeparableHamiltonian()
    there = solve(problem, problem.exact(0.0), [0.0, 5.0], "leapfrog", dt=0.05)
    back = solve(problem, there.y[-1], [5.0, 0.0], "leapfrog", dt=0.05)
    assert errors(back.y[-1], problem.exact(0.0)) < 1e-12


def test_leapfrog_is_reversible_with_damping():
    problem = Oscillator(1.3, 0.4)
    there = solve(problem, problem.exact(0.0), [0.0, 5.0], "leapfrog", dt=0.05)
    back = solve(problem, there.y[-1], [5.0, 0.0], "leapfrog", dt=0.05)
    assert errors(back.y[-1], problem.exact(0.0)) < 1e-12


def jacobian(method, problem, y: torch.Tensor, dt: float) -> torch.Tensor:
    def one(flat: torch.Tensor) -> torch.Tensor:
        state = flat.reshape(y.shape)
        return method.step(Problem(problem), 0.3, dt, state, method.init(Problem(problem), 0.3, state)[0]).y.flatten()

    return torch.autograd.functional.jacobian(one, y.flatten())


@pytest.mark.parametrize("method", [Leapfrog(), SymplecticEuler()], ids=["leapfrog", "symplectic_euler"])
def test_steps_are_symplectic(method):
    """M' J M = J for the derivative M of a step; with damping leapfrog shrinks J by exp(-damping dt)."""
    dt, y = 0.2, torch.randn(2, 3, 1, dtype=F64)
    turn = torch.kron(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64), torch.eye(3, dtype=F64))
    m = jacobian(method, SeparableHamiltonian(), y, dt)
    assert torch.allclose(m.T @ turn @ m, turn, atol=1e-12)
    if isinstance(method, Leapfrog):
        m = jacobian(method, SeparableHamiltonian(0.7), y, dt)
        assert torch.allclose(m.T @ turn @ m, math.exp(-0.7 * dt) * turn, atol=1e-12)


@BOTH
def test_energy_does_not_drift(name, order):
    problem = Oscillator(1.0)
    sol = solve(problem, problem.exact(0.0), [0.0, 1000.0], name, dt=0.1, save="steps")
    energy = problem.energy(sol.y)
    bound = 0.1 if order == 1 else 0.01
    assert float((energy / energy[0] - 1).abs().max()) < bound
    early, late = energy[: len(energy) // 2], energy[len(energy) // 2 :]
    assert float((early.mean() - late.mean()).abs()) < 1e-3 * bound


def test_symplectic_euler_conserves_its_modified_energy():
    """`H - dt/2 <p, K q>` with momenta first: conserved to rounding on q'' = -K q."""
    chain = Chain(dense_laplacian("cycle", 16))
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 16, 2)))
    dt = 0.3
    sol = solve(chain, y0, [0.0, 60.0], "symplectic_euler", dt=dt, save="steps")
    q, p = sol.y.unbind(1)
    kq = chain.stiffness.matvec(q)
    modified = ((p * p).sum((1, 2)) + (q * kq).sum((1, 2)) - dt * (p * kq).sum((1, 2))) / 2
    assert torch.allclose(modified, modified[0].expand_as(modified), rtol=1e-12)


@pytest.mark.parametrize("kind, n, k", [("path", 20, 3), ("cycle", 18, 2)])
def test_frequencies_of_the_wave_equation(kind, n, k):
    """Leapfrog turns a mode by exactly 2 asin(dt sqrt(lambda) / 2) a step."""
    vector, value = mode(kind, n, k)
    chain, dt, count = Chain(dense_laplacian(kind, n)), 0.25, 200
    q = torch.from_numpy(vector).unsqueeze(1)
    sol = solve(chain, torch.stack((q, 0 * q)), [0.0, dt * count], "leapfrog", dt=dt)
    angle = 2 * math.asin(dt * math.sqrt(value) / 2) * count
    assert torch.allclose(sol.y[-1, 0], math.cos(angle) * q, atol=1e-10)


def test_damping_alone_is_exact():
    class Free:
        damping = 0.9

        def velocity(self, t, p):
            return torch.zeros_like(p)

        def force(self, t, q):
            return torch.zeros_like(q)

        def __call__(self, t, y):
            return torch.stack((0 * y[0], -self.damping * y[1]))

    y0 = torch.ones(2, 3, 1, dtype=F64)
    sol = solve(Free(), y0, [0.0, 10.0], "leapfrog", dt=2.5)
    assert torch.allclose(sol.y[-1, 1], math.exp(-9.0) * y0[1], rtol=1e-13)


def test_graphcon_recursion():
    """`X_{n+1} = (2 - a dt - g dt^2) X_n - (1 - a dt) X_{n-1} + dt^2 F(X_n)`, and X_{n+1} = F(X_n) at dt = a = g = 1."""
    torch.manual_seed(0)
    mix = torch.randn(5, 5, dtype=F64) / 5
    y0 = torch.randn(2, 5, 3, dtype=F64)

    class GraphCON:
        def __init__(self, alpha, gamma):
            self.damping, self.gamma = alpha, gamma

        def velocity(self, t, p):
            return p

        def force(self, t, q):
            return torch.tanh(mix @ q) - self.gamma * q

        def __call__(self, t, y):
            return torch.stack((y[1], self.force(t, y[0]) - self.damping * y[1]))

    alpha, gamma, dt = 0.7, 1.3, 0.2
    x = solve(GraphCON(alpha, gamma), y0, [0.0, 4.0], "symplectic_euler", dt=dt, save="steps").y[:, 0]
    expected = (2 - alpha * dt - gamma * dt**2) * x[1:-1] - (1 - alpha * dt) * x[:-2] + dt**2 * torch.tanh(mix @ x[1:-1])
    assert torch.allclose(x[2:], expected, atol=1e-13)
    x = solve(GraphCON(1.0, 1.0), y0, [0.0, 20.0], "symplectic_euler", dt=1.0, save="steps").y[:, 0]
    assert torch.allclose(x[1:], torch.tanh(mix @ x[:-1]), atol=1e-14)


@pytest.mark.parametrize("alpha, dt, stable", [(0.5, 1.55, True), (0.5, 1.6, False), (1.9, 0.4, True), (10.5, 0.2, False)])
def test_stability_of_damped_symplectic_euler(alpha, dt, stable):
    """Stable if and only if `0 <= alpha dt <= 2` and `gamma dt^2 <= 4 - 2 alpha dt`, here with gamma = 1."""
    problem = Oscillator(1.0, alpha)
    start = torch.tensor([1.0, 0.3], dtype=F64).reshape(2, 1, 1)
    assert (alpha * dt <= 2 and dt**2 <= 4 - 2 * alpha * dt) == stable
    sol = solve(problem, start, [0.0, 400 * dt], "symplectic_euler", dt=dt, stability_check=False)
    assert (float(sol.y[-1].abs().max()) < 10) == stable


@BOTH
def test_gradient_in_the_damping(name, order):
    """A number, a tensor, and one per node give one result; the gradient is that of the discrete solution."""
    problem = Oscillator(1.2, 0.3)
    plain = solve(problem, problem.exact(0.0), [0.0, 2.0], name, dt=0.1).y
    for damping in (torch.tensor(0.3, dtype=F64), torch.full((1, 1), 0.3, dtype=F64)):
        leaf = damping.requires_grad_()
        sol = solve(Oscillator(1.2, leaf), problem.exact(0.0), [0.0, 2.0], name, dt=0.1)
        assert torch.allclose(sol.y, plain, atol=1e-14)

        def run(d):
            return solve(Oscillator(1.2, d), problem.exact(0.0), [0.0, 1.0], name, dt=0.1).y[-1]

        assert torch.autograd.gradcheck(run, (leaf,))
        assert torch.autograd.gradgradcheck(run, (leaf,))


def test_forces_are_reused():
    problem = Oscillator(1.0)
    leapfrog, euler = (solve(problem, problem.exact(0.0), [0.0, 5.0], n, dt=0.1) for n in ("leapfrog", "symplectic_euler"))
    assert (leapfrog.stats.evaluations, euler.stats.evaluations) == (51, 50)


@BOTH
def test_output_times_are_landed_on(name, order):
    problem = Oscillator(1.0)
    sol = solve(problem, problem.exact(0.0), [0.0, 0.333, 1.0], name, dt=0.001)
    assert sol.t.tolist() == [0.0, 0.333, 1.0]
    assert errors(sol.y[1], problem.exact(0.333)) < 1e-3


@BOTH
def test_other_fields_are_refused(name, order):
    with pytest.raises(TypeError, match="velocity"):
        solve(Nonlinear(), Nonlinear().exact(0.0), [0.0, 1.0], name, dt=0.1)
    method = {"leapfrog": Leapfrog(), "symplectic_euler": SymplecticEuler()}[name]
    with pytest.raises(TypeError, match="velocity"):
        method.init(Problem(Nonlinear()), 0.0, Nonlinear().exact(0.0))
    with pytest.raises(ValueError, match="stack"):
        solve(Oscillator(), torch.ones(3, 1, dtype=F64), [0.0, 1.0], name, dt=0.1)
