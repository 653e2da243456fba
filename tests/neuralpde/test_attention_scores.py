"""The scores of attention against dense formulas, and what holds of the weights for every one of them."""

import pytest
import torch
from torch.nn import functional as F

from neuralpde import Graph, GraphError
from neuralpde.operators import Attention
from neuralpde.operators.attention import attention_by_head
from neuralpde.operators.attention_layout import layout_of
from neuralpde.operators.attention_mixing import ChannelMixing, Relaxation
from neuralpde.operators.attention_pattern import attention_pattern, entry_weights, strongest_edges, walk_weights
from neuralpde.operators.attention_weights import head_weights
from neuralpde.operators.scores import SCORES, ExpKernel

F64 = torch.float64
DENSE = {
    "scaled_dot": lambda q, k: q @ k.T / q.shape[1] ** 0.5,
    "cosine": lambda q, k: F.cosine_similarity(q[:, None], k[None], dim=-1),
    "pearson": lambda q, k: torch.corrcoef(torch.cat([q, k]))[: len(q), len(q) :],
    "exp_kernel": lambda q, k: torch.exp(-torch.cdist(q, k).square() / 2),
    "additive": lambda q, k: F.leaky_relu(q + k.T, 0.2),
}


def setting(score, heads=2):
    torch.manual_seed(0)
    width = heads if score == "additive" else 4 * heads
    graph = Graph.grid(3, 4)
    return graph, *torch.randn(2, 12, width, dtype=F64).unbind(0)


def entries(graph):
    there = torch.eye(graph.num_nodes, dtype=F64)
    source, target = graph.edge_index
    return there.index_put((target, source), torch.ones((), dtype=F64))


def dense(graph, score, q, k, heads, norm, activation, factor=None):
    """The attention of each head, `[H, N, N]`, by the formula of the score."""
    there, out = entries(graph), []
    for a, b in zip(q.chunk(heads, 1), k.chunk(heads, 1), strict=True):
        s = DENSE[score](a, b)
        s = s if factor is None else s * factor
        p = (s.exp() if activation == "softmax" else (s + (s * s + 4).sqrt()) / 2) * there
        out.append(p / p.sum(1 if norm == "row" else 0, keepdim=True))
    return torch.stack(out)


@pytest.mark.parametrize("activation", ["softmax", "squareplus"])
@pytest.mark.parametrize("norm", ["row", "col"])
@pytest.mark.parametrize("score", SCORES)
def test_scores_are_their_formulas(score, norm, activation):
    graph, q, k = setting(score)
    form = {"heads": 2, "norm": norm, "activation": activation, "score": score}
    weight, factor = torch.randn(12, 12, dtype=F64), torch.rand(12, 12, dtype=F64) + 0.5
    pattern = attention_pattern(graph)
    place = (pattern.rows, pattern.cols)
    a, b = q.clone().requires_grad_(), k.clone().requires_grad_()
    for given, factors in ((None, None), (factor[place], factor)):
        attention = Attention(graph, a, b, weight=given, **form)
        want = dense(graph, score, a, b, 2, norm, activation, factors)
        torch.testing.assert_close(attention.to_dense(), want.mean(0), rtol=1e-12, atol=1e-13)
        by_head = attention_by_head(graph, a, b, weight=given, **form)
        torch.testing.assert_close(by_head, want[:, place[0], place[1]].T, rtol=1e-12, atol=1e-13)
        total = attention.to_dense().sum(1 if norm == "row" else 0)
        torch.testing.assert_close(total, torch.ones(12, dtype=F64), rtol=0, atol=1e-14)
        ours, theirs = (torch.autograd.grad((x * weight).sum(), (a, b)) for x in (attention.to_dense(), want.mean(0)))
        for x, y in zip(ours, theirs, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-11)


