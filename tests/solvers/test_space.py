"""Reductions over a state: over everything, and graph by graph; each graph of a batch is reduced as it would be alone."""

import pytest
import torch
from torch import Tensor

from solvers import PerGraph, Plain

SIZES = [3, 1, 4, 2]
BATCH = torch.repeat_interleave(torch.arange(4), torch.tensor(SIZES))
SHAPES = [(10,), (10, 3), (2, 10, 3), (2, 5, 10, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128], ids=str)


def parts(x: Tensor) -> list[Tensor]:
    return list(x.split(SIZES, dim=0 if x.dim() == 1 else -2))


@every_shape
@every_dtype
def test_each_graph_is_reduced_as_if_alone(shape, dtype):
    torch.manual_seed(0)
    x, y = torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
    space, alone = PerGraph(BATCH), Plain()
    assert space.groups == 4 and alone.groups == 1
    for name in ("total", "norm", "rms"):
        got, one = getattr(space, name)(x), torch.cat([getattr(alone, name)(p) for p in parts(x)])
        assert got.shape == (4,) and torch.allclose(got, one), name
    pairs = space.dot([(x, y), (x, x), (y, x)])
    assert pairs.shape == (3, 4)
    for i, (a, b) in enumerate([(x, y), (x, x), (y, x)]):
        assert torch.allclose(pairs[i], torch.cat([alone.dot([p])[0] for p in zip(parts(a), parts(b), strict=True)]))
    if not dtype.is_complex:
        assert torch.equal(space.max(x), torch.cat([alone.max(p) for p in parts(x)]))
    assert [int(n) for n in space.size(x)] == [alone.size(p) for p in parts(x)]  # type: ignore[union-attr]


@every_dtype
def test_values(dtype):
    x = torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=dtype)
    space = Plain()
    assert space.total(x).tolist() == [7] and space.norm(x).tolist() == [5] and space.size(x) == 4
    assert space.rms(x).tolist() == [2.5]


def test_the_left_factor_is_conjugated():
    x, y = torch.tensor([[1j]]), torch.tensor([[2.0 + 0j]])
    for space in (Plain(), PerGraph(torch.tensor([0]))):
        assert space.dot([(x, y)]).tolist() == [[-2j]]
        assert space.norm(x).tolist() == [1.0]


@every_shape
def test_spread_scales_each_graph_by_its_own_number(shape):
    x, c = torch.randn(shape), torch.tensor([2.0, 3.0, 5.0, 7.0])
    got = PerGraph(BATCH).spread(c, x) * x
    assert torch.equal(got, torch.cat([f * p for f, p in zip(c, parts(x), strict=True)], 0 if x.dim() == 1 else -2))
    assert torch.equal(Plain().spread(c[:1], x) * x, 2 * x)


@every_shape
def test_reductions_are_differentiable(shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    for space in (Plain(), PerGraph(BATCH)):
        assert torch.autograd.gradcheck(lambda x, s=space: (s.total(x * x), s.norm(x), s.rms(x), s.dot([(x, x * x)])), (x,))


def test_a_graph_without_nodes():
    """Graph 1 of 3 has no nodes: its sums are 0, and nothing is divided by zero."""
    space = PerGraph(torch.tensor([0, 2, 2]))
    x = torch.ones(3, 2)
    assert space.total(x).tolist() == [2.0, 0.0, 4.0]
    assert space.rms(x).tolist() == [1.0, 0.0, 1.0]


def test_states_with_the_nodes_first():
    x = torch.randn(10, 3, 2)
    assert torch.allclose(PerGraph(BATCH, dim=0).total(x), torch.stack([p.sum() for p in x.split(SIZES)]))


def test_an_empty_state():
    assert Plain().rms(torch.zeros(0, 3)).tolist() == [0.0]
