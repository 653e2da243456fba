"""Tensors that a field holds: found each once, in a fixed order, and replaced in a copy that shares the rest."""

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import pytest
import torch
from problems import dense_laplacian
from torch import Tensor, nn

from solvers import LinearFlow, Pattern, SparseOperator, is_opaque, rebind, requiring_grad, solve, tensors


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


class Pair(NamedTuple):
    first: Tensor
    second: float


@dataclass(frozen=True, eq=False)
class Inner:
    a: Tensor
    shared: Tensor


@dataclass(frozen=True, eq=False)
class Outer:
    inner: Inner
    items: tuple
    table: dict
    rows: list
    number: float = 2.0
    name: str = "x"
    made: list = field(default_factory=list)

    @cached_property
    def doubled(self) -> Tensor:
        return 2 * self.inner.a


def outer() -> tuple[Outer, list[Tensor]]:
    a, shared, c, d, e, f = (leaf(2) for _ in range(6))
    return Outer(Inner(a, shared), (c, (shared, 3), Pair(d, 1.0)), {"k": e, "n": None}, [f, "text"]), [a, shared, c, d, e, f]


def test_every_tensor_once_in_order():
    obj, held = outer()
    found = tensors(obj)
    assert len(found) == len(held) and all(a is b for a, b in zip(found, held, strict=True))
    assert [id(t) for t in tensors(obj)] == [id(t) for t in found]


def test_rebinding_a_nest():
    obj, held = outer()
    before = obj.doubled
    new = [torch.zeros(2, dtype=torch.float64) for _ in held]
    twin = rebind(obj, held, new)
    assert type(twin) is Outer and all(a is b for a, b in zip(tensors(twin), new, strict=True))
    assert twin.inner.shared is new[1] and twin.items[1][0] is new[1], "a tensor held twice is replaced in both places"
    assert isinstance(twin.items[2], Pair) and twin.items[2].second == 1.0
    assert (twin.number, twin.name, twin.table["n"], twin.rows[1]) == (2.0, "x", None, "text")
    assert torch.equal(twin.doubled, torch.zeros(2, dtype=torch.float64)), "what was computed from the old is forgotten"
    assert obj.doubled is before and all(a is b for a, b in zip(tensors(obj), held, strict=True)), "the original is untouched"


def test_what_does_not_change_is_shared():
    obj, held = outer()
    twin = rebind(obj, held[2:3], [torch.zeros(2)])
    assert twin is not obj and twin.inner is obj.inner and twin.table is obj.table
    assert rebind(obj, [], []) is obj


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3, dtype=torch.float64)
        self.layers = nn.ModuleList([nn.Linear(3, 3, bias=False, dtype=torch.float64)])
        self.register_buffer("shift", torch.randn(3, dtype=torch.float64))
        self.plain = leaf(3)
        self.nested = Inner(leaf(3), leaf(3))
        self.missing = None
        self.register_parameter("absent", None)

    def forward(self, t, y):
        held = self.plain + self.nested.a * self.nested.shared
        return torch.tanh(self.layers[0](self.linear(y))) + self.shift * held


def test_modules_parameters_buffers_and_plain_attributes():
    net = Net()
    found = {id(t) for t in tensors(net)}
    for t in (*net.parameters(), net.shift, net.plain, net.nested.a, net.nested.shared):
        assert id(t) in found
    assert len(found) == 7


def test_rebinding_a_module():
    net, y, t = Net(), torch.randn(4, 3, dtype=torch.float64), torch.tensor(0.0)
    old = tensors(net)
    expected = net(t, y)
    half = rebind(net, old, [0.5 * o for o in old])
    assert torch.equal(net(t, y), expected), "the original is untouched"
    assert not torch.allclose(half(t, y), expected)
    back = rebind(half, tensors(half), old)
    assert torch.equal(back(t, y), expected)
    wanted = [o for o in old if o.requires_grad]
    aliases = [o.view_as(o) for o in wanted]
    grads = torch.autograd.grad(rebind(net, wanted, aliases)(t, y).sum(), aliases)
    direct = torch.autograd.grad(expected.sum(), wanted)
    assert len(wanted) == 6 and all(torch.equal(a, b) for a, b in zip(grads, direct, strict=True))
    with torch.no_grad():
        net.linear.weight.mul_(2)
    assert rebind(net, [net.plain], [torch.zeros(3)]).linear is net.linear


