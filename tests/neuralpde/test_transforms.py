"""Transforms: pure, indifferent to the numbering of the nodes, true to what they say they keep; each on a worked example."""

import inspect
import warnings

import pytest
import torch

from neuralpde import Graph, GraphError, Transform, transforms
from neuralpde.pdes import GRAND
from neuralpde.transforms import GDC, KNN, PPR, DropWeakest, Heat, LargestComponent, Undirected, diffusion_rows, gdc

EXPORTS = [
    cls for name in transforms.__all__ if inspect.isclass(cls := getattr(transforms, name)) and issubclass(cls, Transform)
]
OTHERS = [
    GDC(Heat(1.5), epsilon=0.02),
    GDC(PPR(0.3), normalization="rw", loops=False),
    GDC(PPR(0.3), top_k=3, normalization="col", renormalize=False),
    KNN(3, of="pos"),
    DropWeakest(0.5, renormalize=True),
    DropWeakest(0.0),
]
CASES = [(cls.__name__, cls.example()[0]) for cls in EXPORTS] + [(repr(t), t) for t in OTHERS]
each = pytest.mark.parametrize("transform", [t for _, t in CASES], ids=[name for name, _ in CASES])


def random_graph(seed: int, nodes: int = 24) -> Graph:
    """Undirected, of several components, with random weights, positions and data."""
    generator = torch.Generator().manual_seed(seed)
    edge = (torch.rand(nodes, nodes, generator=generator) < 1.5 / nodes).triu(1).nonzero().t()
    half = 0.5 + torch.rand(edge.size(1), generator=generator, dtype=torch.float64)
    x, pos = torch.randn(2, nodes, 3, generator=generator, dtype=torch.float64)
    both = torch.cat([edge, edge.flip(0)], 1)
    attr = torch.cat([half, half]).unsqueeze(1)
    return Graph.from_edges(both, half.repeat(2), nodes, pos=pos, edge_attr=attr, node={"x": x, "id": torch.arange(nodes)})


def renumbered(graph: Graph, order: torch.Tensor) -> Graph:
    """Node order[i] of the old graph is node i of the new one."""
    new = torch.empty_like(order)
    new[order] = torch.arange(len(order))
    node = {key: value[order] for key, value in graph.node.items()}
    edges, pos = new[graph.edge_index], graph.pos
    return Graph.from_edges(edges, graph.weight, graph.num_nodes, pos=None if pos is None else pos[order], node=node)


def by_name(graph: Graph) -> dict[tuple[int, int], float]:
    """Edges by the names of their ends, with weights."""
    ends = graph.node["id"][graph.edge_index].t().tolist()
    found = {(a, b): float(w) for (a, b), w in zip(ends, graph.edge_weight(torch.float64), strict=True)}
    assert len(found) == graph.num_edges
    return found


@each
def test_pure(transform):
    graph = random_graph(0)
    before = {key: value.clone() for key, value in graph.node.items()}
    edges, weight = graph.edge_index.clone(), graph.edge_weight().clone()
    first, second = transform(graph), transform(graph)
    assert torch.equal(graph.edge_index, edges) and torch.equal(graph.edge_weight(), weight)
    assert all(torch.equal(graph.node[key], value) for key, value in before.items())
    assert torch.equal(first.edge_index, second.edge_index) and torch.equal(first.edge_weight(), second.edge_weight())


@each
def test_indifferent_to_the_numbering(transform):
    for seed in range(3):
        graph = random_graph(seed)
        order = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(seed))
        one, other = transform(graph), transform(renumbered(graph, order))
        edges = by_name(one)
        assert edges == pytest.approx(by_name(other), rel=1e-9)
        assert one.node["id"].sort().values.tolist() == other.node["id"].sort().values.tolist()


@each
def test_keeps_what_it_says(transform):
    for seed in range(3):
        graph = random_graph(seed)
        after = transform(graph)
        if "nodes" in transform.keeps:
            assert after.num_nodes == graph.num_nodes and after.pos is graph.pos and after.batch is graph.batch
            assert after.node.keys() == graph.node.keys() and all(after.node[k] is graph.node[k] for k in graph.node)
        if "undirected" in transform.keeps:
            assert after.undirected
        if "edges" in transform.keeps:
            assert by_name(after).keys() <= by_name(graph).keys()
            assert after.edge_attr.shape == (after.num_edges, 1)
        if "row sums" in transform.keeps:
            torch.testing.assert_close(after.degree, torch.ones_like(after.degree))
        assert transform.keeps <= {"nodes", "undirected", "edges", "row sums"}


