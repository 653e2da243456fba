"""The product A x, forward, and with gradients to x and to the values of A."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from solvers import SparseOperator

from ..graphs import Sample, measured_on
from ..measure import OURS, interleave, ratio_rows
from ..peers import CSR, EDGE_INDEX, MESSAGES, SCIPY, WeightedSum, csr_product, edge_index_product, row_order, scipy_matrix
from ..plan import Plan
from ..row import Row

FORWARD, BACKWARD = "A x forward", "A x forward + backward"
DENSIFIES_ABOVE = 5_000  # nodes: torch's CSR makes the values' gradient nodes x nodes


def forward(plan: Plan) -> Iterator[Row]:
    """Every way to the product, without gradients."""
    for sample in measured_on(plan, with_terrain=True):
        A, x = sample.operator(), sample.state()
        edges, values = sample.edges()
        n = len(x)
        ordered = values[row_order(edges, n)]
        messages, by_index, by_csr, matrix = (
            WeightedSum(), edge_index_product(edges, n), csr_product(edges, n), scipy_matrix(edges, values, n),
        )  # fmt: skip
        candidates = {
            OURS: lambda A=A, x=x: A.matvec(x),
            MESSAGES: lambda m=messages, x=x, e=edges, v=values: m(x, e, v),
            EDGE_INDEX: lambda f=by_index, x=x, v=ordered: f(x, v),
            CSR: lambda f=by_csr, x=x, v=ordered: f(x, v),
            SCIPY: lambda m=matrix, x=x: m @ x.numpy(),
        }
        with torch.no_grad():
            _same(candidates)
            yield from ratio_rows(FORWARD, sample.name, interleave(candidates, plan), note=_size(sample))


def backward(plan: Plan) -> Iterator[Row]:
    """Forward and backward; every peer in its own order of the entries."""
    for sample in measured_on(plan):
        A = sample.operator()
        edges, values = sample.edges()
        n, order = len(sample.state()), row_order(edges, sample.graph.num_nodes)
        x, g = sample.state().requires_grad_(), sample.state(1)
        v, sorted_v = values.clone().requires_grad_(), values[order].clone().requires_grad_()
        messages, by_index, by_csr = WeightedSum(), edge_index_product(edges, n), csr_product(edges, n)
        candidates = {
            OURS: _gradient(lambda x, v, p=A.pattern: SparseOperator(p, v).matvec(x), x, v, g),
            MESSAGES: _gradient(lambda x, v, m=messages, e=edges: m(x, e, v), x, v, g),
            EDGE_INDEX: _gradient(by_index, x, sorted_v, g),
        }
        if n <= DENSIFIES_ABOVE:
            candidates[CSR] = _gradient(by_csr, x, sorted_v, g)
        yield from ratio_rows(BACKWARD, sample.name, interleave(candidates, plan), note=_size(sample))


def _gradient(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, values: Tensor, g: Tensor) -> Callable[[], object]:
    return lambda: torch.autograd.grad(product(x, values), (x, values), g)


def _same(candidates: dict[str, Callable[[], object]]) -> None:
    """Raise unless all candidates give the same."""
    ours = torch.as_tensor(candidates[OURS]())
    for name, work in candidates.items():
        if not torch.allclose(torch.as_tensor(work()), ours, rtol=1e-3, atol=1e-4):
            raise AssertionError(f"{name} gives another product")


def _size(sample: Sample) -> str:
    return f"{sample.graph.num_nodes:,} nodes, {len(sample.operator().pattern):,} entries, {sample.channels} channels"
