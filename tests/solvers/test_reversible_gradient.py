"""gradient="reversible" against backpropagation, for every method whose steps can be undone; and where it must refuse."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from solvers import Event, IntegrationError, Problem, available, method_named, solve
from solvers.recording import Tape
from solvers.reversible import _alike

F64 = torch.float64
NAMES = ["graphcon", "leapfrog", "symplectic_euler", "yoshida4", "yoshida6"]
Y0 = torch.randn(2, 4, 2, dtype=F64, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True, eq=False)
class Learned:
    """Holds W, and something computed from it before the solve; depends on time."""

    W: Tensor
    attention: Tensor
    damping: Tensor | float = 0.0

    def velocity(self, t, p):
        return torch.tanh(p @ self.W) * (1 + t)

    def force(self, t, q):
        return self.attention @ torch.sin(q) - q

    def __call__(self, t, y):
        q, p = y.unbind(0)
        return torch.stack((self.velocity(t, p), self.force(t, q) - self.damping * p))


def gradients(name, gradient, t, damping=None, **options):
    W = (0.5 * torch.randn(2, 2, dtype=F64, generator=torch.Generator().manual_seed(1))).requires_grad_()
    gamma = torch.tensor([0.3, 0.1], dtype=F64, requires_grad=True)
    y0 = Y0.clone().requires_grad_()
    attention = torch.softmax((Y0[0] @ W) @ (Y0[0] @ W).T, -1)
    field = Learned(W, attention, gamma if damping is None else damping)
    sol = solve(field, y0, t, name, gradient=gradient, **options)
    weights = torch.linspace(0.5, 2, sol.y.numel(), dtype=F64).view(sol.y.shape)
    wrt = [y0, W, *([gamma] if damping is None else [])]
    return torch.autograd.grad((weights * sol.y**2).sum(), wrt)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("t", "options"),
    [
        ([0.0, 0.33, 2.0], {}),
        ([1.0, 0.2, 0.0], {}),
        (3.0, {"save": "final"}),
        (1.0, {"save": "steps"}),
        (3.0, {"damping": 0.5}),
    ],
)
def test_reversible_is_backprop(name, t, options):
    expected, found = (gradients(name, g, t, dt=0.04, **options) for g in ("backprop", "reversible"))
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= 1e-10 * float(b.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_undoing_a_step(name):
    method = method_named(name)
    problem = Problem(Learned(torch.eye(2, dtype=F64), torch.eye(4, dtype=F64), torch.tensor([0.3, 0.1], dtype=F64)))
    state, _ = method.init(problem, 0.2, Y0)
    for dt in (0.1, -0.1):
        step = method.step(problem, 0.2, dt, Y0, state)
        torch.testing.assert_close(method.undo(problem, 0.2, dt, step.y), Y0, rtol=0, atol=1e-14)


def test_too_much_damping_is_refused_before_the_solve():
    for name in NAMES:
        with pytest.raises(ValueError, match=r'exp\(damping T\) eps = .* more than rtol.* gradient="checkpoint"'):
            gradients(name, "reversible", 60.0, damping=0.5, dt=0.1, save="final")
    gradients("leapfrog", "reversible", [0.0, 20.0, 40.0, 60.0], damping=0.5, dt=0.1)  # each output is a new start
    gradients("leapfrog", "reversible", 60.0, damping=0.1, dt=0.1, save="final")
    with pytest.raises(ValueError, match=r"exp\(damping T\)"):
        gradients("graphcon", "reversible", 1.0, damping=10.0, dt=0.1)  # 1 - damping dt = 0: nothing is left to undo
    field = Learned(torch.eye(2).requires_grad_(), torch.eye(4), 1.0)
    with pytest.raises(ValueError, match=r"eps = 1\.2e-07"):
        solve(field, Y0.float(), 20.0, "leapfrog", dt=0.1, gradient="reversible")


def test_other_methods_are_refused():
    for name in ("dopri5", "implicit_midpoint", "krylov_exp"):
        field = Learned(torch.eye(2, dtype=F64), torch.eye(4, dtype=F64))
        with pytest.raises(TypeError, match=r"leapfrog, symplectic_euler|needs a LinearFlow"):
            solve(field, Y0, 1.0, name, gradient="reversible")
    assert [name for name in available() if hasattr(method_named(name), "undo")] == NAMES


def test_what_has_no_whole_steps_is_refused():
    field = Learned(torch.eye(2, dtype=F64).requires_grad_(), torch.eye(4, dtype=F64))
    with pytest.raises(ValueError, match="takes no events"):
        solve(field, Y0, 1.0, "leapfrog", dt=0.1, gradient="reversible", events=[Event(lambda t, y: y[0, 0, 0])])
    with pytest.raises(ValueError, match='takes no save="dense"'):
        solve(field, Y0, 1.0, "leapfrog", dt=0.1, gradient="reversible", save="dense")


def test_a_field_that_changes_is_noticed():
    @dataclass(frozen=True, eq=False)
    class Noisy(Learned):
        def force(self, t, q):
            return -q * torch.rand(())

    field = Noisy(torch.eye(2, dtype=F64).requires_grad_(), torch.eye(4, dtype=F64))
    sol = solve(field, Y0, 1.0, "leapfrog", dt=0.1, gradient="reversible")
    with pytest.raises(IntegrationError, match="missed the state at t = 0"):
        sol.y.sum().backward()


def test_steps_that_can_be_undone_together():
    """Those of one size behind an output or a change of size, counted once for all."""
    tape = Tape(None, times=[0.0, 0.1, 0.2, 0.3, 0.4], attempts=[[0.1], [0.1], [0.2, 0.1], [0.1], [0.05]])
    assert _alike(tape, {}) == [1, 2, 3, 4, 1]
    assert _alike(tape, {-1: (), 1: (), 4: ()}) == [1, 2, 1, 2, 1]
