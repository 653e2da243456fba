"""Encodings against dense algebra: eigenvectors, return probabilities, DeepWalk's matrix, rows of PageRank."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import aslinearoperator

from neuralpde import Graph, GraphError, encodings
from neuralpde.encodings import deepwalk, laplacian_eigenvectors, personalized_pagerank, random_walk_returns
from neuralpde.encodings.spectrum import fix_signs, leading_eigenvectors
from neuralpde.operators import Laplacian

F64 = torch.float64
ALL = [getattr(encodings, name) for name in encodings.__all__]


def weighted(n, seed=0):
    """A connected random graph with random weights: no eigenvalue repeats."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(0, n, (2, 2 * n), generator=generator)
    ring = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    pairs = torch.unique(torch.cat([ring, pairs[:, pairs[0] < pairs[1]]], 1), dim=1)
    weight = torch.rand(pairs.shape[1], generator=generator, dtype=F64) + 0.5
    return Graph.from_edges(pairs, weight, num_nodes=n, undirected=True)


def dense(graph):
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=F64)
    a[graph.edge_index[1], graph.edge_index[0]] = graph.edge_weight(F64)
    return a, a.sum(1)


def side_by_side(*graphs):
    """As a batch."""
    shift = np.cumsum([0, *(g.num_nodes for g in graphs)])
    edges = torch.cat([g.edge_index + s for g, s in zip(graphs, shift, strict=False)], 1)
    batch = torch.cat([torch.full((g.num_nodes,), i) for i, g in enumerate(graphs)])
    return Graph.from_edges(edges, torch.cat([g.edge_weight(F64) for g in graphs]), num_nodes=int(shift[-1]), batch=batch)


class TestEigenvectors:
    @pytest.mark.parametrize("n", [30, 450], ids=["dense", "lanczos"])
    def test_are_those_of_the_laplacian(self, n):
        graph = weighted(n)
        got = laplacian_eigenvectors(graph, 6, dtype=F64)
        values, vectors = torch.linalg.eigh(Laplacian(graph, "sym").to_dense())
        assert values[0].abs() < 1e-12
        torch.testing.assert_close(got.T @ got, torch.eye(6, dtype=F64), rtol=0, atol=1e-11)
        expected = torch.from_numpy(fix_signs(vectors[:, 1:7].numpy()))
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-9)
        assert (got.gather(0, got.abs().argmax(0, keepdim=True)) > 0).all()

    def test_modes_of_a_path(self):
        """Of the path of 3 nodes: (1, 0, -1) / sqrt 2 and (1, -sqrt 2, 1) / 2, of the eigenvalues 1 and 2."""
        got = laplacian_eigenvectors(Graph.path(3), 2, dtype=F64)
        root = 2**0.5
        expected = torch.tensor([[1 / root, -0.5], [0, 1 / root], [-1 / root, -0.5]], dtype=F64)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)

    @pytest.mark.parametrize("shape", [(5, 5), (21, 21)], ids=["dense", "lanczos"])
    def test_none_of_a_repeated_eigenvalue_is_missed(self, shape):
        """On a square torus the first eigenvalue has four eigenvectors, the next four too."""
        graph = Graph.grid(*shape, periodic=True)
        x = laplacian_eigenvectors(graph, 8, dtype=F64)
        quotient = (x * (Laplacian(graph, "sym", dtype=F64).to_dense() @ x)).sum(0)
        angle = 2 * np.pi / shape[0]
        first = (1 - np.cos(angle)) / 2
        torch.testing.assert_close(quotient, torch.tensor([first] * 4 + [2 * first] * 4, dtype=F64), rtol=0, atol=1e-10)

    def test_components_are_left_out(self):
        """Sixty edges beside a path: their eigenvalue 2 is last, the kernel is of dimension 61 and not looked for."""
        edges = torch.arange(120).view(60, 2).T
        path = Graph.path(400)
        graph = Graph.from_edges(torch.cat([edges, path.edge_index + 121], 1), num_nodes=521, undirected=True)
        got = laplacian_eigenvectors(graph, 5, dtype=F64)
        assert float(got[:121].abs().max()) < 1e-10  # node 120 is alone
        torch.testing.assert_close(got[121:], laplacian_eigenvectors(path, 5, dtype=F64), rtol=0, atol=1e-8)

    def test_too_many_are_refused(self):
        with pytest.raises(GraphError, match="k = 5; 5 nodes in 1 components have 4"):
            laplacian_eigenvectors(Graph.path(5), 5)


