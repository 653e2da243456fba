"""The contract of every operator, and the four Laplacians against dense algebra."""

import inspect

import pytest
import torch

from neuralpde import Graph, GraphError, operators
from neuralpde.datasets import salish_sea
from neuralpde.operators import (
    Adjacency,
    Attention,
    Divergence,
    Gradient,
    GraphOperator,
    Laplacian,
    Score,
    edge_softmax,
    reverse_edges,
)
from solvers import Scaled, SparseOperator

EXPORTS = [getattr(operators, name) for name in operators.__all__]
CLASSES = [e for e in EXPORTS if inspect.isclass(e) and not inspect.isabstract(e) and not issubclass(e, Score)]
CONCRETE = [e for e in CLASSES if e is not GraphOperator]
F64 = torch.float64


def weighted(graph, seed=0):
    w = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(seed), dtype=F64) + 0.1
    return graph.with_weight((w + w[reverse_edges(graph)]) / 2)


@pytest.fixture
def graph():
    return weighted(Graph.grid(4, 5))


@pytest.mark.parametrize("cls", CONCRETE)
class TestContract:
    def test_is_linear_and_equals_its_dense_matrix(self, cls):
        a = cls.example()
        x, y = torch.randn(2, a.shape[1], 3, dtype=F64)
        torch.testing.assert_close(a(2 * x - 3 * y), 2 * a(x) - 3 * a(y), rtol=0, atol=1e-13)
        torch.testing.assert_close(a(x), a.to_dense() @ x, rtol=0, atol=1e-13)
        torch.testing.assert_close(torch.from_numpy(a.to_scipy().toarray()), a.to_dense(), rtol=0, atol=0)
        if a.shape[0] == a.shape[1]:
            torch.testing.assert_close(a.diagonal(), a.to_dense().diagonal(), rtol=0, atol=1e-15)

    def test_acts_on_axis_minus_two(self, cls):
        a = cls.example()
        x = torch.randn(2, a.shape[1], 3, dtype=F64)
        torch.testing.assert_close(a(x), torch.stack([a(x[0]), a(x[1])]), rtol=0, atol=1e-15)

    def test_adjoint(self, cls):
        a = cls.example()
        torch.testing.assert_close(a.adjoint.to_dense(), a.to_dense().mT, rtol=0, atol=1e-15)

    def test_flags_are_true(self, cls):
        a = cls.example()
        dense = a.to_dense()
        if a.symmetric:
            assert torch.equal(dense, dense.mT)
        if a.semidefinite:
            assert torch.linalg.eigvalsh(dense)[0] > -1e-14
        if a.metzler:
            assert (dense - dense.diagonal().diag() >= 0).all()

    def test_bounds_contain_the_spectrum(self, cls):
        a = cls.example()
        if a.shape[0] == a.shape[1]:
            real = torch.linalg.eigvals(a.to_dense()).real
            lo, hi = a.bounds()
            assert lo - 1e-12 <= real.min() and real.max() <= hi + 1e-12

    def test_text_is_short(self, cls):
        assert len(repr(cls.example())) < 100


