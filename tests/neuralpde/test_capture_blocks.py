"""Layers that a CUDA graph can hold, forward and back: meta tensors have no numbers, so that every look at one is an error."""

import pytest
import torch
from torch import Tensor

from neuralpde import Graph
from neuralpde.models import PDEBlock
from neuralpde.operators import Attention, attention_layout
from neuralpde.operators.attention_layout import HeadLayout
from neuralpde.pdes import GRAND, Diffusion, GraphCON, Wave
from solvers import Pattern
from solvers.linear.pattern import Compressed


def without_numbers(graph: Graph) -> Graph:
    """The graph on the meta device, with all that a first call on a graph finds out once."""
    there = graph.to("meta")
    for name, pattern in graph.patterns.items():
        there.patterns[name] = _both_ways(pattern)
        for heads, made in attention_layout._LAYOUTS.get(pattern, {}).items():
            rows, bags, here, back = made.rows.to("meta"), tuple(map(_empty, made.bags)), _empty(made.here), _empty(made.back)
            twin = HeadLayout(rows, bags, _both_ways(made.pattern), heads, here, back)  # type: ignore[arg-type]
            attention_layout._LAYOUTS.setdefault(there.patterns[name], {})[heads] = twin
    for name in ("undirected", "isolated", "num_graphs"):
        vars(there)[name] = getattr(graph, name)
    return there


def _both_ways(pattern: Pattern) -> Pattern:
    one, other = _emptied(pattern), _emptied(pattern.transposed)
    vars(one)["transposed"], vars(other)["transposed"] = other, one
    return one


def _emptied(pattern: Pattern) -> Pattern:
    c, twin = pattern.by_row, Pattern(pattern.rows.to("meta"), pattern.cols.to("meta"), pattern.num_rows, pattern.num_cols)
    vars(twin)["by_row"] = Compressed(*map(_empty, (c.pointers, c.columns, c.rows, c.order)))  # type: ignore[arg-type]
    vars(twin)["on_diagonal"], vars(twin)["one_per_diagonal"] = _empty(pattern.on_diagonal), _empty(pattern.one_per_diagonal)
    return twin


def _empty(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.to("meta")


CASES = {
    "diffusion": (lambda: Diffusion(), "rk4"),
    "diffusion with a learnable rate": (lambda: Diffusion(0.5, learnable=True), "heun"),
    "diffusion by degrees": (lambda: Diffusion(normalization="rw"), "ab3"),
    "grand": (lambda: GRAND(4, heads=2), "rk4"),
    "graphcon": (lambda: GraphCON(4), "leapfrog"),
    "wave": (lambda: Wave(), "leapfrog"),
}


@pytest.mark.parametrize(("make", "method"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("grad", [False, True], ids=["forward", "and back"])
def test_blocks(make, method, grad):
    graph = Graph.grid(3, 3)
    PDEBlock(make(), 1.0, method, dt=0.1)(torch.ones(9, 4), graph)
    block = PDEBlock(make(), 1.0, method, dt=0.1, stability_check=False).to("meta")
    x = torch.empty(9, 4, device="meta", requires_grad=grad)
    with torch.set_grad_enabled(grad):
        out = block(x, without_numbers(graph))
    assert out.shape == (9, 4)
    if grad:
        out.sum().backward()
        assert x.grad is not None and x.grad.shape == (9, 4)


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_by_segments(heads, monkeypatch):
    """What a CUDA device does, on a CPU: the same weights and gradients as the sums over bags, isolated nodes included."""
    draw = torch.Generator().manual_seed(0)
    graph = Graph.from_edges(torch.randint(7, (2, 30), generator=draw), num_nodes=9)
    q, k = torch.randn(2, 9, 6, generator=draw, dtype=torch.float64) * 20
    x = torch.randn(9, 2, generator=draw, dtype=torch.float64)

    def run() -> tuple[Tensor, ...]:
        leaves = q.clone().requires_grad_(), k.clone().requires_grad_()
        y = Attention(graph, *leaves, heads=heads).matvec(x)
        return y.detach(), *torch.autograd.grad(y.square().sum(), leaves)

    bags = run()
    monkeypatch.setattr(HeadLayout, "on_cuda", True)
    for segments, expected in zip(run(), bags, strict=True):
        torch.testing.assert_close(segments, expected, rtol=1e-12, atol=1e-12)
