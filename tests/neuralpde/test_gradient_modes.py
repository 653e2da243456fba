"""Layers whose gradients are computed with less memory: the same numbers."""

import pytest
import torch

from neuralpde import Graph, PDEBlock
from neuralpde.pdes import GRAND, GraphCON


@pytest.mark.parametrize(
    ("pde", "method", "gradient", "tolerance"),
    [
        ("grand", "dopri5", "checkpoint", 1e-10),
        ("grand-nl", "rk4", "checkpoint", 1e-12),
        ("graphcon", "leapfrog", "checkpoint", 1e-12),
        ("graphcon", "leapfrog", "reversible", 1e-10),
        ("graphcon", "graphcon", "reversible", 1e-10),
    ],
)
def test_a_layer_with_less_memory(pde, method, gradient, tolerance):
    make = {
        "grand": lambda: GRAND(3, heads=2, attention_dim=4, source=True),
        "grand-nl": lambda: GRAND(3, heads=2, attention_dim=4, attention="recomputed"),
        "graphcon": lambda: GraphCON(3, activation="tanh"),
    }[pde]
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        equation = make().double()
    for mode in ("backprop", gradient):
        options = {} if method == "dopri5" else {"dt": 0.05}
        block = PDEBlock(equation, t=0.9, method=method, gradient=mode, **options)
        leaf = x.clone().requires_grad_()
        wrt = [leaf, *block.parameters()]
        found.append(torch.autograd.grad((block(leaf, Graph.grid(3, 4)) * weights).sum(), wrt, allow_unused=True))
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert float((a - b).abs().max()) <= tolerance * max(float(a.abs().max()), 1e-3)