class TestLaplacian:
    def test_equals_its_definition(self, graph):
        w = torch.zeros(20, 20, dtype=F64)
        w[graph.edge_index[1], graph.edge_index[0]] = graph.weight
        d = w.sum(1)
        expected = {
            "none": d.diag() - w,
            "rw": torch.eye(20, dtype=F64) - w / d[:, None],
            "sym": torch.eye(20, dtype=F64) - w / (d[:, None] * d).sqrt(),
            "col": torch.eye(20, dtype=F64) - w / d,
        }
        for name, dense in expected.items():
            torch.testing.assert_close(Laplacian(graph, name).to_dense(), dense, rtol=0, atol=1e-14)

    def test_is_gradient_transposed_gradient(self, graph):
        g, div = Gradient(graph).to_dense(), Divergence(graph)
        lap = Laplacian(graph).to_dense()
        torch.testing.assert_close(g.mT @ g, lap, rtol=0, atol=1e-14)
        x = torch.randn(20, 2, dtype=F64)
        torch.testing.assert_close(div(Gradient(graph)(x)), -lap @ x, rtol=0, atol=1e-14)
        plain = Gradient(graph, weighted=False).to_dense()
        assert plain.shape == (graph.num_edges // 2, 20) and set(plain.unique().tolist()) == {-1.0, 0.0, 1.0}

    @pytest.mark.parametrize("name", ["none", "rw", "sym", "col"])
    def test_bounds_are_guaranteed_and_tight(self, graph, name):
        for g in (graph, Graph.complete(7), Graph.path(9), Graph.from_edges([[0] * 8, list(range(1, 9))], undirected=True)):
            lap = Laplacian(g, name, dtype=F64)
            top = float(torch.linalg.eigvals(lap.to_dense()).real.max())
            assert lap.bounds()[0] == 0 and top <= lap.bounds()[1] <= 2.2 * top
            assert lap.generator(0.5).bounds() == pytest.approx((-lap.bounds()[1] / 2, 0))
            assert lap.generator(0.5).metzler

    def test_star_bound_is_exact(self):
        star = Graph.from_edges([[0] * 8, list(range(1, 9))], undirected=True)
        assert Laplacian(star).bounds()[1] == pytest.approx(9.0)  # twice the largest degree would be 16

    def test_mass(self, graph):
        mass = torch.rand(20, dtype=F64) + 0.5
        lap = Laplacian(graph).to_dense()
        torch.testing.assert_close(Laplacian(graph, "rw", mass=mass).to_dense(), lap / mass[:, None])
        torch.testing.assert_close(Laplacian(graph, "col", mass=mass).to_dense(), lap / mass)
        sym = Laplacian(graph, "sym", mass=mass)
        torch.testing.assert_close(sym.to_dense(), lap / (mass[:, None] * mass).sqrt())
        assert sym.symmetric and sym.semidefinite
        assert float(torch.linalg.eigvalsh(sym.to_dense())[-1]) <= sym.bounds()[1]
        with pytest.raises(ValueError, match='mass given with normalization="none"'):
            Laplacian(graph, mass=mass)
        with pytest.raises(ValueError, match="one positive number per node"):
            Laplacian(graph, "rw", mass=mass - 2)

    def test_self_loops_are_those_of_gcn(self, graph):
        a = Adjacency(graph, "sym", self_loops=True).to_dense()
        lap = Laplacian(graph, "sym", self_loops=True).to_dense()
        torch.testing.assert_close(lap, torch.eye(20, dtype=F64) - a, rtol=0, atol=1e-14)

    def test_known_spectra_of_the_grid(self):
        grid = Graph.grid(10, 10)
        for lap, second, top in (
            (Laplacian(grid, "sym", dtype=F64), 0.028598008320, 2.0),
            (Laplacian(grid, "sym", self_loops=True, dtype=F64), 0.022146668638, 1.578588153364),
            (Laplacian(grid, dtype=F64), 0.097886967410, 7.804226065181),
        ):
            e = torch.linalg.eigvalsh(lap.to_dense())
            assert float(e[1]) == pytest.approx(second, abs=1e-11) and float(e[-1]) == pytest.approx(top, abs=1e-11)

    def test_gradient_in_the_weights(self, graph):
        x = torch.randn(20, 2, dtype=F64)
        half = graph.weight[: graph.num_edges // 2].clone().requires_grad_()
        for name in ("none", "sym", "rw", "col"):
            assert torch.autograd.gradcheck(lambda w, n=name: Laplacian(graph, n, weight=torch.cat([w, w]))(x), half)
            assert torch.autograd.gradcheck(lambda w, n=name: Laplacian(graph, n, conductivity=torch.cat([w, w]))(x), half)

    def test_directed(self):
        directed = Graph.from_edges([[0, 1, 2, 0], [1, 2, 0, 2]])
        for name in ("none", "sym"):
            with pytest.raises(GraphError, match="needs an undirected graph: 2 of 4 edges have no reverse") as error:
                Laplacian(directed, name)
            assert "to_undirected()" in str(error.value)
            Laplacian(directed.to_undirected(), name)  # the fix that it suggests
        ones = torch.ones(3, dtype=F64)
        assert float(Laplacian(directed, "rw", dtype=F64)(ones).abs().max()) == 0
        assert float((ones @ Laplacian(directed, "col", dtype=F64).to_dense()).abs().max()) < 1e-15

    def test_isolated_nodes_keep_their_value(self):
        lonely = Graph.from_edges([[0, 1], [1, 0]], num_nodes=4)
        for name in ("rw", "sym", "col"):
            with pytest.warns(UserWarning, match=r"2 isolated nodes \(first: 2\) keep their value") as caught:
                lap = Laplacian(lonely, name, dtype=F64)
            assert name in str(caught[0].message)
            assert not lap.to_dense()[2:].any()

    def test_unsymmetric_weights_are_refused(self, graph):
        with pytest.raises(GraphError, match=r"weight differs between an edge and its reverse on 2 of"):
            Laplacian(graph, weight=graph.weight + torch.eye(graph.num_edges, dtype=F64)[3])
        with pytest.raises(ValueError, match="expected one per edge"):
            Laplacian(graph, weight=torch.ones(3))
        with pytest.raises(ValueError, match="Did you mean 'sym'"):
            Laplacian(graph, "symm")

    def test_signed(self):
        signed = Graph.from_edges([[0, 1, 1, 2], [1, 0, 2, 1]], torch.tensor([1.0, 1, -3, -3], dtype=F64), signed=True)
        lap = Laplacian(signed)
        e = torch.linalg.eigvalsh(lap.to_dense())
        assert not lap.semidefinite and lap.bounds()[0] <= e[0] < 0 and not lap.generator().metzler
        with pytest.raises(GraphError, match="divides by degrees"):
            Laplacian(signed, "sym")

    def test_finite_volumes_of_the_sea(self):
        sea = salish_sea()
        lap = Laplacian(sea, "sym", mass=sea.node["area"])
        root = sea.node["area"].sqrt()
        assert lap.symmetric and lap.semidefinite
        assert float(lap(root).abs().max()) < 1e-12 * float(root.max())  # a flat surface stays flat


def test_a_rate_that_is_learned_alone_stays_a_factor():
    lap = Laplacian(Graph.grid(3, 3), "rw", dtype=F64)
    rate = torch.tensor(0.7, dtype=F64, requires_grad=True)
    A, same = lap.generator(rate), lap.generator(0.7)
    assert isinstance(A, Scaled) and A.metzler and A.bounds() == pytest.approx(same.bounds())
    torch.testing.assert_close(A.to_dense(), same.to_dense())
    x, y = torch.randn(2, 9, 3, dtype=F64)
    (slope,) = torch.autograd.grad((A(x) * y).sum(), rate)
    torch.testing.assert_close(slope, -(lap(x) * y).sum())
    assert not lap.generator(-rate).metzler
    learned = Laplacian(Graph.ring(4), "rw", weight=torch.ones(8, dtype=F64, requires_grad=True))
    assert isinstance(learned.generator(rate), SparseOperator)


class TestAttention:
    def test_against_a_loop(self):
        graph = Graph.from_edges([[0, 1, 2, 2, 1], [1, 0, 1, 2, 2]])  # one self-loop already there
        q, k = torch.randn(2, 3, 6, dtype=F64)
        for norm, activation in (("row", "softmax"), ("col", "softmax"), ("row", "squareplus"), ("col", "squareplus")):
            expected = torch.zeros(3, 3, dtype=F64)
            for h in range(2):
                s = q[:, 3 * h : 3 * h + 3] @ k[:, 3 * h : 3 * h + 3].mT / 3**0.5
                e = s.exp() if activation == "softmax" else (s + (s * s + 4).sqrt()) / 2
                mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=F64)
                e = e * mask
                expected += e / e.sum(1 if norm == "row" else 0, keepdim=True) / 2
            got = Attention(graph, q, k, heads=2, norm=norm, activation=activation)
            torch.testing.assert_close(got.to_dense(), expected, rtol=0, atol=1e-14)

    def test_rows_or_columns_sum_to_one(self, graph):
        q, k = torch.randn(2, 20, 8, dtype=F64) * 30
        for norm, dim in (("row", 1), ("col", 0)):
            for activation in ("softmax", "squareplus"):
                a = Attention(graph, q, k, heads=4, norm=norm, activation=activation).to_dense()
                torch.testing.assert_close(a.sum(dim), torch.ones(20, dtype=F64), rtol=0, atol=1e-14)
                assert (a >= 0).all()

    def test_generator_is_attention_minus_identity(self):
        a = Attention.example()
        n = a.shape[0]
        rate = torch.tensor(0.7, dtype=F64)
        torch.testing.assert_close(a.generator(rate).to_dense(), 0.7 * (a.to_dense() - torch.eye(n, dtype=F64)))
        assert a.generator(rate).metzler

    def test_gradients(self, graph):
        q, k, x = torch.randn(3, 20, 4, dtype=F64)
        q.requires_grad_(), k.requires_grad_()
        for activation in ("softmax", "squareplus"):
            assert torch.autograd.gradcheck(lambda q, k, a=activation: Attention(graph, q, k, heads=2, activation=a)(x), (q, k))

    def test_extreme_scores_stay_finite(self):
        s = torch.tensor([-1e8, 0.0, 1e8, -1e8], dtype=F64)
        for activation in ("softmax", "squareplus"):
            w = edge_softmax(s, torch.tensor([0, 0, 0, 1]), 2, activation)
            assert torch.isfinite(w).all() and float(w[3]) == 1

    def test_refusals(self, graph):
        q = torch.randn(20, 6)
        with pytest.raises(ValueError, match="a width that 4 heads divide"):
            Attention(graph, q, q, heads=4)
        with pytest.raises(ValueError, match="Did you mean 'softmax'"):
            Attention(graph, q, q, activation="softmx")


def test_reverse_edges_pairs_parallel_edges():
    graph = Graph.from_edges([[0, 1, 0, 1, 2, 2], [1, 0, 1, 0, 2, 2]])
    reverse = reverse_edges(graph)
    assert torch.equal(graph.edge_index[:, reverse], graph.edge_index.flip(0))
    assert torch.equal(reverse[reverse], torch.arange(6))


def test_gradient_refuses_negative_weights():
    signed = Graph.from_edges([[0, 1], [1, 0]], torch.tensor([-1.0, -1.0]), signed=True)
    with pytest.raises(GraphError, match="roots of the weights"):
        Gradient(signed)
    assert Gradient(signed, weighted=False).shape == (1, 2)
