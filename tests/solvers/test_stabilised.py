"""RKC2, RKL2 and ROCK2: their polynomials and intervals, the stages they choose, the estimate of the spectral radius, cost."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev, legendre
from problems import dense_laplacian, errors, heat, laplacian
from torch import Tensor

from solvers import RKC2, RKL2, ROCK2, Dense, LinearFlow, PerGraph, Plain, Problem, StabilityError, solve
from solvers.integrators.dominant import estimate_dominant

F64 = torch.float64
both = pytest.mark.parametrize("method", [RKC2, RKL2], ids=["rkc2", "rkl2"])
every = pytest.mark.parametrize("method", [RKC2, RKL2, ROCK2], ids=["rkc2", "rkl2", "rock2"])  # more of rock2: test_rock2.py
STAGES = (2, 3, 4, 5, 8, 13, 50, 201)


@both
@pytest.mark.parametrize("stages", STAGES)
def test_recursion_is_consistent(method, stages):
    """The nodes are the derivatives of the stages at z = 0; the last stage agrees with exp to order 2."""
    k = method.recursion(stages)
    nodes = [0.0, k.first]
    for mu, nu, w, g in k.rows:
        nodes.append(mu * nodes[-1] + nu * nodes[-2] + w + g)
    assert nodes == pytest.approx(list(k.c), abs=1e-12) and k.c[-1] == 1.0 and len(k.c) == stages + 1
    h = 1e-3
    assert abs(k.at(-h) - math.exp(-h)) < 0.2 * h**3
    if stages > 40:  # what the weights of the error estimates are made for
        constant = (k.at(-0.01) - math.exp(-0.01)) / 0.01**3
        assert constant == pytest.approx(method.error_weight / 12, rel=0.05)


@pytest.mark.parametrize("stages", STAGES)
def test_recursion_gives_the_published_polynomial(stages):
    """`a + b T_s(w0 + w1 z)` and `a + b P_s(1 + w1 z)`, evaluated by numpy."""
    z = np.linspace(-0.9 * RKL2.interval(stages), 0.1, 50)
    unit = np.eye(stages + 1)[stages]
    w0 = 1 + 2 / 13 / stages**2
    t, d, dd = (chebyshev.chebval(w0, chebyshev.chebder(unit, m)) for m in range(3))
    b = dd / d**2
    expected = 1 - b * t + b * chebyshev.chebval(w0 + d / dd * z, unit)
    assert [RKC2.recursion(stages).at(x) for x in z] == pytest.approx(expected, abs=1e-9)
    b, w1 = (stages**2 + stages - 2) / (2 * stages * (stages + 1)), 4 / (stages**2 + stages - 2)
    expected = 1 - b + b * legendre.legval(1 + w1 * z, unit)
    assert [RKL2.recursion(stages).at(x) for x in z] == pytest.approx(expected, abs=1e-9)


@both
@pytest.mark.parametrize("stages", STAGES)
def test_intervals(method, stages):
    """Stable on the published interval, and up to `real_stability`, which is where it ends."""
    k, published, edge = method.recursion(stages), method.interval(stages), method(stages).real_stability
    assert published == pytest.approx(0.653 * (stages**2 - 1) if method is RKC2 else (stages**2 + stages - 2) / 2, rel=1e-3)
    assert published * (1 - 1e-6) <= edge <= 1.25 * published
    largest = max(abs(k.at(-x)) for x in np.linspace(0, edge * (1 - 1e-6), 4000))
    assert largest <= 1 + 1e-9
    assert abs(k.at(-edge * 1.001)) > 1
    if method is RKC2:
        assert max(abs(k.at(-x)) for x in np.linspace(0.3 * published, published, 2000)) < 0.97, "damped inside"


@every
def test_needed_stages_suffice_and_are_few(method):
    for z in (0.0, 0.3, 1.9, 2.1, 7.0, 33.3, 100.0, 1e4, 1e6):
        stages = method.needed(z)
        assert method.interval(stages) >= z
        assert stages <= 3 or method.interval(stages - 2) < 1.01 * z, "the published count has a reserve of 0.6 %"


@every
@pytest.mark.parametrize("stages", [2, 5, 10])
def test_a_fixed_number_of_stages_is_held_to_its_interval(method, stages):
    field, _, top = heat("path", 30, 29)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 2)))
    limit = method(stages).real_stability / top
    with pytest.raises(StabilityError, match=method.__name__):
        solve(field, y0, [0.0, 50 * limit], method(stages), dt=1.02 * limit)
    sol = solve(field, y0, [0.0, 100 * limit], method(stages), dt=0.999 * limit)
    assert float((sol.y[-1] - y0.mean(0)).abs().max()) < 3
    wild = solve(field, y0, [0.0, 200 * limit], method(stages), dt=1.05 * limit, stability_check=False)
    assert float(wild.y[-1].abs().max()) > 10


@every
def test_a_step_of_any_size_is_stable(method):
    """The interval is free on a symmetric operator with bounds, and the number of stages follows the step."""
    field, _, _ = heat("path", 64, 63)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 3)))
    bound = max(abs(b) for b in field.operator.bounds())
    for dt in (0.2, 5.0, 300.0):
        sol = solve(field, y0, [0.0, 40 * dt], method(), dt=dt)
        assert sol.stats.evaluations == 40 * method.needed(dt * bound) + 1 and sol.stats.products == 0
        assert float((sol.y[-1] - y0.mean(0)).abs().max()) < 1.2
        assert torch.allclose(sol.y[-1].sum(0), y0.sum(0), atol=1e-9), "heat is conserved"


@dataclass(frozen=True, eq=False)
class Porous:
    """`y' = -L(y^3) scale(t)`: nonlinear diffusion on a path, whose stiffness may change in time."""

    matrix: Tensor
    jump: float = math.inf

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return -(self.matrix @ y**3) * (50.0 if float(t) > self.jump else 1.0)

    def jacobian(self, y: Tensor) -> Tensor:
        return torch.autograd.functional.jacobian(lambda x: self(torch.tensor(0.0), x), y).reshape(y.numel(), -1)


@pytest.mark.parametrize("seed", range(3))
def test_power_iteration(seed):
    n = 40
    field = Porous(torch.from_numpy(laplacian("cycle", n)))
    y = 1 + torch.from_numpy(np.random.default_rng(seed).random((n, 1)))
    exact = float(torch.linalg.eigvals(field.jacobian(y)).abs().max())
    first, slope, work = estimate_dominant(Problem(field), 0.0, y, None, None)
    assert 0.98 * exact < first.radius < 1.25 * exact
    assert torch.equal(slope, field(torch.tensor(0.0), y)) and work.evaluations < 40 and not first.constant
    again, _, less = estimate_dominant(Problem(field), 0.0, y * 1.01, slope * 1.01**3, first)
    assert 0.98 * exact < again.radius < 1.3 * exact and less.evaluations <= 4, "a warm start settles at once"


def test_estimates_of_linear_fields():
    symmetric = dense_laplacian("path", 60)
    y = torch.zeros(60, 2, dtype=F64)
    known, slope, work = estimate_dominant(Problem(LinearFlow(-1.0 * symmetric)), 0.0, y, None, None)
    assert known.radius >= 3.99 and known.constant and slope is None and work.evaluations == work.products == 0

    class Boundless(Dense):
        def bounds(self) -> tuple[float, float]:
            return -math.inf, math.inf

    hidden = LinearFlow(Boundless(-symmetric.matrix, symmetric=True))
    found, _, work = estimate_dominant(Problem(hidden), 0.0, y, None, None)
    assert 0.98 * 4 < found.radius < 1.06 * 4 and work.products == 20
    skew = LinearFlow(Dense(torch.tensor([[0.0, 7.0], [-7.0, 0.0]], dtype=F64)))
    found, _, _ = estimate_dominant(Problem(skew), 0.0, torch.zeros(2, 1, dtype=F64), None, None)
    assert found.radius == pytest.approx(1.2 * 7.0, rel=1e-6) and found.constant


def test_the_stiffest_graph_of_a_batch_decides():
    blocks = [laplacian("path", 6), 30 * laplacian("cycle", 5), np.zeros((2, 2))]
    matrix = torch.block_diag(*map(torch.from_numpy, blocks))
    space = PerGraph(torch.repeat_interleave(torch.arange(3), torch.tensor([6, 5, 2])))
    exact = float(torch.linalg.eigvalsh(matrix)[-1])
    for where in (Plain(), space):
        problem = Problem(lambda t, y: -(matrix @ y), where)
        found, _, _ = estimate_dominant(problem, 0.0, torch.ones(13, 2, dtype=F64), None, None)
        assert 0.98 * exact < found.radius < 1.21 * exact


@every
def test_stages_follow_a_field_that_becomes_stiff(method):
    """Fifty times stiffer from t = 1 on: a rejected step estimates anew, and the solve goes through."""
    n = 30
    field = Porous(torch.from_numpy(laplacian("path", n)), jump=1.0)
    y0 = 1 + torch.from_numpy(np.random.default_rng(0).random((n, 1)))
    exact = solve(field, y0, [0.0, 0.5, 1.0], "dopri5", rtol=1e-9).y[-1]
    exact = solve(Porous(50 * field.matrix), exact, [0.0, 1.0], "dopri5", rtol=1e-9).y[-1]
    sol = solve(field, y0, [0.0, 1.0, 2.0], method(), rtol=1e-5)
    assert errors(sol.y[-1], exact) < 1e-4
    assert sol.stats.accepted < 200


@every
@pytest.mark.parametrize("tracked", [False, True], ids=["buffered", "tracked"])
def test_order_with_many_stages(method, tracked):
    """Second order on a field that depends on time, at a number of stages that is in use: y' = -L(y - cos t) - sin t."""
    matrix = torch.from_numpy(laplacian("path", 8))

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -(matrix @ (y - torch.cos(t) * shape)) - torch.sin(t) * shape - (y - torch.cos(t) * shape) * y

    shape = torch.linspace(0.5, 1.5, 8, dtype=F64).unsqueeze(1)
    found = []
    for count in (10, 20, 40, 80):
        y0 = shape.clone().requires_grad_(tracked)
        sol = solve(field, y0, [0.0, 1.0], method(stages=7), dt=1 / count)
        found.append(errors(sol.y[-1].detach(), math.cos(1.0) * shape))
    assert math.log2(found[2] / found[3]) == pytest.approx(2, abs=0.15)


