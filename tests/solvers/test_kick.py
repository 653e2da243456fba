"""Symplectic Euler in one operation where the field says that velocities are momenta: the same step and derivatives."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from solvers import solve


@dataclass(frozen=True, eq=False)
class Springs:
    """`q'' = -sin(k q) - damping q'`."""

    k: torch.Tensor
    damping: float = 0.3

    def __call__(self, t, y):
        return torch.stack((y[1], self.force(t, y[0]) - self.damping * y[1]))

    def velocity(self, t, p):
        return p

    def force(self, t, q):
        return -torch.sin(self.k * q)


@dataclass(frozen=True, eq=False)
class UnitSprings(Springs):
    unit_mass: ClassVar[bool] = True


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(5, 2, generator=generator, dtype=torch.float64), torch.randn(2, 5, 2, generator=generator).double()


def end(kind, k, y0, **options):
    return solve(kind(k), y0, 2.0, "symplectic_euler", dt=0.125, save="final", **options).y[-1]


@pytest.mark.parametrize("gradient", ["backprop", "checkpoint", "reversible"])
def test_values_and_gradients(given, gradient):
    k, y0 = (x.requires_grad_() for x in given)
    plain, fused = end(Springs, k, y0, gradient=gradient), end(UnitSprings, k, y0, gradient=gradient)
    torch.testing.assert_close(fused, plain, rtol=1e-13, atol=1e-13)
    for a, b in zip(*(torch.autograd.grad(x.square().sum(), (k, y0)) for x in (fused, plain)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_second_derivatives_and_forward_mode(given):
    k, y0 = given
    for a, b in zip(
        *(torch.func.jvp(lambda k, y, kind=kind: end(kind, k, y), (k, y0), (k, y0)) for kind in (UnitSprings, Springs)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradgradcheck(lambda k: end(UnitSprings, k, y0), (k.requires_grad_(),))
