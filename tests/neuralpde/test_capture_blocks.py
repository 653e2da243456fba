"""Layers that a CUDA graph can hold, forward and back: meta tensors have no numbers, so that every look at one is an error."""

import pytest
import torch
from torch import Tensor

from neuralpde import Graph
from neuralpde.models import PDEBlock
from neuralpde.pdes import Diffusion, GraphCON, Wave
from solvers import Pattern
from solvers.linear.pattern import Compressed


def without_numbers(graph: Graph) -> Graph:
    """The graph on the meta device, with all that a first call on a graph finds out once."""
    there = graph.to("meta")
    for name, pattern in graph.patterns.items():
        one, other = _emptied(pattern), _emptied(pattern.transposed)
        vars(one)["transposed"], vars(other)["transposed"] = other, one
        there.patterns[name] = one
    for name in ("undirected", "isolated", "num_graphs"):
        vars(there)[name] = getattr(graph, name)
    return there


def _emptied(pattern: Pattern) -> Pattern:
    def empty(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to("meta")

    c, twin = pattern.by_row, Pattern(pattern.rows.to("meta"), pattern.cols.to("meta"), pattern.num_rows, pattern.num_cols)
    vars(twin)["by_row"] = Compressed(*map(empty, (c.pointers, c.columns, c.rows, c.order)))  # type: ignore[arg-type]
    vars(twin)["on_diagonal"], vars(twin)["one_per_diagonal"] = empty(pattern.on_diagonal), empty(pattern.one_per_diagonal)
    return twin


CASES = {
    "diffusion": (lambda: Diffusion(), "rk4"),
    "diffusion with a learnable rate": (lambda: Diffusion(0.5, learnable=True), "heun"),
    "diffusion by degrees": (lambda: Diffusion(normalization="rw"), "ab3"),
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
