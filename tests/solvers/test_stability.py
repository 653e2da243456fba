"""Stability limits: the spectral radius they come from, what is refused, what is let through, and what the error says."""

import warnings

import numpy as np
import pytest
import torch
from problems import Chain, dense_laplacian, heat, laplacian, mode

from solvers import (
    Dense,
    LinearFlow,
    PerGraph,
    Plain,
    SparseOperator,
    StabilityError,
    available,
    method_named,
    solve,
    spectral_radius,
)

EXPLICIT = [name for name in available() if method_named(name).explicit]
LIMITED = [name for name in EXPLICIT if 0 < (method_named(name).real_stability or 0) < np.inf]


def random_symmetric(n: int, seed: int) -> Dense:
    matrix = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, n)))
    return Dense(matrix + matrix.T, symmetric=True)


@pytest.mark.parametrize("kind, n", [("path", 2), ("path", 17), ("cycle", 24), ("path", 30)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_spectral_radius_of_small_laplacians_is_exact(kind, n, dtype):
    operator = Dense(dense_laplacian(kind, n).matrix.to(dtype), symmetric=True, semidefinite=True)
    exact = max(mode(kind, n, k)[1] for k in range(n))
    found = spectral_radius(operator, torch.zeros(n, 1, dtype=dtype), Plain())
    assert found == pytest.approx(exact, rel=1e-9 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_spectral_radius_is_a_tight_lower_bound(seed):
    operator = random_symmetric(300, seed)
    exact = float(torch.linalg.eigvalsh(operator.matrix).abs().max())
    for columns in (1, 3):
        found = spectral_radius(operator, torch.zeros(300, columns, dtype=torch.float64), Plain())
        assert 0.97 * exact < found <= exact * (1 + 1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_spectral_radius_over_a_batch_is_the_largest(dtype):
    blocks = [laplacian("path", 5), np.zeros((1, 1)), laplacian("cycle", 8), np.zeros((2, 2))]
    n, batch = sum(map(len, blocks)), torch.repeat_interleave(torch.arange(4), torch.tensor([5, 1, 8, 2]))
    matrix, at = np.zeros((n, n)), 0
    for block in blocks:
        matrix[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    operator = Dense(torch.from_numpy(matrix).to(dtype), symmetric=True)
    found = spectral_radius(operator, torch.zeros(n, 2, dtype=dtype), PerGraph(batch))
    assert found == pytest.approx(4.0, rel=1e-5)


def test_spectral_radius_of_degenerate_operators():
    zero = Dense(torch.zeros(4, 4, dtype=torch.float32), symmetric=True)
    assert spectral_radius(zero, torch.zeros(4, 1), Plain()) == 0.0
    hermitian = torch.tensor([[2.0, 1j], [-1j, 3.0]], dtype=torch.complex128)
    found = spectral_radius(Dense(hermitian, symmetric=True), torch.zeros(2, 1, dtype=torch.complex128), Plain())
    assert found == pytest.approx(float(torch.linalg.eigvalsh(hermitian)[-1]))


@pytest.mark.parametrize("name", LIMITED)
def test_a_step_beyond_the_limit_is_refused_and_the_suggested_one_works(name):
    """On 40 nodes 40 Lanczos products give lambda_max itself."""
    n = 40
    field, _, top = heat("path", n, n - 1)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(n, 2)))
    limit = method_named(name).real_stability / top
    with pytest.raises(StabilityError, match="unstable") as caught:
        solve(field, y0, [0.0, 300.0], name, dt=1.02 * limit)
    error = caught.value
    assert error.limit == pytest.approx(limit, rel=1e-5)
    assert error.spectral_bound == pytest.approx(top) and error.spectral_bound <= top * (1 + 1e-12)
    for said in (
        method_named(name).name,
        f"{error.limit:.6g}",
        f"{error.spectral_bound:.6g}",
        "Lanczos",
        "stability_check=False",
    ):
        assert said in str(error)
    with pytest.raises(StabilityError):
        solve(field, y0, [0.0, 300.0], name, dt=1.02 * error.limit)
    suggested = float(f"{error.limit:.6g}")
    solve(field, y0, [0.0, 10 * suggested], name, dt=suggested)  # at the limit itself a double root may grow linearly
    sol = solve(field, y0, [0.0, 200 * suggested], name, dt=0.98 * suggested)
    mean = y0.mean(0)
    assert float((sol.y[-1] - mean).abs().max()) < 2 * float((y0 - mean).abs().max())
    wild = solve(field, y0, [0.0, 1000 * limit], name, dt=1.05 * limit, stability_check=False)
    assert float(wild.y[-1].abs().max()) > 10, "beyond the limit the solution grows: the limit is sharp"


def test_the_methods_that_the_error_names_take_the_step():
    field, _, top = heat("path", 40, 39)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 2)))
    dt = 30 / top
    with pytest.raises(StabilityError, match=r'stabilised explicit method such as method="rkc2".*method="crank_nicolson"'):
        solve(field, y0, [0.0, 300.0], "rk4", dt=dt)
    for name in ("rkc2", "rock2", "crank_nicolson"):
        assert float((solve(field, y0, [0.0, 300.0], name, dt=dt).y[-1] - y0.mean(0)).abs().max()) < 2


