"""The weights of attention and their gradients in closed form, on drawn graphs, against dense algebra in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neuralpde import Graph
from neuralpde.operators import Attention
from neuralpde.operators.attention_weights import SAFE, attention_weights, layout_of, shifted
from solvers import Pattern

F64 = torch.float64


@st.composite
def graphs(draw) -> Graph:
    n = draw(st.integers(1, 6))
    node = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=12))  # loops, repeats, isolated nodes, one direction only
    return Graph.from_edges(torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T, num_nodes=n)


def by_dense_algebra(graph: Graph, q: Tensor, k: Tensor, heads: int, norm: str, activation: str) -> Tensor:
    n = graph.num_nodes
    count = torch.eye(n, dtype=F64)
    source, target = graph.edge_index
    proper = source != target
    count = count.index_put((target[proper], source[proper]), torch.ones(int(proper.sum()), dtype=F64), accumulate=True)
    out = torch.zeros(n, n, dtype=F64)
    for a, b in zip(q.double().chunk(heads, 1), k.double().chunk(heads, 1), strict=True):
        s = a @ b.T / math.sqrt(a.shape[1])
        if activation == "softmax":
            masked = s.masked_fill(count == 0, -torch.inf)
            p = (s - masked.amax(1 if norm == "row" else 0, keepdim=True)).exp().where(count > 0, 0.0)
        else:
            p = (s + (s * s + 4).sqrt()) / 2
        p = p * count
        out = out + p / p.sum(1 if norm == "row" else 0, keepdim=True) / heads
    return out


@settings(max_examples=40, deadline=None)
@given(graphs(), st.sampled_from([1, 2, 3]), st.sampled_from(["row", "col"]), st.sampled_from(["softmax", "squareplus"]))
def test_weights_and_gradients_are_those_of_dense_algebra(graph, heads, norm, activation):
    torch.manual_seed(0)
    n = graph.num_nodes
    q, k, weight = torch.randn(n, 2 * heads, dtype=F64), torch.randn(n, 2 * heads, dtype=F64), torch.randn(n, n, dtype=F64)
    for scale in (1.0, 30.0):  # with and without a shift of the scores
        a, b = (scale * q).requires_grad_(), k.clone().requires_grad_()
        got = Attention(graph, a, b, heads=heads, norm=norm, activation=activation).to_dense()
        want = by_dense_algebra(graph, a, b, heads, norm, activation)
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-12)
        ours, theirs = (torch.autograd.grad((x * weight).sum(), (a, b)) for x in (got, want))
        for x, y in zip(ours, theirs, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-10)
        single = Attention(graph, a.detach().float(), b.detach().float(), heads=heads, norm=norm, activation=activation)
        torch.testing.assert_close(single.to_dense().double(), want.detach(), rtol=0, atol=1e-3 if scale > 1 else 1e-5)


@pytest.mark.parametrize("activation", ["softmax", "squareplus"])
@pytest.mark.parametrize("heads", [1, 2])
def test_derivatives_of_every_kind(activation, heads):
    pattern = Pattern(torch.tensor([2, 0, 0, 1, 1, 2, 2]), torch.tensor([0, 0, 1, 1, 1, 2, 3]), 3, 4)
    layout = layout_of(pattern, heads)
    assert layout_of(pattern, heads) is layout
    q, k = (torch.randn(n, 2 * heads, dtype=F64, requires_grad=True) for n in (3, 4))
    f = lambda q, k: attention_weights(layout, q, k, activation)  # noqa: E731
    assert torch.autograd.gradcheck(f, (q, k), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, (q, k), fast_mode=True)
    first = torch.autograd.grad(f(q, k)[0], (q, k))
    for x, y in zip(torch.func.grad(lambda q, k: f(q, k)[0], (0, 1))(q.detach(), k.detach()), first, strict=True):
        torch.testing.assert_close(x, y)
    (only,) = torch.autograd.grad(f(q.detach(), k)[0], k)
    torch.testing.assert_close(only, first[1])


def test_scores_are_shifted_where_exp_is_not_safe():
    rows = torch.tensor([0, 0, 1])
    safe, wild = torch.tensor([[1.0], [2.0], [-50.0]]), torch.tensor([[1.0], [2 * SAFE], [-500.0]])
    assert shifted(safe, rows, 2) is safe
    assert shifted(wild, rows, 2).tolist() == [[1 - 2 * SAFE], [0.0], [0.0]]
    assert shifted(safe[:0], rows[:0], 2).shape == (0, 1)
    broken = torch.tensor([[torch.nan], [0.0], [3.0]])
    assert shifted(broken, rows, 2)[2].item() == 0.0  # what is not a number stays in its row