@pytest.mark.parametrize("cls", EXPORTS, ids=lambda cls: cls.__name__)
def test_example_runs_and_settings_compare(cls):
    transform, graph = cls.example()
    assert transform(graph).num_nodes > 0 and transform(graph.to_data()).num_nodes > 0
    assert transform == cls.example()[0] and hash(transform) == hash(cls.example()[0])


@each
def test_graphs_of_a_batch_do_not_see_each_other(transform):
    if isinstance(transform, LargestComponent):
        with pytest.raises(GraphError, match="is a batch"):
            transform(random_graph(0).repeat(2))
        return
    one, two = random_graph(1), random_graph(2)
    n = one.num_nodes
    both = Graph.from_edges(
        torch.cat([one.edge_index, two.edge_index + n], 1),
        torch.cat([one.edge_weight(), two.edge_weight()]),
        batch=torch.arange(2).repeat_interleave(n),
        pos=torch.cat([one.pos, two.pos]),
        node={"x": torch.cat([one.node["x"], two.node["x"]]), "id": torch.arange(2 * n)},
    )
    alone = by_name(transform(one)) | {(a + n, b + n): w for (a, b), w in by_name(transform(two)).items()}
    assert by_name(transform(both)) == pytest.approx(alone, rel=1e-9)


def dense_transition(graph: Graph, normalization: str, loop: float) -> torch.Tensor:
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = graph.edge_weight(torch.float64)
    a += loop * torch.eye(graph.num_nodes, dtype=torch.float64)
    rows, cols = (a.sum(d).clamp_min(1e-300) for d in (1, 0))
    if normalization == "sym":
        return a / (rows.sqrt()[:, None] * cols.sqrt()[None, :])
    return a / rows[:, None] if normalization == "rw" else a / cols[None, :]


def dense(graph: Graph) -> torch.Tensor:
    s = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    s[graph.edge_index[1], graph.edge_index[0]] = graph.edge_weight(torch.float64)
    return s


@pytest.mark.parametrize("normalization", ["sym", "rw", "col"])
@pytest.mark.parametrize("kernel", [PPR(0.15), PPR(0.9), PPR(1.0), Heat(3.0), Heat(40.0), Heat(0.0)], ids=repr)
def test_gdc_is_the_dense_matrix_function(kernel, normalization):
    directed = Graph.from_edges([[0, 1, 2, 3, 0, 4, 2], [1, 2, 0, 1, 3, 0, 4]], torch.rand(7, dtype=torch.float64) + 0.1)
    for graph, loop in ((random_graph(0), 1.0), (random_graph(1), 0.5), (directed, 1.0)):
        if normalization == "sym" and graph is directed:
            continue
        t = dense_transition(graph, normalization, loop)
        eye = torch.eye(len(t), dtype=torch.float64)
        if isinstance(kernel, PPR):
            expected = kernel.alpha * torch.linalg.inv(eye - (1 - kernel.alpha) * t)
        else:
            expected = torch.linalg.matrix_exp(-kernel.t * (eye - t))
        found = GDC(kernel, normalization=normalization, self_loop_weight=loop, renormalize=False)(graph)
        torch.testing.assert_close(dense(found), expected, rtol=0, atol=3e-12)


def test_gdc_keeps_the_largest_of_each_row():
    graph = random_graph(3)
    full = dense(GDC(PPR(0.2), renormalize=False)(graph))
    best = dense(GDC(PPR(0.2), top_k=4, renormalize=False)(graph))
    for row, kept in zip(full, best, strict=True):
        positive = int((row > 1e-12).sum())
        assert torch.equal(kept.sort(descending=True).values[:4], row.sort(descending=True).values[:4])
        assert int((kept > 0).sum()) == min(4, positive)
    large = dense(GDC(PPR(0.2), epsilon=0.05, renormalize=False)(graph))
    assert torch.equal(large, torch.where(full >= 0.05, full, 0))
    bare = GDC(PPR(0.2), top_k=4, loops=False)(graph)
    assert not bool((bare.edge_index[0] == bare.edge_index[1]).any())


def test_gdc_on_two_nodes():
    """T = [[1, 1], [1, 1]] / 2 with self-loops: S = alpha I + (1 - alpha) T."""
    s = dense(GDC(PPR(0.2))(Graph.path(2)))
    torch.testing.assert_close(s, torch.tensor([[0.6, 0.4], [0.4, 0.6]], dtype=torch.float64), rtol=0, atol=1e-7)