def test_worked_examples():
    """Two nodes and the edge 0 -> 1: node 0 sees itself, node 1 sees both."""
    graph = Graph.from_edges([[0], [1]])
    e = torch.e
    cases = {  # query of node 1, keys of nodes 0 and 1, the scores
        "scaled_dot": ([2.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], (1.0, 0.0)),
        "cosine": ([5.0, 0.0], [2.0, 0.0], [0.0, 3.0], (1.0, 0.0)),
        "pearson": ([1.0, 2.0, 3.0], [4.0, 6.0, 8.0], [1.0, 0.0, 1.0], (1.0, 0.0)),
        "additive": ([1.0], [0.0], [-6.0], (1.0, -1.0)),
    }
    for score, (q, k0, k1, (s0, s1)) in cases.items():
        query, key = torch.tensor([[0.0] * len(q), q], dtype=F64), torch.tensor([k0, k1], dtype=F64)
        got = Attention(graph, query, key, score=score).to_dense()
        p = torch.tensor([e**s0, e**s1], dtype=F64)
        torch.testing.assert_close(got, torch.stack([torch.tensor([1.0, 0.0], dtype=F64), p / p.sum()]))
    kernel = ExpKernel(sigma=2.0, length=3.0)  # scores 4 exp(0) and 4 exp(-36 / 18)
    query, key = torch.tensor([[0.0], [7.0]], dtype=F64), torch.tensor([[7.0], [1.0]], dtype=F64)
    p = torch.tensor([4.0, 4 * e**-2], dtype=F64).exp()
    torch.testing.assert_close(Attention(graph, query, key, score=kernel).to_dense()[1], p / p.sum())


def test_a_kernel_learns_its_size_and_length():
    graph, q, k = setting("exp_kernel")
    sigma, length = (torch.tensor(x, dtype=F64, requires_grad=True) for x in (0.7, 1.3))
    weight = torch.randn(12, 12, dtype=F64)

    def loss(sigma, length):
        return (Attention(graph, q, k, heads=2, score=ExpKernel(sigma, length)).to_dense() * weight).sum()

    assert torch.autograd.gradcheck(loss, (sigma, length))


@pytest.mark.parametrize("activation", ["softmax", "squareplus"])
@pytest.mark.parametrize("heads", [1, 2])
def test_derivatives_of_head_weights(activation, heads):
    layout = layout_of(attention_pattern(Graph.path(3)), heads)
    scores = torch.randn(7, heads, dtype=F64, requires_grad=True)
    f = lambda s: head_weights(layout, s, activation)  # noqa: E731
    assert torch.autograd.gradcheck(f, scores, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, scores, fast_mode=True)
    before = scores.detach().clone()
    f(scores.detach())
    torch.testing.assert_close(scores.detach(), before, rtol=0, atol=0)


@pytest.mark.parametrize("score", ["cosine", "pearson"])
def test_a_vector_without_a_direction_has_finite_gradients(score):
    graph, q, _ = setting(score)
    zero = torch.zeros_like(q).requires_grad_()
    attention = Attention(graph, zero, q, heads=2, score=score).to_dense()
    torch.testing.assert_close(attention.detach(), entries(graph) / entries(graph).sum(1, keepdim=True))
    (g,) = torch.autograd.grad(attention[:, 0].sum(), zero)
    assert bool(torch.isfinite(g).all())


def test_weights_on_the_entries():
    graph = Graph.from_edges([[0, 1, 1, 2, 2], [1, 0, 1, 1, 0]], torch.tensor([2.0, 3, 5, 7, 11]))
    pattern = attention_pattern(graph)
    want = torch.tensor([[1.0, 3, 11], [2, 5, 7], [0, 0, 1]])  # loops: 1 where none is stored
    got = torch.zeros(3, 3).index_put((pattern.rows, pattern.cols), entry_weights(graph))
    assert torch.equal(got, want)
    for norm, axis in (("row", 1), ("col", 0)):
        walk = torch.zeros(3, 3).index_put((pattern.rows, pattern.cols), walk_weights(graph, norm))
        torch.testing.assert_close(walk, want / want.sum(axis, keepdim=True))
    with pytest.raises(GraphError, match="a random walk needs weights >= 0"):
        walk_weights(graph.with_weight(-graph.weight))


