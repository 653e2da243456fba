"""Coefficients of implicit, additive and linearly implicit methods: order conditions by (coloured) rooted trees, stability."""

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from solvers import (
    ARS222,
    ARS443,
    Gauss4,
    Gauss6,
    KenCarp3,
    KenCarp4,
    Kvaerno3,
    Kvaerno4,
    Kvaerno5,
    RadauIIA3,
    RadauIIA5,
)
from solvers.integrators import rosenbrock
from solvers.integrators.ark import AdditiveTableau
from solvers.integrators.dirk import DiagonalTableau

DIAGONAL = [Kvaerno3, Kvaerno4, Kvaerno5]
ADDITIVE = [ARS222, ARS443, KenCarp3, KenCarp4]
GAUSS = {Gauss4: 1.0, Gauss6: -1.0}  # and R(-inf)
COLLOCATION = [RadauIIA3, RadauIIA5, Gauss4, Gauss6]
named = {"ids": lambda c: c.__name__}
Tree = tuple  # (colour of the root, sorted subtrees)


@cache
def trees(order: int, colours: int) -> list[Tree]:
    """All rooted trees with `order` nodes, every node in one of the colours."""
    if order == 1:
        return [(c, ()) for c in range(colours)]
    smaller = [t for k in range(1, order) for t in trees(k, colours)]
    below = list(forests(order - 1, smaller))
    return [(c, children) for c in range(colours) for children in below]


def forests(nodes: int, pool: list[Tree]) -> Iterator[tuple[Tree, ...]]:
    """All multisets of trees from the pool with so many nodes in all."""
    if nodes == 0:
        yield ()
    for i, tree in enumerate(pool):
        if size(tree) <= nodes:
            for rest in forests(nodes - size(tree), pool[i:]):
                yield (tree, *rest)


def size(tree: Tree) -> int:
    return 1 + sum(map(size, tree[1]))


def density(tree: Tree) -> int:
    return size(tree) * math.prod(map(density, tree[1]))


def stage_weights(tree: Tree, matrices: list[np.ndarray]) -> np.ndarray:
    factors = (matrices[child[0]] @ stage_weights(child, matrices) for child in tree[1])
    return math.prod(factors, start=np.ones(len(matrices[0])))


def violation(matrices: list[np.ndarray], weights: list[np.ndarray], order: int) -> float:
    """The largest `|b phi(tree) - 1 / density|` over the trees of exactly `order` nodes in all colourings."""
    every = trees(order, len(matrices))
    return max(abs(weights[t[0]] @ stage_weights(t, matrices) - 1 / density(t)) for t in every)


def has_order(matrices: list[np.ndarray], weights: list[np.ndarray], order: int) -> bool:
    """Whether a method is of this order and of no higher one."""
    below = max(violation(matrices, weights, k) for k in range(1, order + 1))
    return below < 2e-14 and violation(matrices, weights, order + 1) > 1e-4


def square(rows) -> np.ndarray:
    return np.array([(*row, *[0.0] * (len(rows) - len(row))) for row in rows])


def stability(a: np.ndarray, b: np.ndarray, z: complex) -> complex:
    """`R(z) = 1 + z b' (I - z A)^-1 1`; the last stage where its row is b', since that sum cancels for large z."""
    system, ones = np.eye(len(b)) - z * a, np.ones(len(b))
    stages = np.linalg.solve(system, ones) if np.triu(a, 1).any() else solve_triangular(system, ones, lower=True)
    return stages[-1] if np.array_equal(a[-1], b) else 1 + z * b @ stages


def is_a_stable(a: np.ndarray, b: np.ndarray) -> bool:
    return max(abs(stability(a, b, 1j * w)) for w in np.logspace(-3, 4, 400)) <= 1 + 1e-9


def stage_order(a: np.ndarray) -> int:
    """The largest q with `sum_j a_ij c_j^(k-1) = c_i^k / k` for k <= q, all stages."""
    c, q = a.sum(1), 0
    while q < 9 and np.abs(a @ c**q - c ** (q + 1) / (q + 1)).max() < 1e-13:
        q += 1
    return q


def test_trees_are_all_there():
    assert [len(trees(k, 1)) for k in range(1, 7)] == [1, 1, 2, 4, 9, 20]
    assert [len(trees(k, 2)) for k in range(1, 5)] == [2, 4, 14, 52]


@pytest.mark.parametrize("cls", DIAGONAL, **named)
def test_diagonally_implicit_pairs(cls):
    tab = cls.tableau
    a, b, low = square(tab.a), np.array(tab.a[-1]), np.array(tab.embedded)
    assert has_order([a], [b], cls.order)
    assert has_order([a], [low], tab.error_order) and tab.error_order == cls.order - 1
    assert is_a_stable(a, b) and abs(stability(a, b, -1e9)) < 1e-7, "L-stable"
    assert is_a_stable(a, low) and abs(stability(a, low, -1e9)) < 1
    assert stage_order(a) == 2
    assert np.allclose(a.sum(1), tab.c, atol=1e-14) and tab.c[-1] == 1.0


