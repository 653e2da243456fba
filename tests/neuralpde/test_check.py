"""`check` finds what is wrong with an equation, and says what to do."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from neuralpde import Graph, GraphPDE, check
from neuralpde.operators import Laplacian
from neuralpde.pdes import Diffusion, Wave
from solvers import Identity, LinearFlow, LinearOperator

GRAPH = Graph.grid(3, 4)


@dataclass(frozen=True, eq=False)
class Decay:
    rate: Tensor

    def __call__(self, t, y):
        return -self.rate * y


class Equation(GraphPDE):
    """u' = -rate u; the classes below each break one thing."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.5))

    def on(self, graph, u0):
        return Decay(self.rate)


class Closure(Equation):
    def on(self, graph, u0):
        return lambda t, y: -self.rate * y


class Numbered(Equation):
    def on(self, graph, u0):
        return Decay(self.rate * torch.arange(1.0, len(u0) + 1).to(u0).unsqueeze(1))


class Mean(Equation):
    def on(self, graph, u0):
        @dataclass(frozen=True, eq=False)
        class Centred(Decay):
            def __call__(self, t, y):
                return -self.rate * (y - y.mean(-2, keepdim=True))

        return Centred(self.rate)


class Noisy(Equation):
    def on(self, graph, u0):
        @dataclass(frozen=True, eq=False)
        class Random(Decay):
            def __call__(self, t, y):
                return -self.rate * y * torch.rand_like(y)

        return Random(self.rate)


class Unused(Equation):
    def __init__(self):
        super().__init__()
        self.spare = nn.Parameter(torch.ones(3))


class Double(Equation):
    def on(self, graph, u0):
        @dataclass(frozen=True, eq=False)
        class InDouble(Decay):
            def __call__(self, t, y):
                return (-self.rate * y).double()

        return InDouble(self.rate)


class Wrong(Equation):
    """Declares that the sum of u is constant, and that it is linear with another operator."""

    def on(self, graph, u0):
        @dataclass(frozen=True, eq=False)
        class Misdescribed(Decay):
            flow: LinearFlow

        return Misdescribed(self.rate, LinearFlow(Identity(len(u0), dtype=u0.dtype)))

    def conserved(self, graph):
        return torch.ones(graph.num_nodes)


class Lopsided(LinearOperator):
    symmetric = True

    def __init__(self, inner):
        self.inner, self.shape, self.dtype, self.device = inner, inner.shape, inner.dtype, inner.device

    def matvec(self, x):
        return self.inner.matvec(x) - torch.cat([x[1:], x[:1]]) * 0.1

    @property
    def adjoint(self):
        return self

    def bounds(self):
        return -0.1, 0.1


class Lying(Equation):
    def on(self, graph, u0):
        return LinearFlow(Lopsided(Laplacian(graph, dtype=u0.dtype)))


class Growing(Wave):
    """A wave with negative damping that declares a decreasing energy."""

    energy_law = "decreasing"

    def on(self, graph, u0):
        field = super().on(graph, u0)
        return type(field)(field.stiffness, -0.3)


@pytest.mark.parametrize(
    "pde, row",
    [
        (Closure(), "adjoint = backprop"),
        (Numbered(), "relabelling"),
        (Mean(), "graphs in a batch"),
        (Noisy(), "same value twice"),
        (Unused(), "gradients reach every parameter"),
        (Double(), "shape, dtype, device"),
        (Wrong(), "structure adds up to f"),
        (Wrong(), "conserves sum m u"),
        (Lying(), "<Ax, z> = <x, A'z>"),
        (Lying(), "stability limit"),
        (Growing(), "energy is decreasing"),
    ],
)
def test_finds_what_is_wrong(pde, row):
    report = check(pde, GRAPH)
    assert not report.ok
    failures = {failure.name: failure for failure in report.failures}
    assert row in failures, str(report)
    assert "FAILED" in str(report) and "breaks the contract" in str(report)
    assert all(failure.advice in str(report) for failure in report.failures)


def test_a_good_one_passes_and_prints():
    report = check(Equation(), GRAPH)
    assert report.ok and not report.failures, str(report)
    text = str(report)
    assert text.startswith("Equation keeps the contract") and "FAILED" not in text
    assert {row.name for row in report.rows} >= {"relabelling", "adjoint = backprop", "graphs in a batch"}


def test_names_the_parameter_without_a_gradient():
    (failure,) = check(Unused(), GRAPH).failures
    assert "spare" in str(failure.measured)


def test_an_error_becomes_a_row():
    class Crashing(Equation):
        def on(self, graph, u0):
            raise RuntimeError("no such thing")

    report = check(Crashing(), GRAPH)
    assert not report.ok and "RuntimeError: no such thing" in str(report)


def test_reports_the_stability_limit_and_leaves_the_equation_alone():
    pde = Diffusion("learnable")
    before = pde.conductivity.raw.clone()
    report = check(pde, GRAPH)
    row = next(row for row in report.rows if row.name == "stability limit")
    top = float(torch.linalg.eigvalsh(Laplacian(GRAPH, dtype=torch.float64).to_dense())[-1])
    assert f"euler needs dt <= {2 / top:.4g}" in str(row.measured)
    assert torch.equal(pde.conductivity.raw, before) and pde.conductivity.raw.dtype == torch.float32 and pde.training
    assert "leapfrog needs dt" in str(check(Wave(), GRAPH))


def test_data_and_batches_are_taken():
    assert check(Diffusion(), GRAPH.to_data()).ok
    report = check(Diffusion(), GRAPH.repeat(3))
    assert report.ok and next(r for r in report.rows if r.name == "graphs in a batch").passed is None
