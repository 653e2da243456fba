"""The preconditioner of collocation methods on graphs with hubs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from solvers import GMRES, Gauss4, LinearFlow, PerGraph, RadauIIA3, RadauIIA5, Shifted, SparseOperator, solve
from solvers.linear.stage_blocks import StageBlocks
from solvers.stacked import StackedOperator

N = 30


def hub(values: Tensor | None = None) -> SparseOperator:
    """-(D - A) of a wheel with its hub in the middle, or other values on the same pattern."""
    rim = torch.arange(1, N)
    edges = torch.cat([torch.stack([torch.zeros_like(rim), rim]), torch.stack([rim, torch.cat([rim[1:], rim[:1]])])], 1)
    edges = torch.cat([edges, edges.flip(0)], 1)
    degrees = torch.bincount(edges[1], minlength=N).double()
    every = torch.cat([edges, torch.arange(N).repeat(2, 1)], 1)
    default = torch.cat([torch.ones(edges.shape[1], dtype=torch.float64), -degrees])
    return SparseOperator.from_edges(every, default if values is None else values, N)


def power_law(n: int) -> SparseOperator:
    """-(D - A) of a graph grown by preferential attachment, three edges a node."""
    draw, ends = torch.Generator().manual_seed(0), [0, 1, 2]
    pairs = set()
    for new in range(3, n):
        for k in torch.randint(len(ends), (3,), generator=draw).tolist():
            pairs |= {(ends[k], new), (new, ends[k])}
        ends += [i for i, j in pairs if j == new for i in (i, new)]
    edges = torch.tensor(sorted(pairs)).T
    every = torch.cat([edges, torch.arange(n).repeat(2, 1)], 1)
    degrees = torch.bincount(edges[1], minlength=n).double()
    return SparseOperator.from_edges(every, torch.cat([torch.ones(edges.shape[1], dtype=torch.float64), -degrees]), n)


def start(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", [RadauIIA3, RadauIIA5, Gauss4])
def test_fewer_iterations_and_the_same_states(method):
    field, y = LinearFlow(power_law(300)), start(300, 2)
    plain = solve(field, y, 2.0, method(linear_solver=GMRES()), dt=1.0, rtol=1e-6)
    chosen = solve(field, y, 2.0, method(), dt=1.0, rtol=1e-6)
    assert torch.allclose(plain.y[-1], chosen.y[-1], rtol=1e-5, atol=1e-6)
    assert chosen.stats.linear_iterations < 0.5 * plain.stats.linear_iterations


@pytest.mark.parametrize("flat", [False, True])
def test_it_inverts_the_system_of_a_diagonal(flat):
    diagonal = torch.arange(N).repeat(2, 1)
    L = SparseOperator.from_edges(diagonal, -start(N).abs(), N)
    a = torch.tensor([[0.2, -0.1], [0.4, 0.3]], dtype=torch.float64)
    system, x = Shifted(StackedOperator(L, a, flat), 1.0, -0.7), start(2, N) if flat else start(2, N, 3)
    assert torch.allclose(StageBlocks().prepare(system)(system.matvec(x)), x)
    twin = system.adjoint
    assert torch.allclose(StageBlocks().prepare(twin)(twin.matvec(x)), x)
    with pytest.raises(ValueError, match="StageBlocks needs the system of a collocation method"):
        StageBlocks().prepare(L)


@pytest.mark.parametrize("shape", [(N,), (N, 2), (2, N, 1)])
def test_every_shape(shape):
    y = start(*shape)
    end = solve(LinearFlow(hub()), y, 0.5, "radau_iia5", dt=0.25, rtol=1e-9, space=PerGraph(torch.arange(N) * 0)).y[-1]
    exact = solve(LinearFlow(hub()), y, 0.5, "krylov_exp", rtol=1e-10).y[-1]
    assert torch.allclose(end, exact, rtol=1e-2, atol=2e-2)


def test_gradients():
    values, y = hub().values.clone().requires_grad_(), start(N, 1).requires_grad_()

    def run(values: Tensor, y: Tensor) -> Tensor:
        return solve(LinearFlow(hub(values)), y, 0.2, "radau_iia3", dt=0.2, rtol=1e-11, atol=1e-13).y[-1]

    assert torch.autograd.gradcheck(run, (values, y), nondet_tol=1e-9, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (values, y), nondet_tol=1e-9, fast_mode=True)