@pytest.mark.parametrize("cls", ADDITIVE, **named)
def test_additive_methods(cls):
    """All conditions of trees in two colours, those that couple the tableaux included; stiff accuracy; L-stability."""
    tab = cls.tableau
    a, e = square(tab.implicit), square([(*row, 0.0) for row in tab.explicit])
    b, d = np.array(tab.implicit_weights), np.array(tab.explicit_weights)
    assert max(violation([a, e], [b, d], k) for k in range(1, cls.order + 1)) < 2e-14
    assert violation([a], [b], cls.order + 1) > 1e-4, "of higher order than stated"
    assert np.allclose(a.sum(1), e.sum(1), atol=1e-14)
    assert np.array_equal(a[-1], b), "stiffly accurate"
    assert is_a_stable(a, b) and abs(stability(a, b, -1e9)) < 1e-7
    assert tab.last_is_new == cls.__name__.startswith("ARS")
    assert (tab.embedded is not None) == cls.adaptive
    if tab.embedded is not None:
        low = np.array(tab.embedded)
        assert has_order([a, e], [low, low], tab.error_order) and tab.error_order == cls.order - 1
        assert is_a_stable(a, low) and abs(stability(a, low, -1e9)) < 1
        assert stage_order(a) == 2


@pytest.mark.parametrize("cls", COLLOCATION, **named)
def test_collocation_methods(cls):
    nodes = cls.nodes
    a, b, s = nodes.a, nodes.b, len(nodes.c)
    assert has_order([a], [b], cls.order)
    assert stage_order(a) == s and is_a_stable(a, b)
    assert abs(stability(a, b, -1e9)) < 1e-7 if cls not in GAUSS else abs(stability(a, b, -1e9) - GAUSS[cls]) < 1e-7
    symplectic = np.abs(b[:, None] * a + b * a.T - np.outer(b, b)).max()
    assert (symplectic < 1e-15) == (cls in GAUSS)
    assert np.allclose(nodes.at(1.0) @ a, b, atol=1e-14)


@pytest.mark.parametrize("cls", [RadauIIA3, RadauIIA5], **named)
def test_error_estimates_of_collocation_methods(cls):
    """The embedded method has the extra stage 0 with the weight g; its order is the number of nodes."""
    nodes, s = cls.nodes, len(cls.nodes.c)
    a = np.zeros((s + 1, s + 1))
    a[1:, 1:] = nodes.a
    embedded = nodes.e @ nodes.a + nodes.b
    assert has_order([a], [np.array([nodes.filter, *embedded])], s)


def test_radau_5_filters_with_its_real_eigenvalue():
    real = [v.real for v in np.linalg.eigvals(RadauIIA5.nodes.a) if abs(v.imag) < 1e-12]
    assert real == pytest.approx([RadauIIA5.nodes.filter], abs=1e-14)


def test_conditions_of_the_w_method():
    """With any matrix: a condition for each tree in two colours, a node of the second (W) has one child; its value is 0."""
    alpha, gamma, b = rosenbrock.ALPHA, rosenbrock.GAMMA, rosenbrock.B

    def worst(weights: np.ndarray, order: int) -> float:
        return max(abs(weights @ w_weights(t) - (0 if has_w(t) else 1 / density(t))) for t in w_trees(order))

    def w_weights(tree: Tree) -> np.ndarray:
        factors = ((gamma if tree[0] else alpha) @ w_weights(child) for child in tree[1])
        return math.prod(factors, start=np.ones(len(b)))

    assert [len(w_trees(k)) for k in (1, 2, 3)] == [1, 2, 5]
    assert max(worst(b, k) for k in (1, 2, 3)) < 1e-14 < 1e-3 < worst(b, 4)
    assert max(worst(rosenbrock.EMBEDDED, k) for k in (1, 2)) < 1e-14 < 1e-3 < worst(rosenbrock.EMBEDDED, 3)
    exact = alpha + gamma  # with the Jacobian, on linear fields
    assert np.allclose(exact[-1], b, atol=1e-14), "stiffly accurate"
    assert is_a_stable(exact, b) and abs(stability(exact, b, -1e9)) < 1e-7
    assert rosenbrock.GAMMA.diagonal() == pytest.approx([rosenbrock.G] * 4)


def has_w(tree: Tree) -> bool:
    return bool(tree[0]) or any(map(has_w, tree[1]))


def w_trees(order: int) -> list[Tree]:
    """Trees with W nodes: every W node has exactly one child."""

    def allowed(tree: Tree) -> bool:
        return (not tree[0] or len(tree[1]) == 1) and all(map(allowed, tree[1]))

    return [t for t in trees(order, 2) if allowed(t)]


def test_wrong_tableaux_are_refused():
    with pytest.raises(ValueError, match="diagonal"):
        DiagonalTableau(((0.0,), (0.2, 0.3), (0.3, 0.3, 0.4)), (0.5, 0.5, 0.0), 1)
    with pytest.raises(ValueError, match="lengths"):
        DiagonalTableau(((0.5,), (0.5, 0.5)), (0.5, 0.5), 1)
    with pytest.raises(ValueError, match="weights"):
        DiagonalTableau(((0.0,), (0.5, 0.3)), (0.5, 0.5), 1)
    with pytest.raises(ValueError, match="rows 1"):
        AdditiveTableau(((0.0,), (0.0, 0.5)), ((), (0.4,)), (0.0, 1.0), (0.0, 1.0))
    with pytest.raises(ValueError, match="weights"):
        AdditiveTableau(((0.0,), (0.0, 0.5)), ((), (0.5,)), (0.0, 0.9), (0.0, 1.0))