def test_the_strongest_edges():
    graph = Graph.from_edges([[0, 1, 2, 3], [1, 2, 3, 0]], torch.tensor([1.0, 2, 3, 4]))
    pattern = attention_pattern(graph)
    values = torch.where(pattern.rows == pattern.cols, 0.0, entry_weights(graph))
    left = strongest_edges(graph, values, 0.5)
    kept = {(int(j), int(i)): float(w) for (j, i), w in zip(left.edge_index.T, left.weight, strict=True) if i != j}
    assert kept == {(2, 3): 3.0, (3, 0): 4.0}
    assert torch.equal(entry_weights(left)[left.edge_index[0] == left.edge_index[1]], torch.ones(4))
    both = Graph.from_edges([[0, 1, 2, 3], [1, 0, 3, 2]], batch=torch.tensor([0, 0, 1, 1]))
    pattern = attention_pattern(both)
    left = strongest_edges(both, pattern.rows.to(F64), 0.5)  # of each graph one
    assert sorted(i for j, i in left.edge_index.T.tolist() if i != j) == [1, 3] and left.weight is None
    assert strongest_edges(both, torch.ones(len(pattern)), 0.9).num_edges == 8  # equal ones stay together


@pytest.mark.parametrize("norm", ["row", "col"])
def test_mixed_channels_against_dense_algebra(norm):
    graph, q, k = setting("scaled_dot")
    heads = dense(graph, "scaled_dot", q, k, 2, norm, "softmax")
    value, out, x = (torch.randn(*size, dtype=F64) for size in ((6, 5), (5, 3), (2, 12, 5)))
    mixing = ChannelMixing(attention_pattern(graph), attention_by_head(graph, q, k, heads=2, norm=norm), value, out)
    want = sum(a @ x @ v.T for a, v in zip(heads, value.chunk(2), strict=True)) / 2 @ out.T
    torch.testing.assert_close(mixing(x), want)
    whole = sum(torch.kron(a, out @ v) for a, v in zip(heads, value.chunk(2), strict=True)) / 2
    rate = torch.rand(5, dtype=F64)
    for operator, matrix in (
        (mixing, whole),
        (Relaxation(mixing, rate), rate.repeat(12)[:, None] * (whole - torch.eye(60, dtype=F64))),
        (Relaxation(mixing, rate[0]), rate[0] * (whole - torch.eye(60, dtype=F64))),
        (
            Relaxation(Attention(graph, q, k, heads=2, norm=norm), rate),
            torch.kron(heads.mean(0) - torch.eye(12, dtype=F64), rate.diag()),
        ),
    ):
        torch.testing.assert_close(operator(x).flatten(1), x.flatten(1) @ matrix.T)
        torch.testing.assert_close(operator.adjoint(x).flatten(1), x.flatten(1) @ matrix)
        torch.testing.assert_close(operator.adjoint.adjoint(x), operator(x))
        real, (low, high) = torch.linalg.eigvals(matrix).real, operator.bounds()
        assert low <= float(real.min()) and float(real.max()) <= high + 1e-12


def test_refusals():
    graph, q, k = setting("scaled_dot")
    with pytest.raises(ValueError, match="Did you mean 'cosine'"):
        Attention(graph, q, k, score="cosin")
    with pytest.raises(
        ValueError, match="Cosine with heads of width 1; expected at least 2: queries and keys of width 16 or more"
    ):
        Attention(graph, q, k, heads=8, score="cosine")
    with pytest.raises(ValueError, match="Pearson with heads of width 2; expected at least 3"):
        Attention(graph, q, k, heads=4, score="pearson")
    with pytest.raises(ValueError, match="Additive with heads of width 4; expected exactly 1: queries and keys of width 2 for"):
        Attention(graph, q, k, heads=2, score="additive")
