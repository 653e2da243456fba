"""What is refused, or warned of, before it is allocated."""

import warnings

import pytest
import torch

import solvers.linear.direct as direct
import solvers.memory as memory
from neuralpde import Graph
from neuralpde.operators import Laplacian
from solvers import Direct, Plain, Problem, Shifted, bytes_in_words
from solvers.linear.jacobian import linearise


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a GiB is free."""
    for module in (memory, direct):
        monkeypatch.setattr(module, "free_memory", lambda device: 2**28)


def test_words():
    assert [bytes_in_words(n) for n in (100, 1536, 3 * 2**20, 2**31)] == ["100 B", "1.5 KiB", "3 MiB", "2 GiB"]


def test_a_container_has_a_limit(tmp_path):
    for name, text in (("max", "1000"), ("current", "900"), ("stat", "anon 300\ninactive_file 600\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory._left_in_group(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max")
    assert memory._left_in_group(tmp_path) is None


def test_dense_matrices(small_machine):
    big = Laplacian(Graph.path(20_000))
    with pytest.raises(MemoryError, match=r"shape \(20,000, 20,000\) as a dense matrix takes about 2\.98 GiB; 256 MiB"):
        big.to_dense()
    assert Laplacian(Graph.path(20)).to_dense().shape == (20, 20)
    y = torch.zeros(8000, 1)
    with pytest.raises(MemoryError, match=r"The Jacobian of .*GMRES"):
        linearise(Problem(lambda t, y: y.sin(), Plain(), 1e-3, 1e-6), 0.0, y).to_dense()


def test_graphs(small_machine):
    with pytest.raises(MemoryError, match=r"A complete graph of 5,000 nodes, 24,995,000 edges"):
        Graph.complete(5000)
    with pytest.raises(MemoryError, match=r"A graph of 2,000 neighbours of 4,000 points"):
        Graph.knn(torch.rand(4000, 2), 2000)


def test_many_pairs_take_time(monkeypatch):
    monkeypatch.setattr("neuralpde.graph_build._MANY_PAIRS", 10_000)
    with pytest.warns(UserWarning, match=r"compares all 4\.0e\+04 pairs of 200 points in 20 dimensions"):
        Graph.knn(torch.rand(200, 20), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Graph.knn(torch.rand(200, 3), 3)


def test_factors(small_machine):
    """A mesh has room, a random graph has not; small systems are not looked at."""
    draw = torch.Generator().manual_seed(0)
    mesh = Shifted(Laplacian(Graph.grid(100, 100)), 1.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Direct().prepare(mesh, Plain()).solve(torch.ones(10_000, 1), rtol=1e-4).converged
    edges = torch.randint(10_000, (2, 30_000), generator=draw)
    drawn = Shifted(Laplacian(Graph.from_edges(edges, num_nodes=10_000, undirected=True)), 1.0, 1.0)
    with pytest.warns(UserWarning, match=r"the factors of 10,000 equations may fill up to about \d+ MiB; 256 MiB are free"):
        direct._warn_of_fill(direct.assembled(drawn))


def test_complete_graphs_are_not_made_from_a_matrix():
    for n in (1, 2, 5):
        expected = (1 - torch.eye(n, dtype=torch.int64)).nonzero().t()
        assert torch.equal(Graph.complete(n).edge_index, expected)
