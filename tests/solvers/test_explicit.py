"""Explicit Runge-Kutta methods: order conditions of every tableau by rooted trees, interpolants, error control, cost."""

import inspect
import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from problems import Nonlinear, Riccati, dense_laplacian, errors, heat, slope

from solvers import PI, PID, Integral, integrators, method_named, solve
from solvers.integrators import ExplicitRungeKutta, Tableau

METHODS = [
    getattr(integrators, name)
    for name in integrators.__all__
    if inspect.isclass(getattr(integrators, name))
    and issubclass(getattr(integrators, name), ExplicitRungeKutta)
    and hasattr(getattr(integrators, name), "tableau")
]
every_tableau = pytest.mark.parametrize("cls", METHODS, ids=lambda c: c.__name__)
Tree = tuple  # a rooted tree is the sorted tuple of its root's subtrees


@cache
def trees(order: int) -> list[Tree]:
    """All rooted trees with `order` nodes: 1, 1, 2, 4, 9, 20, 48, 115, 286 of them."""
    return [()] if order == 1 else forests(order - 1, order - 1)


@cache
def forests(nodes: int, largest: int) -> list[Tree]:
    """All multisets of trees with so many nodes in all, none larger than `largest`, as tuples that fall in size."""
    found: list[Tree] = [] if nodes else [()]
    for k in range(min(nodes, largest), 0, -1):
        for place, first in enumerate(trees(k)):
            for rest in forests(nodes - k, k):
                if not rest or size(rest[0]) < k or trees(k).index(rest[0]) >= place:
                    found.append((first, *rest))
    return found


def size(tree: Tree) -> int:
    return 1 + sum(map(size, tree))


def density(tree: Tree) -> int:
    return size(tree) * math.prod(map(density, tree))


def stage_weights(tree: Tree, a: np.ndarray) -> np.ndarray:
    return math.prod((a @ stage_weights(child, a) for child in tree), start=np.ones(len(a)))


def violation(tab: Tableau, weights, order: int, theta: float = 1.0) -> float:
    """The largest `|sum_i b_i phi_i(tree) - theta^|tree| / density|` over all trees of at most `order` nodes."""
    a = np.array([row + (0.0,) * (len(tab.c) - len(row)) for row in tab.a])
    every = [t for k in range(1, order + 1) for t in trees(k)]
    return max(abs(np.dot(weights, stage_weights(t, a)) - theta ** size(t) / density(t)) for t in every)


def test_trees_are_all_there():
    assert [len(trees(k)) for k in range(1, 10)] == [1, 1, 2, 4, 9, 20, 48, 115, 286]
    assert all(len(set(trees(k))) == len(trees(k)) for k in range(1, 10))
    assert sorted(map(density, trees(4))) == [4, 8, 12, 24]


@every_tableau
def test_row_sums(cls):
    tab = cls.tableau
    assert [sum(row) for row in tab.a] == pytest.approx(list(tab.c), abs=1e-14)
    assert sum(tab.b) == pytest.approx(1, abs=1e-14)
    assert tab.error is None or sum(tab.error) == pytest.approx(0, abs=1e-14)


@every_tableau
def test_order_conditions(cls):
    assert violation(cls.tableau, cls.tableau.b, cls.order) < 1e-13
    assert violation(cls.tableau, cls.tableau.b, cls.order + 1) > 1e-6, "of higher order than stated"


@every_tableau
def test_order_conditions_of_the_embedded_method(cls):
    tab = cls.tableau
    assert (tab.error is not None) == cls.adaptive
    if tab.error is not None:
        embedded = np.subtract(tab.b, tab.error)
        assert violation(tab, embedded, tab.error_order) < 1e-13
        next_order = tab.error_order + 1  # Fehlberg's 4(5) carries the lower order on
        assert max(violation(tab, embedded, next_order), violation(tab, tab.b, next_order)) > 1e-5


@every_tableau
def test_order_conditions_of_the_interpolant(cls):
    tab = cls.tableau
    assert (tab.dense is not None) == cls.dense_output
    for theta in (0.1, 0.5, 0.77, 1.0) if tab.dense else ():
        weights = [sum(c * theta ** (m + 1) for m, c in enumerate(row)) for row in tab.dense]
        assert violation(tab, weights, {8: 5}.get(cls.order, min(cls.order, 4)), theta) < 1e-12
        if theta == 1.0:
            assert weights == pytest.approx(list(tab.b), abs=1e-13)


@every_tableau
def test_rows_of_one_stage(cls):
    """They take an addition for a product."""
    tab = cls.tableau
    for row, alone in zip((*tab.a, tab.b), tab.alone, strict=True):
        kept = [(j, w) for j, w in enumerate(row) if w]
        assert alone == (kept[0] if len(kept) == 1 else None)


def test_a_wrong_tableau_is_refused():
    with pytest.raises(ValueError, match="row 1"):
        Tableau(c=(0.0, 0.5), a=((), (0.4,)), b=(0.0, 1.0))
    with pytest.raises(ValueError, match="weights"):
        Tableau(c=(0.0, 0.5), a=((), (0.5,)), b=(0.0, 0.9))
    with pytest.raises(ValueError, match="nodes"):
        Tableau(c=(0.0,), a=((), (0.5,)), b=(0.0, 1.0))