def test_eigenvectors_of_falling_magnitude():
    generator = np.random.default_rng(0)
    q = np.linalg.qr(generator.standard_normal((450, 450)))[0]
    values = np.concatenate([[-9.0, 7.0, 7.0, 7.0, -7.0, 5.0, 4.0], generator.uniform(-1, 1, 443)])
    found, vectors = leading_eigenvectors(aslinearoperator((q * values) @ q.T), 6, seed=0)
    np.testing.assert_allclose(np.abs(found), [9, 7, 7, 7, 7, 5], atol=1e-9)
    np.testing.assert_allclose((q * values) @ q.T @ vectors, vectors * found, atol=1e-9)


class TestReturns:
    def test_are_diagonals_of_powers(self):
        graph = weighted(40)
        a, d = dense(graph)
        p = a / d.unsqueeze(1)
        expected = torch.stack([torch.linalg.matrix_power(p, r).diagonal() for r in range(1, 8)], 1)
        torch.testing.assert_close(random_walk_returns(graph, 7, dtype=F64), expected, rtol=0, atol=1e-14)

    def test_stated_values(self):
        """A walk on a complete graph of 4 is back after 2 steps with chance 1/3, after 3 with 2/9; never at once."""
        got = random_walk_returns(Graph.complete(4), 3, dtype=F64)
        torch.testing.assert_close(got, torch.tensor([[0.0, 1 / 3, 2 / 9]], dtype=F64).expand(4, 3), rtol=0, atol=1e-15)
        alone = Graph.from_edges([[0, 1], [1, 0]], num_nodes=3)
        assert random_walk_returns(alone, 2).tolist() == [[0, 1], [0, 1], [0, 0]]

    def test_in_blocks(self, monkeypatch):
        graph = weighted(40)
        whole = random_walk_returns(graph, 4, dtype=F64)
        monkeypatch.setattr("neuralpde.encodings.returns._BLOCK", 8 * 40 * 7)
        torch.testing.assert_close(random_walk_returns(graph, 4, dtype=F64), whole, rtol=0, atol=1e-15)


class TestDeepWalk:
    @pytest.mark.parametrize("n", [30, 450], ids=["dense", "lanczos"])
    def test_factorises_the_matrix_of_skip_gram(self, n):
        graph = weighted(n)
        a, d = dense(graph)
        p = a / d.unsqueeze(1)
        total = sum(torch.linalg.matrix_power(p, r) for r in range(1, 4))
        m = torch.log(torch.clamp(d.sum() / (2.0 * 3) * total / d, min=1.0))
        torch.testing.assert_close(m, m.T, rtol=0, atol=1e-12)
        u, s, _ = torch.linalg.svd(m)
        expected = torch.from_numpy(fix_signs(u[:, :5].numpy())) * s[:5].sqrt()
        torch.testing.assert_close(deepwalk(graph, 5, window=3, negative=2.0, dtype=F64), expected, rtol=0, atol=1e-8)

    def test_all_columns_give_the_matrix_back_where_it_is_positive(self):
        """Two nodes: M = log(2 [[1, 1], [1, 1]] / 2) of two steps, 0: each is as often seen as by chance."""
        pair = Graph.path(2)
        assert float(deepwalk(pair, 2, window=2).abs().max()) == 0
        one = deepwalk(pair, 2, window=1, dtype=F64)  # M = log 2 [[0, 1], [1, 0]]
        torch.testing.assert_close(one.square(), torch.full((2, 2), np.log(2) / 2, dtype=F64), rtol=0, atol=1e-14)

    def test_memory_is_estimated_before_it_is_taken(self, monkeypatch):
        monkeypatch.setattr("neuralpde.encodings.parts.free_memory", lambda device: 1e5)
        with pytest.raises(MemoryError, match=r"deepwalk on 450 nodes .* entries a row, .* in all; 97.7 KiB are free"):
            deepwalk(weighted(450), 4)

    def test_refusals(self):
        with pytest.raises(ValueError, match="window = 0"):
            deepwalk(Graph.path(4), 2, window=0)