@every
def test_gradients_through_many_stages(method):
    torch.manual_seed(0)
    y0, matrix = (torch.randn(s, dtype=F64, requires_grad=True) for s in ((4, 2), (4, 4)))

    def run(y: Tensor, m: Tensor) -> Tensor:
        return solve(lambda t, x: torch.tanh(m @ x) * torch.cos(t), y, [0.0, 0.4, 1.0], method(stages=6), dt=0.5).y

    assert torch.autograd.gradcheck(run, (y0, matrix))
    plain = run(y0.detach(), matrix.detach())
    assert torch.allclose(plain, run(y0, matrix).detach(), rtol=1e-13, atol=1e-14)


@every
def test_a_field_that_begins_to_need_a_gradient_inside_a_step(method):
    w = torch.tensor(0.5, dtype=F64, requires_grad=True)

    def run(w: Tensor) -> Tensor:
        y0 = torch.ones(2, 1, dtype=F64)
        field = lambda t, y: y * (w if float(t.detach()) > 0.11 else 0.5)  # noqa: E731
        return solve(field, y0, [0.0, 1.0], method(stages=6), dt=0.25).y[-1].sum()

    (grad,) = torch.autograd.grad(run(w), w)
    h = 1e-6
    assert float(grad) == pytest.approx(float(run(w.detach() + h) - run(w.detach() - h)) / (2 * h), rel=1e-6)


