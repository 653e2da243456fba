"""Attention forward and backward: projections, scores, edge softmax, mean of the heads, product."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from neuralpde import GRAND

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
        pde = _equation(sample, heads, width, peer)
        found = [x, *pde.query.parameters(), *pde.key.parameters()]

        def ours(pde: GRAND = pde, x: Tensor = x, graph=sample.graph) -> Tensor:
            return pde.on(graph, x).attention(x).matvec(x)

        def theirs(m: ScaledDotAttention = peer, x: Tensor = x, e: Tensor = edges) -> Tensor:
            return m(x, e, m.weights(x, e))

        if not torch.allclose(ours(), theirs(), rtol=1e-3, atol=1e-4):
            raise AssertionError("the two attentions differ")
        seconds = interleave(
            {
                OURS: lambda f=ours, w=found, g=g: torch.autograd.grad(f(), w, g),
                MESSAGES: lambda f=theirs, w=wanted, g=g: torch.autograd.grad(f(), w, g),
            },
            plan,
        )
        yield from ratio_rows(CASE, sample.name, seconds, note=f"{heads} heads of {width}, {sample.channels} channels")


def _equation(sample: Sample, heads: int, width: int, peer: ScaledDotAttention) -> GRAND:
    """GRAND-nl with the peer's weights; it has no bias of the keys, which softmax takes out again."""
    pde = GRAND(sample.channels, heads=heads, attention_dim=heads * width, attention="recomputed")
    pde.query.load_state_dict(peer.query.state_dict())
    pde.key.load_state_dict({"weight": peer.key.weight})
    return pde
