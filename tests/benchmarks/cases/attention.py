"""Attention forward and backward: projections, scores, edge softmax, mean of the heads, product."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from neuralpde.operators import Attention

from ..graphs import Sample, measured_on
from ..measure import OURS, interleave, ratio_rows
from ..peers import MESSAGES, ScaledDotAttention
from ..plan import Plan
from ..row import Row

CASE = "attention forward + backward"
HEADS = {"Cora-like": (8, 16), "PubMed-like": (4, 16), "arxiv-like": (2, 16)}


def run(plan: Plan) -> Iterator[Row]:
    """Gradients to the state and to the projections, on both sides with the same weights."""
    for sample in measured_on(plan):
        heads, width = HEADS[sample.name]
        peer = ScaledDotAttention(sample.channels, heads, heads * width)
        x, g, edges = sample.state().requires_grad_(), sample.state(1), sample.edges()[0]
        wanted = [x, *peer.parameters()]
        ours = _ours(sample, heads, peer.query, peer.key, x)

        def theirs(m: ScaledDotAttention = peer, x: Tensor = x, e: Tensor = edges) -> Tensor:
            return m(x, e, m.weights(x, e))

        if not torch.allclose(ours(), theirs(), rtol=1e-3, atol=1e-4):
            raise AssertionError("the two attentions differ")
        seconds = interleave(
            {
                OURS: lambda f=ours, w=wanted, g=g: torch.autograd.grad(f(), w, g),
                MESSAGES: lambda f=theirs, w=wanted, g=g: torch.autograd.grad(f(), w, g),
            },
            plan,
        )
        yield from ratio_rows(CASE, sample.name, seconds, note=f"{heads} heads of {width}, {sample.channels} channels")


def _ours(sample: Sample, heads: int, query: nn.Linear, key: nn.Linear, x: Tensor) -> Callable[[], Tensor]:
    return lambda: Attention(sample.graph, query(x), key(x), heads=heads).matvec(x)