@both
def test_rounding_grows_slowly_with_the_stages(method):
    field, _, _ = heat("path", 64, 63)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 3)))
    low = LinearFlow(-1.0 * Dense(dense_laplacian("path", 64).matrix.float(), symmetric=True, semidefinite=True))
    for dt in (10.0, 1000.0):
        a, b = solve(field, y0, [0.0, dt], method(), dt=dt), solve(low, y0.float(), [0.0, dt], method(), dt=dt)
        stages = a.stats.evaluations - 1
        assert errors(a.y[-1], b.y[-1].double()) < 2e-6 + stages**2 * 1.2e-7 / 10


@every
def test_fewer_evaluations_than_an_explicit_method_on_a_stiff_diffusion(method):
    """A star with 200 leaves beside a path: lambda_max = 201."""
    n = 240
    matrix = torch.zeros(n, n, dtype=F64)
    matrix[0, 1:201] = matrix[1:201, 0] = 1.0
    for i in range(200, n - 1):
        matrix[i, i + 1] = matrix[i + 1, i] = 1.0
    full = torch.diag(matrix.sum(0)) - matrix
    y0 = torch.from_numpy(np.random.default_rng(1).normal(size=(n, 2)))
    exact = torch.linalg.matrix_exp(-4 * full) @ y0
    hidden = lambda t, y: -(full @ y)  # noqa: E731
    plain = solve(hidden, y0, [0.0, 4.0], "dopri5", rtol=1e-4, atol=1e-4)
    sol = solve(hidden, y0, [0.0, 4.0], method(), rtol=1e-4, atol=1e-4)
    assert sol.stats.evaluations < 0.3 * plain.stats.evaluations
    assert errors(sol.y[-1], exact) < 2e-3


def test_bad_settings():
    with pytest.raises(ValueError, match="stages=1"):
        RKC2(stages=1)
    with pytest.raises(ValueError, match="radius"):
        RKL2(radius=-1.0)
    problem = Problem(lambda t, y: -y)
    with pytest.raises(TypeError, match="state"):
        RKC2().step(problem, 0.0, 0.1, torch.ones(2, 1), None)
    sol = solve(lambda t, y: -100 * y, torch.ones(2, 1, dtype=F64), [0.0, 1.0], RKC2(radius=100.0), dt=0.5)
    assert sol.stats.evaluations == 2 * RKC2.needed(50.0) + 1
