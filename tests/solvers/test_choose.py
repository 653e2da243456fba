"""`method="auto"` on fields that offer no structure: the probe of their spectrum, and what follows from it."""

import pytest
import torch
from problems import dense_laplacian, laplacian
from torch import Tensor

from solvers import Dense, LinearFlow, PerGraph, Problem, solve
from solvers.choose import choose
from solvers.integrators.dominant import probe_spectrum

F64 = torch.float64
X = torch.linspace(0, 1, 40, dtype=F64).unsqueeze(1)
Y0 = 1 + torch.sin(7 * X) ** 2


class Porous:
    """`y' = -k L y^3`, counted."""

    def __init__(self, k: float):
        self.k, self.matrix, self.calls = k, torch.from_numpy(laplacian("path", 40)), 0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return -self.k * (self.matrix.to(y.dtype) @ y**3)


def rotation(speed: float):
    matrix = torch.randn(20, 20, dtype=F64, generator=torch.Generator().manual_seed(0))
    matrix = speed * (matrix - matrix.T)
    return lambda t, y: matrix @ y


def chosen(field, y0: Tensor = Y0, end: float = 1.0, **options) -> tuple[str, str]:
    method, why = choose(field, y0, [0.0, end], options.pop("dt", None), **options)
    return method.name, why


def test_probe():
    """Size and sign of the dominant eigenvalue; two evaluations where it cannot matter."""
    field = Porous(50.0)
    jacobian = torch.autograd.functional.jacobian(lambda y: field(torch.tensor(0.0), y), Y0).reshape(40, 40)
    exact = torch.linalg.eigvals(jacobian).abs().max().item()
    field.calls = 0
    found = probe_spectrum(Problem(field), 0.0, Y0, worth=10.0)
    assert 0.9 * exact < found.radius < 1.01 * exact and found.cosine is not None and found.cosine < -0.95
    assert found.evaluations == field.calls < 40
    field.calls = 0
    early = probe_spectrum(Problem(field), 0.0, Y0, worth=1e6)
    assert early.cosine is None and early.evaluations == field.calls == 2
    turning = probe_spectrum(Problem(rotation(50.0)), 0.0, torch.ones(20, 1, dtype=F64), worth=10.0)
    assert turning.cosine is not None and abs(turning.cosine) < 0.5
    growing = probe_spectrum(Problem(lambda t, y: 300 * y), 0.0, Y0, worth=10.0)
    assert growing.cosine == pytest.approx(1.0) and growing.radius == pytest.approx(300, rel=1e-6)


def test_nonlinear_diffusion():
    assert chosen(Porous(0.01))[0] == "Dopri5"
    for rtol in (None, 1e-3, 1e-6):
        name, why = chosen(Porous(50.0), rtol=rtol)
        assert name == "ROCK2" and "real negative" in why and "|lambda| about" in why
    assert chosen(Porous(50.0), Y0.float())[0] == "ROCK2"
    assert chosen(Porous(50.0), rtol=1e-8)[0] == "Dopri5", "not stiff enough for implicit steps at this tolerance"
    assert chosen(Porous(3000.0), rtol=1e-8)[0] == "Kvaerno5"
    assert chosen(Porous(1e6), rtol=1e-6)[0] == "Kvaerno5" and chosen(Porous(1e6), rtol=1e-3)[0] == "TRBDF2"


def test_what_is_not_diffusion_keeps_dopri5():
    name, why = chosen(rotation(200.0), torch.ones(20, 1, dtype=F64))
    assert name == "Dopri5" and "no real negative" in why
    assert chosen(lambda t, y: 800 * y)[0] == "Dopri5", "growth is not stiff"
    assert chosen(lambda t, y: 800 * y, end=-1.0, rtol=1e-4)[0] == "ROCK2", "but it is, backwards in time"
    assert chosen(lambda t, y: y * float("nan"))[0] == "Dopri5"


def test_no_probe_where_it_has_no_use():
    field, space = Porous(50.0), PerGraph(torch.arange(40) // 20, own_steps=True)
    assert chosen(field, dt=0.01)[0] == "Dopri5" and chosen(field, space=space)[0] == "Dopri5" and field.calls == 0


def test_the_choice_is_good():
    """A tenth of the evaluations of dopri5, the probe included, at an error of its tolerance."""
    field = Porous(50.0)
    exact = solve(field, Y0, 1.0, "dopri5", rtol=1e-9).y[-1]
    field.calls = 0
    plain = solve(field, Y0, 1.0, "dopri5", rtol=1e-4).stats.evaluations
    field.calls = 0
    sol = solve(field, Y0, 1.0, "auto", rtol=1e-4)
    assert sol.method == "ROCK2" and field.calls < 0.2 * plain
    assert float((sol.y[-1] - exact).abs().max()) < 1e-3
    y0 = Y0.clone().requires_grad_()
    solve(field, y0, 0.1, "auto", rtol=1e-4).y[-1].square().sum().backward()
    assert y0.grad is not None and torch.isfinite(y0.grad).all()


def test_tight_tolerances_of_fields_with_a_linear_part():
    class Boundless(Dense):
        def bounds(self) -> tuple[float, float]:
            return float("-inf"), float("inf")

    hidden = LinearFlow(Boundless(-dense_laplacian("path", 40).matrix))
    assert chosen(hidden, between=True, rtol=1e-3)[0] == "TRBDF2" and chosen(hidden, between=True, rtol=1e-8)[0] == "Kvaerno5"

    class Reaction:
        def linear_part(self, t, y):
            return Dense(-1e4 * dense_laplacian("path", 40).matrix, symmetric=True)

        def nonlinear_part(self, t, y):
            return torch.tanh(y)

        def __call__(self, t, y):
            return self.linear_part(t, y).matvec(y) + torch.tanh(y)

    assert chosen(Reaction(), rtol=1e-4)[0] == "KenCarp3" and chosen(Reaction(), rtol=1e-8)[0] == "KenCarp4"