@pytest.mark.parametrize("name, order", [("dopri5", 4), ("tsit5", 4), ("bosh3", 3), ("dopri8", 5)])
@pytest.mark.parametrize("tracked", [False, True], ids=["buffered", "tracked"])
def test_order_of_dense_output(name, order, tracked):
    problem, steps, sizes = Nonlinear(), [10, 20, 40, 80], []
    times = [(k + 0.41) / 31 for k in range(31)]
    for count in steps:
        y0 = problem.exact(0.0).requires_grad_(tracked)
        sol = solve(problem, y0, [0.0, 1.0], name, dt=1 / count, save="dense")
        sizes.append(max(errors(sol(t), problem.exact(t)) for t in times))
    assert slope(steps, sizes) > order - 0.1  # the extension of order p errs by O(dt^(p + 1)) inside a step
    assert sizes[-1] < 1e-5


@pytest.mark.parametrize("name", ["bosh3", "dopri5", "tsit5"])
def test_dense_output_of_adaptive_steps_keeps_every_step(name):
    """Each segment owns its stages: none is overwritten by the steps after it."""
    problem = Nonlinear()
    sol = solve(problem, problem.exact(0.0), [0.0, 2.0], name, rtol=1e-7, save="dense")
    assert sol.stats.accepted > 5
    assert max(errors(sol(t), problem.exact(t)) for t in np.linspace(0, 2, 57)) < 2e-5
    back = solve(problem, problem.exact(2.0), [2.0, 0.0], name, rtol=1e-7, save="dense")
    assert max(errors(back(t), problem.exact(t)) for t in np.linspace(0, 2, 57)) < 1e-3


def test_slopes_are_not_overwritten_by_a_field_that_holds_its_result():
    kept = []

    def f(t, y):
        kept.append(torch.cos(t) * y)
        return kept[-1]

    solve(f, torch.ones(3, 1, dtype=torch.float64), [0.0, 1.0], "tsit5", dt=0.1)
    assert len({float(k[0]) for k in kept}) == len(kept)


@pytest.mark.parametrize(
    "name, stages", [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4), ("bosh3", 3), ("tsit5", 6), ("dopri8", 13)]
)
def test_evaluations_per_step(name, stages):
    """First same as last: the last stage is the first of the next step, also after a rejected one."""
    sol = solve(Riccati(), Riccati().exact(0.0), [0.0, 1.0], name, dt=0.1)
    last = method_named(name).tableau.first_same_as_last  # type: ignore[attr-defined]
    assert sol.stats.evaluations == 10 * stages + last


def test_rejected_steps_reuse_the_first_stage():
    sol = solve(Nonlinear(), Nonlinear().exact(0.0), [0.0, 2.0], "dopri5", controller=PID(first_dt=1.0), rtol=1e-8)
    assert sol.stats.rejected > 0
    assert sol.stats.evaluations == 1 + 6 * sol.stats.steps


@pytest.mark.parametrize("controller", [Integral(), PI(), PID(0.3, 0.4, 0.1)], ids=lambda c: repr(c)[:12])
def test_error_falls_with_the_tolerance(controller):
    problem, found, cost = Nonlinear(), [], []
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        sol = solve(problem, problem.exact(0.0), [0.0, 2.0], "dopri5", rtol=rtol, controller=controller)
        found.append(errors(sol.y[-1], problem.exact(2.0)))
        cost.append(sol.stats.evaluations)
    assert all(b < a / 10 for a, b in pairwise(found)) and found[-1] < 1e-8
    assert cost == sorted(cost)


def double_backward(run: Callable, *inputs) -> bool:
    return torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("name", ["euler", "rk4", "dopri5"])
def test_second_derivatives(name):
    y0 = torch.randn(2, 1, dtype=torch.float64, requires_grad=True)
    w = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert double_backward(lambda y, w: solve(lambda t, x: torch.tanh(w @ x), y, [0.0, 0.6], name, dt=0.3).y, y0, w)


@pytest.mark.parametrize("name", ["rk4", "dopri5", "tsit5", "bosh3"])
@pytest.mark.parametrize("kind, k", [("path", 3), ("cycle", 2)])
def test_heat_modes(name, kind, k):
    field, y0, value = heat(kind, 24, k)
    sol = solve(field, y0, [0.0, 1.0, 3.0], name, dt=0.05)
    for t, y in zip(sol.t.tolist(), sol.y, strict=True):
        assert torch.allclose(y, math.exp(-value * t) * y0, atol=1e-6)
    assert torch.allclose(sol.y.sum(1), y0.sum().expand(3, 1), atol=1e-12), "heat is conserved"


def test_complex_states():
    """Schroedinger on a cycle, y' = -i L y: each mode turns with its eigenvalue, the norm stays."""
    laplacian = dense_laplacian("cycle", 12).matrix.to(torch.complex128)
    _, y0, value = heat("cycle", 12, 3)
    sol = solve(lambda t, y: -1j * (laplacian @ y), y0.to(torch.complex128), [0.0, 2.0], "dopri5", rtol=1e-9)
    assert torch.allclose(sol.y[-1], np.exp(-2j * value) * y0.to(torch.complex128), atol=1e-7)


def test_a_field_that_begins_to_need_a_gradient_inside_a_step():
    w = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(2, 1, dtype=torch.float64)
    sol = solve(lambda t, y: y * (w if float(t.detach()) > 0.11 else 0.5), y0, [0.0, 1.0], "dopri5", dt=0.25)
    (grad,) = torch.autograd.grad(sol.y[-1].sum(), w)
    assert torch.allclose(sol.y[-1], math.exp(0.5) * y0, atol=1e-6)
    assert float(grad) > 0


def test_nothing_is_tracked_under_no_grad():
    w = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        sol = solve(lambda t, y: w * y, torch.ones(2, 1, dtype=torch.float64), [0.0, 1.0], "tsit5", rtol=1e-6)
    assert not sol.y.requires_grad