@pytest.mark.parametrize("name", ["leapfrog", "symplectic_euler"])
def test_oscillators_are_held_to_their_stiffness(name):
    n = 40
    chain = Chain(dense_laplacian("cycle", n))
    limit = 2 / np.sqrt(4.0)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(2, n, 1)))
    with pytest.raises(StabilityError, match="sqrt") as caught:
        solve(chain, y0, [0.0, 100.0], name, dt=1.02 * limit)
    assert caught.value.limit == pytest.approx(limit, rel=1e-5)
    assert "rkc2" not in str(caught.value), "stable on the real axis only"
    sol = solve(chain, y0, [0.0, 150.0], name, dt=0.99 * caught.value.limit)
    assert float(sol.y[-1].abs().max()) < 100
    wild = solve(chain, y0, [0.0, 150.0], name, dt=1.02 * limit, stability_check=False)
    assert float(wild.y[-1].abs().max()) > 1e6


def test_between_the_bounds_a_warning():
    """A star has lambda_max = n, its Gershgorin bound is 2 (n - 1)."""
    n = 20
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[0, 1:] = matrix[1:, 0] = 1.0
    rows, cols = matrix.nonzero().T
    loops = torch.arange(n)
    values = torch.cat((-torch.ones(len(rows), dtype=torch.float64), matrix.sum(0)))
    index = torch.stack((torch.cat((cols, loops)), torch.cat((rows, loops))))
    field = LinearFlow(-1.0 * SparseOperator.from_edges(index, values, n, symmetric=True))
    y0 = torch.ones(n, 1, dtype=torch.float64)
    with pytest.warns(UserWarning, match="may be unstable"):
        solve(field, y0, [0.0, 1.0], "euler", dt=2 / 25)
    with pytest.raises(StabilityError):
        solve(field, y0, [0.0, 1.0], "euler", dt=2 / 19)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(field, y0, [0.0, 1.0], "euler", dt=2 / 39)
        solve(field, y0, [0.0, 1.0], "euler", dt=2 / 25, stability_check=False)


def test_only_what_is_known_to_be_linear_is_judged():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(lambda t, y: -1000 * y, torch.ones(1, 1, dtype=torch.float64), [0.0, 0.01], "euler", dt=0.005)
        skew = Dense(torch.tensor([[0.0, 50.0], [-50.0, 0.0]], dtype=torch.float64))
        solve(LinearFlow(skew), torch.ones(2, 1, dtype=torch.float64), [0.0, 0.1], "rk4", dt=0.1)


def test_a_step_longer_than_the_interval_counts_as_the_interval():
    field, y0, top = heat("path", 10, 3)
    sol = solve(field, y0, [0.0, 0.1], "euler", dt=100.0)
    assert sol.stats.accepted == 1
    assert torch.allclose(sol.y[-1], (1 - 0.1 * top) * y0)


def test_adaptive_steps_are_not_judged():
    field, y0, top = heat("path", 10, 3)
    sol = solve(field, y0, [0.0, 10.0], "dopri5", rtol=1e-8)
    assert torch.allclose(sol.y[-1], np.exp(-10 * top) * y0, atol=1e-8)