class TestPageRank:
    def expected(self, graph, alpha, epsilon):
        a, _ = dense(graph)
        a = a + torch.eye(len(a), dtype=F64)
        root = a.sum(1).rsqrt()
        pi = alpha * torch.linalg.inv(torch.eye(len(a), dtype=F64) - (1 - alpha) * root[:, None] * a * root)
        return torch.where(pi >= epsilon, pi, 0.0)

    @pytest.mark.parametrize("n", [30, 450], ids=["dense", "lanczos"])
    def test_rows_in_principal_components(self, n):
        graph = weighted(n)
        rows = self.expected(graph, 0.2, 1e-3)
        centred = rows - rows.mean(0)
        _, s, vt = torch.linalg.svd(centred)
        got = personalized_pagerank(graph, 4, alpha=0.2, epsilon=1e-3, dtype=F64)
        torch.testing.assert_close(got, centred @ torch.from_numpy(fix_signs(vt[:4].T.numpy())), rtol=0, atol=1e-8)
        torch.testing.assert_close(got.square().sum(0).sqrt(), s[:4], rtol=1e-8, atol=0)

    def test_all_components_keep_all_distances(self):
        graph = weighted(25)
        rows = self.expected(graph, 0.15, 0.0)
        got = personalized_pagerank(graph, 25, epsilon=None, dtype=F64)
        torch.testing.assert_close(torch.cdist(got, got), torch.cdist(rows, rows), rtol=0, atol=1e-7)

    def test_each_component_is_centred(self):
        """Else each small component would take a column of its own."""
        pairs = torch.arange(40).view(20, 2).T
        path = Graph.path(10)
        graph = Graph.from_edges(torch.cat([pairs, path.edge_index + 41], 1), num_nodes=51, undirected=True)
        got = personalized_pagerank(graph, 3, dtype=F64)
        assert float(got[:41].abs().max()) < 1e-12 and got[41:].abs().amin(0).max() > 1e-3
        torch.testing.assert_close(got[41:].abs(), personalized_pagerank(path, 3, dtype=F64).abs(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("encode", ALL, ids=lambda f: f.__name__)
class TestEach:
    def test_the_same_on_every_run_and_of_the_default_type(self, encode):
        graph = weighted(450, 1)
        first = encode(graph, 4)
        assert first.shape == (450, 4) and first.dtype == torch.get_default_dtype()
        assert torch.equal(first, encode(graph, 4))

    def test_nodes_may_be_numbered_otherwise(self, encode):
        graph = weighted(30, 2)
        order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
        twin = Graph.from_edges(order[graph.edge_index].flip(1), graph.weight.flip(0), num_nodes=30)
        torch.testing.assert_close(encode(twin, 4, dtype=F64)[order], encode(graph, 4, dtype=F64), rtol=0, atol=1e-9)

    def test_graphs_of_a_batch_do_not_see_each_other(self, encode):
        one, two = weighted(12, 4), weighted(20, 5)
        got = encode(side_by_side(one, two), 3, dtype=F64)
        expected = torch.cat([encode(one, 3, dtype=F64), encode(two, 3, dtype=F64)])
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)

    def test_refusals(self, encode):
        with pytest.raises(ValueError, match="k = 0"):
            encode(Graph.path(4), 0)
        with pytest.raises(GraphError, match=encode.__name__):
            encode(Graph.from_edges([[0, 1], [1, 2]]), 1)
        with pytest.raises(GraphError, match="not negative"):
            encode(Graph.path(4).with_weight(-torch.ones(6)), 1)
        if encode is not random_walk_returns:
            with pytest.raises(GraphError, match="k = 7"):
                encode(Graph.path(4), 7)
