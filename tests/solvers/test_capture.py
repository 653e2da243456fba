"""What a CUDA graph can hold: solves on meta tensors, which have no numbers, so that every look at one is an error.

Uploads of numbers from the host, which wait for the device too, are errors after a first call.
"""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from solvers import (
    CG,
    RKC2,
    RKL2,
    ROCK2,
    Chebyshev,
    Integrator,
    LinearFlow,
    Pattern,
    SparseOperator,
    integrators,
    method_named,
    solve,
)
from solvers.linear.pattern import Compressed

EXPLICIT = ["euler", "heun", "ssprk3", "rk4", "bosh3", "dopri5", "tsit5", "dopri8", "ab2", "ab5", "abm5"]
SYMPLECTIC = ["leapfrog", "symplectic_euler", "graphcon", "yoshida4", "yoshida6"]
IMPLICIT = ["ImplicitEuler", "CrankNicolson", "ImplicitMidpoint", "BDF2", "SDIRK2", "TRBDF2"]
IMEX = ["CNAB2", "SBDF3", "ARS222"]


class Uploads(TorchDispatchMode):
    """Refuses copies between the host and the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and torch.device(kwargs.get("device") or args[0].device) != args[0].device:
            raise RuntimeError(f"a copy from {args[0].device} to {kwargs['device']}")
        return func(*args, **kwargs)


def ring(n: int = 6) -> SparseOperator:
    """The generator of a ring on a device without numbers, sorted and bounded beforehand."""
    node = torch.arange(n)
    rows, cols = torch.cat([node, node]), torch.cat([node.roll(1), node])
    here = Pattern(rows, cols, n, n).by_row
    pattern = Pattern(rows.to("meta"), cols.to("meta"), n, n)
    parts = [x if x is None else x.to("meta") for x in (here.pointers, here.columns, here.rows, here.order)]
    vars(pattern)["by_row"] = Compressed(*parts)  # and more that is found out once
    vars(pattern)["on_diagonal"], vars(pattern)["one_per_diagonal"] = ((node + n).to("meta"),) * 2
    return SparseOperator(pattern, torch.empty(2 * n, device="meta"), symmetric=True, interval=(-4.0, 0.0))


class Oscillator:
    damping = 0.0

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return torch.tanh(q)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack((y[1], self.force(t, y[0])))


class Reaction:
    """`y' = A y + tanh(y)`."""

    def __init__(self) -> None:
        self.operator = ring()

    def linear_part(self, t: Tensor, y: Tensor) -> SparseOperator:
        return self.operator

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.operator.matvec(y) + torch.tanh(y)


def captured(field, method: str | Integrator, monkeypatch: pytest.MonkeyPatch, times=(0.0, 0.35, 0.8)) -> Tensor:
    """The states of a solve in which nothing was looked at and nothing uploaded."""
    integrator = method_named(method)
    y0 = torch.empty((2, 6, 3) if integrator.needs == "partitioned" else (6, 3), device="meta")

    def run() -> Tensor:
        return solve(field, y0, times, integrator, dt=0.1, stability_check=False).y

    run()
    made = torch.tensor

    def refuse(*args, device=None, **kwargs):
        if torch.device(device or "cpu").type == "meta":
            raise RuntimeError("an upload")
        return made(*args, device=device, **kwargs)

    monkeypatch.setattr(torch, "tensor", refuse)
    monkeypatch.setattr(torch, "as_tensor", refuse)
    with Uploads():
        return run()


@pytest.mark.parametrize("method", EXPLICIT)
def test_explicit_methods(method, monkeypatch):
    operator = ring()
    assert captured(lambda t, y: operator.matvec(y) * t.cos(), method, monkeypatch).shape == (3, 6, 3)


@pytest.mark.parametrize("method", SYMPLECTIC)
def test_symplectic_methods(method, monkeypatch):
    assert captured(Oscillator(), method, monkeypatch).shape == (3, 2, 6, 3)


@pytest.mark.parametrize("method", [RKC2, RKL2, ROCK2])
@pytest.mark.parametrize("options", [{"stages": 7}, {"radius": 4.0}], ids=str)
def test_stabilised_methods(method, options, monkeypatch):
    operator = ring()
    assert captured(lambda t, y: operator.matvec(y), method(**options), monkeypatch).shape == (3, 6, 3)


@pytest.mark.parametrize("name", IMPLICIT)
def test_implicit_methods_with_a_fixed_count(name, monkeypatch):
    method = getattr(integrators, name)(linear_solver=Chebyshev(degree=8))
    source = torch.empty(6, 3, device="meta")
    assert captured(LinearFlow(ring(), source), method, monkeypatch).shape == (3, 6, 3)


@pytest.mark.parametrize("name", IMEX)
def test_imex_methods_with_a_fixed_count(name, monkeypatch):
    method = getattr(integrators, name)(linear_solver=Chebyshev(degree=8))
    assert captured(Reaction(), method, monkeypatch).shape == (3, 6, 3)


@pytest.mark.parametrize("method", ["etd1", "etdrk2", "etdrk4"])
def test_exponential_methods_between_known_bounds(method, monkeypatch):
    assert captured(Reaction(), method, monkeypatch).shape == (3, 6, 3)


def test_an_exact_flow_between_known_bounds_and_its_gradient():
    field, y0 = LinearFlow(ring()), torch.empty(6, 3, device="meta", requires_grad=True)
    with Uploads():
        solve(field, y0, [0.0, 0.5, 1.0], "chebyshev_exp").y.sum().backward()
    assert y0.grad is not None and y0.grad.shape == (6, 3)


def test_solvers_that_look_say_what_to_take():
    method = integrators.ImplicitEuler(linear_solver=CG())
    with pytest.raises(ValueError, match=r"CG looks at its residual.*Chebyshev\(degree=k\)"):
        solve(LinearFlow(ring()), torch.empty(6, 3, device="meta"), 1.0, method, dt=0.1, stability_check=False)


@pytest.mark.parametrize("name", ["ImplicitEuler", "TRBDF2", "CNAB2"])
def test_a_fixed_count_solves_what_is_not_looked_at(name, monkeypatch):
    """Enough iterations give what a solve that looks gives, and the same gradient."""
    node = torch.arange(6)
    edges = torch.cat([torch.stack([node, node.roll(1)]), torch.stack([node.roll(1), node]), torch.stack([node, node])], 1)
    weights = torch.tensor([1.0] * 12 + [-2.0] * 6, dtype=torch.float64).requires_grad_()
    operator = SparseOperator(Pattern(edges[1], edges[0], 6, 6), weights, symmetric=True, interval=(-4.0, 0.0))
    y0 = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    method = getattr(integrators, name)

    def run(solver) -> tuple[Tensor, Tensor]:
        y = solve(LinearFlow(operator), y0, 0.5, method(linear_solver=solver), dt=0.1, rtol=1e-12).y[-1]
        return y.detach(), torch.autograd.grad(y.square().sum(), weights)[0]

    looked_at = run(CG())
    monkeypatch.setattr("solvers.linear.solver.host_may_look", lambda b: False)
    monkeypatch.setattr("solvers.loop.host_may_look", lambda y: False)
    for ours, theirs in zip(run(Chebyshev(degree=40)), looked_at, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