def test_gdc_refuses_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(diffusion_rows, "free_memory", lambda device: 10_000)
    graph = Graph.grid(10, 10)
    with pytest.raises(MemoryError, match=r"1,000 entries .* takes 46.9 KiB; 9.77 KiB are free"):
        GDC(top_k=10)(graph)
    with pytest.raises(MemoryError, match="larger epsilon"):
        GDC(epsilon=1e-6)(graph)
    assert GDC(top_k=1)(graph).num_edges == 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GDC(PPR(0.5), top_k=1)(graph)
    monkeypatch.setattr(gdc, "_SLOW", 1e6)
    with pytest.warns(UserWarning, match=r"100 unit vectors, about .* multiplications; a larger alpha"):
        GDC(PPR(0.05), top_k=1)(graph)


def test_knn_of_a_line_and_of_a_state():
    points = torch.tensor([0.0, 1.0, 2.5, 4.5, 10.0])
    graph = Graph.ring(5).with_node(u=points)
    expected = {(0, 1), (1, 2), (2, 3), (3, 4)}
    found = {(a, b) for a, b in KNN(1, of="u")(graph).edge_index.t().tolist() if a < b}
    assert found == expected
    moved = KNN(1, of="u")(graph.with_node(u=points.flip(0)))
    assert {(4 - b, 4 - a) for a, b in moved.edge_index.t().tolist() if a < b} == expected
    with pytest.raises(GraphError, match=r"no node data 'x' \(it has u, pos\)"):
        KNN(1)(graph)


def test_drop_weakest_drops_the_share():
    graph = Graph.ring(4).with_weight(torch.tensor([4.0, 1.0, 3.0, 2.0]).repeat(2))
    assert sorted(DropWeakest(0.5)(graph).weight.tolist()) == [3.0, 3.0, 4.0, 4.0]
    assert sorted(DropWeakest(0.26)(graph).weight.tolist()) == [2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
    assert DropWeakest(0.5)(Graph.ring(4)).num_edges == 8  # equal weights: all stay
    normal = DropWeakest(0.5, renormalize=True)(graph)
    torch.testing.assert_close(normal.degree, torch.tensor([3 / 3, 4 / 4, 1.0, 1.0])[[0, 1, 2, 3]])
    weight = graph.edge_weight().requires_grad_()
    DropWeakest(0.5)(graph.with_weight(weight)).weight.sum().backward()
    assert weight.grad.tolist() == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def test_drop_weakest_by_the_attention_of_an_equation():
    pde, graph, u0 = GRAND.example()
    matrix = pde.on(graph, u0).attention(u0).to_dense().detach()
    source, target = graph.edge_index
    kept = DropWeakest(0.3)(graph.with_weight(matrix[target, source]))
    assert kept.num_edges == graph.num_edges - int(0.3 * graph.num_edges)
    assert float(kept.weight.min()) >= float(matrix[target, source].sort().values[int(0.3 * graph.num_edges)])


def test_largest_component_of_a_triangle_beside_an_edge():
    transform, graph = LargestComponent.example()
    graph = graph.with_node(x=torch.arange(5.0))
    found = transform(graph)
    assert found.num_nodes == 3 and found.node["x"].tolist() == [0.0, 2.0, 4.0]
    assert sorted(found.edge_index.t().tolist()) == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    directed = Graph.from_edges([[0, 2, 3], [1, 1, 4]])  # 0 -> 1 <- 2 hang together
    assert transform(directed).num_nodes == 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GDC(top_k=3, epsilon=0.1), "expected one of them"),
        (lambda: GDC(top_k=0), "top_k = 0"),
        (lambda: GDC(epsilon=0.0), "epsilon = 0.0"),
        (lambda: GDC(normalization="symm"), "Did you mean 'sym'"),
        (lambda: GDC(self_loop_weight=-1.0), "self_loop_weight"),
        (lambda: PPR(0.0), "alpha = 0.0"),
        (lambda: Heat(-1.0), "t = -1.0"),
        (lambda: DropWeakest(1.0), "share = 1.0"),
        (lambda: GDC()(Graph.from_edges([[0], [1]])), "undirected"),
        (lambda: GDC()(Graph.ring(3).with_weight(-torch.ones(6))), "negative weights"),
        (lambda: DropWeakest(0.1, renormalize=True)(Graph.ring(3).with_weight(-torch.ones(6))), "negative weights"),
        (lambda: KNN(5)(Graph.ring(3).with_node(x=torch.rand(3))), "k=5"),
    ],
)
def test_refuses(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_undirected_adds_reverse_edges_and_means_weights():
    directed = Graph.from_edges([[0, 1, 1], [1, 0, 2]], torch.tensor([1.0, 3.0, 5.0]))
    found = Undirected()(directed)
    dense = torch.zeros(3, 3).index_put((found.edge_index[1], found.edge_index[0]), found.weight)
    assert found.undirected and torch.equal(dense, torch.tensor([[0.0, 2, 0], [2, 0, 5], [0, 5, 0]]))
