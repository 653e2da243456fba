"""R(z) of every one-step method: formulas, order, stated intervals; one step as a spectral filter of a graph."""

import cmath
import math

import numpy as np
import pytest
import torch
from problems import dense_laplacian, laplacian

from solvers import RKC2, LinearFlow, StabilityFunction, available, filter_of, method_named, solve, stability_function

F64 = torch.float64


def one_step() -> list[str]:
    found = []
    for name in available():
        try:
            stability_function(name)
        except TypeError:
            continue
        found.append(name)
    return found


NAMES = one_step()
OTHERS = sorted(set(available()) - set(NAMES))


def taylor(order: int):
    return lambda z: sum(z**k / math.factorial(k) for k in range(order + 1))


G = 1 - 1 / math.sqrt(2)
FORMULAS = {
    "euler": taylor(1),
    "midpoint": taylor(2),
    "heun": taylor(2),
    "ralston": taylor(2),
    "rkc2": taylor(2),  # two stages at these z
    "heun3": taylor(3),
    "ssprk3": taylor(3),
    "bosh3": taylor(3),
    "rk4": taylor(4),
    "rk438": taylor(4),
    "fehlberg": lambda z: taylor(4)(z) + z**5 / 104,
    "dopri5": lambda z: taylor(5)(z) + z**6 / 600,
    "implicit_euler": lambda z: 1 / (1 - z),
    "crank_nicolson": lambda z: (1 + z / 2) / (1 - z / 2),
    "sdirk2": lambda z: (1 + (1 - 2 * G) * z) / (1 - G * z) ** 2,
    "trbdf2": lambda z: (1 + (1 - 2 * G) * z) / (1 - G * z) ** 2,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name):
    z = [0.0, -0.3, 0.2, -0.9 + 0.4j, 0.3j, -0.5 - 0.25j]
    found = stability_function(name)(z)
    assert found.dtype == torch.complex128
    assert torch.allclose(
        found, torch.tensor([complex(FORMULAS[name](x)) for x in z], dtype=torch.complex128), rtol=1e-10, atol=1e-11
    )


@pytest.mark.parametrize("name", NAMES)
def test_approximates_the_exponential_to_the_stated_order(name):
    method, r = method_named(name), stability_function(name)
    assert float(r(0.0)) == pytest.approx(1.0, abs=1e-12)
    if math.isinf(method.order):
        z = [-2.0, -0.3, -1e-3]
        assert r(z).tolist() == pytest.approx(np.exp(z), rel=1e-8)
        return
    steps = (1.0, 0.5) if method.order > 6 else (0.2, 0.1)
    coarse, fine = (abs(float(r(-h)) - math.exp(-h)) for h in steps)
    assert fine < 1e-10 or math.log2(coarse / fine) > method.order + 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", ["real", "imaginary"])
def test_stated_intervals(name, axis):
    method, r = method_named(name), stability_function(name)
    limit = getattr(method, f"{axis}_stability")
    if limit is None or math.isinf(method.order):
        return
    along = -1.0 if axis == "real" else 1j
    count = 200 if method.explicit else 12
    reach = [10.0**k for k in range(-1, 5)] if math.isinf(limit) else [limit * (k + 0.5) / count for k in range(count)]
    assert all(float(abs(r(along * x))) <= 1 + 1e-9 for x in reach if x > 0)
    if not math.isinf(limit):
        assert max(float(abs(r(along * (limit * 1.001 + c)))) for c in (0.0, *((0.1, 0.5, 1.0) if limit == 0 else ()))) > 1


@pytest.mark.parametrize("name", OTHERS)
def test_methods_without_one(name):
    method = method_named(name)
    reason = "2 x 2" if method.needs == "partitioned" else "last state"
    with pytest.raises(TypeError, match=reason):
        stability_function(name)


def test_multistep_methods_are_told_apart():
    assert {"ab2", "ab3", "ab4", "ab5", "abm2", "abm4", "bdf2", "leapfrog", "graphcon", "yoshida6"} <= set(OTHERS)
    assert {"euler", "dopri8", "implicit_euler", "trbdf2", "rkc2", "rkl2"} <= set(NAMES)


def test_many_stages():
    """A fixed number of stages is one polynomial; without one each z gets the stages that it needs."""
    z = torch.linspace(-60, 0, 13, dtype=F64)
    fixed = stability_function(RKC2(stages=10))(z)
    assert fixed.tolist() == pytest.approx([RKC2.recursion(10).at(x) for x in z.tolist()], abs=1e-12)
    free = stability_function("rkc2")(z)
    assert free.tolist() == pytest.approx([RKC2.recursion(RKC2.needed(-x)).at(x) for x in z.tolist()], abs=1e-12)


@pytest.mark.parametrize("name, dt", [("euler", 0.2), ("dopri5", 0.3), ("trbdf2", 2.0), ("crank_nicolson", 1.0)])
def test_a_step_is_the_filter(name, dt):
    """On heat, one step is V R(-dt lambda) V'."""
    operator = dense_laplacian("path", 12)
    values, vectors = torch.linalg.eigh(operator.matrix)
    y0 = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 3)))
    one = solve(LinearFlow(-1.0 * operator), y0, [0.0, dt], name, dt=dt, rtol=1e-12, atol=1e-14).y[-1]
    factors = filter_of(name, dt)(-values)
    assert factors.dtype == F64 and factors.shape == (12,)
    assert torch.allclose(vectors @ (factors.unsqueeze(1) * (vectors.T @ y0)), one, atol=1e-9)


def test_explicit_euler_is_a_graph_convolution_and_implicit_euler_personalised_pagerank():
    """A = P - I, P = D^-1/2 W D^-1/2: (1 - dt) I + dt P, and alpha sum_k (1 - alpha)^k P^k with alpha = 1 / (1 + dt)."""
    matrix = torch.from_numpy(laplacian("path", 9))
    degree = matrix.diagonal()
    p = torch.eye(9, dtype=F64) - matrix / (degree[:, None] * degree[None, :]).sqrt()
    values, vectors = torch.linalg.eigh(p)
    euler, pagerank = (vectors @ torch.diag(filter_of(n, 3.0)(values - 1)) @ vectors.T for n in ("euler", "implicit_euler"))
    assert torch.allclose(filter_of("euler", 1.0)(values - 1), values, atol=1e-14), "dt = 1: the layer is P itself"
    assert torch.allclose(euler, -2 * torch.eye(9, dtype=F64) + 3 * p, atol=1e-12)
    alpha, power, expected = 1 / 4, torch.eye(9, dtype=F64), torch.zeros(9, 9, dtype=F64)
    for k in range(200):
        expected += alpha * (1 - alpha) ** k * power
        power = power @ p
    assert torch.allclose(pagerank, expected, atol=1e-12)


def test_shapes_and_kinds():
    r = stability_function("rk4")
    assert isinstance(r, StabilityFunction) and r == stability_function(method_named("rk4"))
    assert r(torch.zeros(2, 3)).shape == (2, 3) and r(-0.4).dtype == F64 and r(1).shape == ()
    assert complex(r(0.5j)) == pytest.approx(sum((0.5j) ** k / math.factorial(k) for k in range(5)))
    assert abs(complex(r(0.1 + 0.1j)) - cmath.exp(0.1 + 0.1j)) < 1e-6
    assert r(torch.tensor([0.3], requires_grad=True)).requires_grad is False
    with pytest.raises(ValueError, match="finite"):
        filter_of("rk4", math.inf)