def test_a_parameter_shared_by_two_modules_is_found_once_and_replaced_in_both():
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    (weight,) = tensors(tied)
    twin = rebind(tied, [weight], [torch.eye(2)])
    x = torch.randn(1, 2)
    assert torch.equal(twin(x), x)


def test_modules_inside_dataclasses_and_dataclasses_inside_modules():
    @dataclass(frozen=True, eq=False)
    class Field:
        net: Net
        scale: Tensor

        def __call__(self, t, y):
            return self.scale * self.net(t, y)

    f = Field(Net(), leaf(1))
    old = tensors(f)
    assert len(old) == 8
    twin = rebind(f, old, [torch.zeros_like(o) for o in old])
    assert float(twin(torch.tensor(0.0), torch.ones(1, 3, dtype=torch.float64)).detach().abs().max()) == 0.0


def test_bound_methods_are_their_object():
    net = Net()
    assert len(tensors(net.forward)) == len(tensors(net)) and not is_opaque(net.forward)
    twin = rebind(net.forward, [net.plain], [torch.zeros(3, dtype=torch.float64)])
    assert twin.__self__ is not net and float(twin.__self__.plain.abs().max()) == 0.0  # type: ignore[attr-defined]


def test_what_is_opaque():
    w = leaf(1)

    class Plain:
        def __call__(self, t, y):
            return w * y

    assert is_opaque(lambda t, y: w * y) and is_opaque(Plain()) and tensors(lambda t, y: w * y) == []
    assert not is_opaque(Net()) and not is_opaque(LinearFlow(dense_laplacian("path", 3)))


def test_operators_lose_what_they_computed_from_the_old_values():
    pattern = Pattern(torch.tensor([1, 0, 1]), torch.tensor([0, 1, 1]), 2, 2)
    flow = LinearFlow(-2.0 * SparseOperator(pattern, leaf(3)), leaf(2, 1))
    x = torch.randn(2, 1, dtype=torch.float64)
    flow(torch.tensor(0.0), x)  # fills the caches
    values = [t for t in tensors(flow) if t.requires_grad]
    assert len(values) == 2
    twin = rebind(flow, values, [torch.zeros_like(v) for v in values])
    assert float(twin(torch.tensor(0.0), x).abs().max()) == 0.0
    assert twin.operator.operator.pattern is pattern, "the pattern is shared: it was sorted once"  # type: ignore[attr-defined]
    assert twin.operator.bounds() == (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Attention:
    """Holds both W and what was computed from it before the solve."""

    weight: Tensor
    attention: Tensor

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.attention @ y @ self.weight)


def test_a_tensor_and_another_computed_from_it_count_once_each():
    """The partial derivatives in W and attention(W) are separate; the chain rule through the graph joins them."""
    w, y0 = leaf(3, 3), torch.randn(3, 3, dtype=torch.float64)
    f = Attention(w, torch.softmax(w @ w.T, 1))
    held = tensors(f)
    assert len(held) == 2 and held[0] is w and held[1] is f.attention
    expected = torch.autograd.grad(solve(f, y0, 1.0, "rk4", dt=0.25).y[-1].sum(), w, retain_graph=True)[0]
    leaves = [t.detach().requires_grad_() for t in held]
    out = solve(rebind(f, held, leaves), y0, 1.0, "rk4", dt=0.25).y[-1].sum()
    partial = torch.autograd.grad(out, leaves)
    joined = torch.autograd.grad(held, [w], grad_outputs=list(partial))[0]
    assert torch.allclose(joined, expected, rtol=1e-12)
    assert not torch.allclose(partial[0], expected)


def test_requiring_grad():
    obj, held = outer()
    frozen = rebind(obj, held[:2], [h.detach() for h in held[:2]])
    assert [id(t) for t in requiring_grad(frozen)] == [id(t) for t in held[2:]]
    with torch.no_grad():
        assert requiring_grad(obj) == []


def test_lengths_must_agree():
    obj, held = outer()
    with pytest.raises(ValueError):
        rebind(obj, held, held[:2])


def test_ordered_mappings_keep_their_order():
    a, b = leaf(1), leaf(1)
    twin = rebind(OrderedDict(z=a, y=b), [a], [b])
    assert list(twin) == ["z", "y"] and twin["z"] is b
