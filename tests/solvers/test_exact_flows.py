"""The exact flows of linear fields, every one that is exported: against dense algebra, at any step, with gradients."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from problems import heat
from torch import Tensor

from solvers import (
    ChebyshevExp,
    Dense,
    Event,
    IntegrationError,
    KrylovExp,
    LinearFlow,
    LinearOperator,
    Pattern,
    PerGraph,
    Problem,
    Scaled,
    SparseOperator,
    Sum,
    available,
    linear,
    method_named,
    solve,
)

EXACT = [name for name in available() if method_named(name).order == math.inf]
every_flow = pytest.mark.parametrize("name", EXACT)
N = 7


def operator(name: str, values: Tensor | None = None, dtype: torch.dtype = torch.float64) -> SparseOperator:
    """A full pattern: a weighted Laplacian, negative, for Chebyshev; a generator that is far from symmetric for the others."""
    generator = torch.Generator().manual_seed(1)
    rows, cols = torch.arange(N).repeat_interleave(N), torch.arange(N).repeat(N)
    symmetric = method_named(name) == ChebyshevExp()
    if values is None:
        weight = torch.rand(N, N, generator=generator, dtype=torch.float64) ** (1 if symmetric else 4)
        weight = weight + weight.T if symmetric else weight
        weight.fill_diagonal_(0.0)
        values = (weight - torch.diag(weight.sum(1))).reshape(-1).to(dtype)
    interval = (-20.0, 0.5) if symmetric else None
    return SparseOperator(Pattern(rows, cols, N, N), values, symmetric=symmetric, metzler=not symmetric, interval=interval)


def start(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 2) -> Tensor:
    return torch.randn(*(shape or (N, 3)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def reference(matrix: Tensor, t: float, y: Tensor, source: Tensor | None = None) -> Tensor:
    """By the exponential of `[[A, I], [0, 0]]`: its blocks are exp(tA) and t phi_1(tA)."""
    zero = torch.zeros_like(matrix)
    both = torch.matrix_exp(
        t * torch.cat([torch.cat([matrix, torch.eye(N, dtype=matrix.dtype)], 1), torch.cat([zero, zero], 1)])
    )
    out = both[:N, :N] @ y
    return out if source is None else out + both[:N, N:] @ source


@every_flow
@pytest.mark.parametrize("with_source", [False, True], ids=["free", "driven"])
def test_exact_for_any_step(name, with_source):
    A, y = operator(name), start()
    source = start(seed=3) if with_source else None
    for t in (1e-9, 0.3, 7.0, -0.4):
        sol = solve(LinearFlow(A, source), y, [0.0, t], name, rtol=1e-12)
        exact = reference(A.to_dense(), t, y, source)
        size = float(exact.abs().max()) + abs(t) * with_source
        torch.testing.assert_close(sol.y[1], exact, rtol=0, atol=2e-12 * max(size, float(y.norm())))
        assert sol.stats.steps == 1 and sol.stats.products > 0 and sol.stats.evaluations == 0


@every_flow
def test_steps_compose_to_the_same_state(name):
    A, y = operator(name), start()
    flow = LinearFlow(A, start(seed=3))
    once = solve(flow, y, [0.0, 1.7], name, rtol=1e-12).y[-1]
    stepped = solve(flow, y, [0.0, 1.7], name, dt=0.25, rtol=1e-12)
    assert stepped.stats.accepted == 7
    torch.testing.assert_close(stepped.y[-1], once, rtol=0, atol=1e-10)


@every_flow
def test_all_output_times_come_from_one_recurrence(name):
    A, y, times = operator(name), start(), [0.5, 0.6, 0.9, 1.5, 2.5]
    together = solve(LinearFlow(A), y, times, name, rtol=1e-12)
    last = solve(LinearFlow(A), y, [0.5, 2.5], name, rtol=1e-12)
    assert together.stats.products == last.stats.products and together.y.shape == (5, N, 3)
    for t, state in zip(times, together.y, strict=True):
        torch.testing.assert_close(state, reference(A.to_dense(), t - 0.5, y), rtol=0, atol=1e-10)
    assert torch.equal(solve(LinearFlow(A), y, times, name, rtol=1e-12, save="final").y, together.y[-1:])


@every_flow
@pytest.mark.parametrize("shape", [(N,), (N, 1), (2, N, 3)])
def test_shapes_and_sources(name, shape):
    A, y = operator(name), start(*shape)
    source = start(N) if len(shape) == 1 else start(N, 1, seed=4)
    got = solve(LinearFlow(A, source), y, 0.8, name, rtol=1e-12).y[-1]
    both = reference(
        A.to_dense(), 0.8, y if y.dim() > 1 else y[:, None], (source.expand_as(y) if y.dim() > 1 else source[:, None])
    )
    torch.testing.assert_close(got, both.reshape(shape), rtol=0, atol=1e-11)


@every_flow
def test_the_tolerance_buys_products(name):
    A, y = operator(name), start()
    spent = []
    for rtol in (1e-3, 1e-6, 1e-9):
        sol = solve(LinearFlow(A), y, 3.0, name, rtol=rtol)
        assert float((sol.y[-1] - reference(A.to_dense(), 3.0, y)).norm()) <= rtol * float(y.norm())
        spent.append(sol.stats.products)
    assert spent == sorted(spent)


@every_flow
def test_float32(name):
    A, y = operator(name, dtype=torch.float32), start(dtype=torch.float32)
    sol = solve(LinearFlow(A, y), y, 2.0, name)
    assert sol.y.dtype == torch.float32
    exact = reference(A.to_dense().double(), 2.0, y.double(), y.double())
    torch.testing.assert_close(sol.y[-1].double(), exact, rtol=0, atol=2e-4 * float(exact.norm()))
    with pytest.raises(ValueError, match="float64"):
        solve(LinearFlow(operator(name)), y, 2.0, name)


@every_flow
@pytest.mark.parametrize("times", [[0.0, 0.9], [0.0, 0.2, 0.9]])
def test_gradients(name, times):
    values = operator(name).values.clone().requires_grad_()
    c = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    y, s = start().requires_grad_(), start(seed=5).requires_grad_()

    def run(values: Tensor, c: Tensor, y: Tensor, s: Tensor) -> Tensor:
        return solve(LinearFlow(c * operator(name, values), s), y, times, name, rtol=1e-12).y[1:]

    def free(values: Tensor, c: Tensor, y: Tensor) -> Tensor:
        return solve(LinearFlow(c * operator(name, values)), y, times, name, rtol=1e-12).y[1:]

    assert torch.autograd.gradcheck(run, (values, c, y, s), atol=1e-8, rtol=1e-6, fast_mode=True)
    assert torch.autograd.gradcheck(free, (values, c, y), atol=1e-8, rtol=1e-6, fast_mode=True)


@every_flow
def test_gradients_are_those_of_the_matrix_exponential(name):
    A, y, weight = operator(name), start(), start(2, N, 3, seed=6)
    values, c = A.values.clone().requires_grad_(), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    leaf = y.clone().requires_grad_()
    ours = (solve(LinearFlow(c * operator(name, values)), leaf, [0.0, 0.3, 1.5], name, rtol=1e-12).y[1:] * weight).sum()
    dense = torch.stack([torch.matrix_exp(t * c * values.view(N, N)) @ leaf for t in (0.3, 1.5)])
    exact = torch.autograd.grad((dense * weight).sum(), (values, c, leaf))
    for got, want in zip(torch.autograd.grad(ours, (values, c, leaf)), exact, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@every_flow
def test_gradient_of_a_scale_alone(name):
    """A conductivity: one product for each output, however long the recurrence was."""
    A, y, weight = operator(name), start(), start(seed=6)
    scales = [torch.tensor(s, dtype=torch.float64, requires_grad=True) for s in (0.7, 2.0)]
    field = LinearFlow(Scaled(Scaled(A, scales[0]), scales[1]))
    ours = torch.autograd.grad((solve(field, y, [0.0, 0.9], name, rtol=1e-12).y[-1] * weight).sum(), scales)
    dense = (torch.matrix_exp(0.9 * scales[0] * scales[1] * A.to_dense()) @ y * weight).sum()
    for got, want in zip(ours, torch.autograd.grad(dense, scales), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@every_flow
def test_second_derivatives(name):
    values, y = operator(name).values.clone().requires_grad_(), start(N, 1).requires_grad_()
    c = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    s = start(N, 1, seed=5).requires_grad_()

    def free(values: Tensor, y: Tensor) -> Tensor:
        return solve(LinearFlow(operator(name, values)), y, 0.4, name, rtol=1e-12).y[1:]

    def driven(c: Tensor, y: Tensor, s: Tensor) -> Tensor:
        return solve(LinearFlow(c * operator(name), s), y, 0.4, name, rtol=1e-12).y[1:]

    assert torch.autograd.gradgradcheck(free, (values, y), atol=1e-7, fast_mode=True)
    assert torch.autograd.gradgradcheck(driven, (c, y, s), atol=1e-7, fast_mode=True)


@every_flow
def test_the_adjoint_gradient_is_its_own(name):
    A, y = operator(name), start()
    grads = []
    for gradient in ("backprop", "adjoint"):
        leaf = y.clone().requires_grad_()
        sol = solve(LinearFlow(A), leaf, [0.0, 1.0], name, gradient=gradient, rtol=1e-12)
        grads.append(torch.autograd.grad(sol.y[-1].square().sum(), leaf)[0])
    assert torch.equal(*grads)


def saved(name: str, t: float) -> tuple[int, int]:
    """States kept for the gradient of the operator's values, and products."""
    kept: list[int] = []
    values = operator(name).values.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(x.numel()), x)[1], lambda x: x):
        sol = solve(LinearFlow(operator(name, values)), start(), t, name, rtol=1e-12)
    return sum(k == 3 * N for k in kept), sol.stats.products


def test_memory_of_the_recurrences():
    few, many = saved("chebyshev_exp", 1.0), saved("chebyshev_exp", 50.0)
    assert many[1] > 4 * few[1] and many[0] == few[0] <= 4
    for t in (1.0, 50.0):
        states, products = saved("uniformization", t)
        assert states <= 2 * math.sqrt(products) + 5


def test_krylov_sub_steps():
    flow, y, _eigenvalue = heat("path", 300, 5)
    rough = y + 0.1 * start(300, 1)
    spectrum, vectors = torch.linalg.eigh(flow.operator.to_dense())
    exact = vectors @ (torch.exp(500.0 * spectrum)[:, None] * (vectors.T @ rough))
    for dimension in (10, 30):
        sol = solve(flow, rough, 500.0, KrylovExp(dimension), rtol=1e-9)
        assert sol.stats.products > 3 * dimension
        assert float((sol.y[-1] - exact).norm()) <= 2e-9 * float(rough.norm())
    with pytest.raises(ValueError, match="dimension"):
        KrylovExp(1)


def test_krylov_takes_an_invariant_start_and_groups():
    """An eigenvector ends the basis at once; graphs of a batch have spaces of their own."""
    flow, y, eigenvalue = heat("cycle", 6, 1)
    sol = solve(flow, y, 2.0, "krylov_exp", rtol=1e-12)
    torch.testing.assert_close(sol.y[-1], math.exp(-2 * eigenvalue) * y, rtol=1e-10, atol=1e-12)
    A = torch.block_diag(*(flow.operator.to_dense(), 5 * flow.operator.to_dense()))
    both = torch.cat([y, start(6, 1)])
    space = PerGraph(torch.arange(2).repeat_interleave(6))
    sol = solve(LinearFlow(Dense(A)), both, 1.3, "krylov_exp", rtol=1e-11, space=space)
    torch.testing.assert_close(sol.y[-1], torch.matrix_exp(1.3 * A) @ both, rtol=0, atol=1e-10)
    leaf = both.clone().requires_grad_()
    M = A.clone().requires_grad_()
    run = solve(LinearFlow(Dense(M)), leaf, 1.3, "krylov_exp", rtol=1e-12, space=space).y[-1].square().sum()
    exact = torch.autograd.grad((torch.matrix_exp(1.3 * M) @ leaf).square().sum(), (leaf, M))
    got = torch.autograd.grad(run, (leaf, M))
    torch.testing.assert_close(got[0], exact[0], rtol=0, atol=1e-8)
    torch.testing.assert_close(got[1] * (A != 0), exact[1] * (A != 0), rtol=0, atol=1e-8)


def test_uniformization_keeps_signs_and_bounds():
    A = operator("uniformization")
    y = (start() > 0).double()
    out = solve(LinearFlow(A), y, [0.0, 0.1, 1.0, 10.0, 100.0], "uniformization", rtol=1e-8).y
    assert bool((out >= 0).all()) and bool((out <= 1 + 1e-8).all())
    attention = torch.softmax(8 * torch.randn(N, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64), 1)
    peaky = SparseOperator(A.pattern, attention.reshape(-1), metzler=True)
    flow = LinearFlow(Scaled(Sum(peaky, Scaled(linear.Identity(N), -1.0)), 30.0))
    assert flow.operator.metzler
    torch.testing.assert_close(
        solve(flow, y, 1.0, "uniformization", rtol=1e-10).y[-1],
        torch.matrix_exp(30 * (attention - torch.eye(N, dtype=torch.float64))) @ y,
        rtol=0,
        atol=1e-9,
    )


def test_uniformization_refuses_a_long_way_back():
    with pytest.raises(IntegrationError, match="back in time") as caught:
        solve(LinearFlow(20.0 * operator("uniformization")), start(), [0.0, -10.0], "uniformization")
    assert caught.value.status == "linear" and caught.value.solution is not None


def test_operators_that_do_not_fit_are_refused():
    walk, y = operator("uniformization"), start()
    with pytest.raises(ValueError, match="symmetric operator with finite bounds"):
        solve(LinearFlow(walk), y, 1.0, "chebyshev_exp")
    with pytest.raises(ValueError, match="metzler"):
        solve(LinearFlow(-1.0 * walk), y, 1.0, "uniformization")
    for name in EXACT:
        with pytest.raises(TypeError, match="LinearFlow"):
            solve(lambda t, y: -y, y, 1.0, name)
        with pytest.raises(ValueError, match="expected a square operator"):
            solve(LinearFlow(operator(name)), start(N + 1, 2), 1.0, name)
        with pytest.raises(ValueError, match="source has shape"):
            solve(LinearFlow(operator(name), start(N, 2)), start(N, 3), 1.0, name)


def test_growth_beyond_all_numbers_is_an_error():
    matrix = torch.diag(torch.tensor([900.0, 1.0], dtype=torch.float64))
    with pytest.raises(IntegrationError) as caught:
        solve(LinearFlow(Dense(matrix, symmetric=True)), torch.ones(2, 1, dtype=torch.float64), 1.0, "chebyshev_exp")
    assert caught.value.status == "nonfinite"


@dataclass
class Watcher:
    times: list[float] | None
    seen: list[tuple[float, Tensor]] = field(default_factory=list)

    def before(self, t: float, y: Tensor, dt: float) -> None: ...

    def after(self, t: float, y: Tensor, dt: float) -> None:
        self.seen.append((t, y))

    def rejected(self, t: float, y: Tensor, dt: float) -> None: ...


@every_flow
def test_callbacks_and_saving(name):
    A, y = operator(name), start()
    watcher = Watcher([0.0, 0.4, 1.0])
    sol = solve(LinearFlow(A), y, [0.0, 0.7, 1.0], name, callbacks=[watcher])
    assert [t for t, _ in watcher.seen] == [0.0, 0.4, 1.0] and sol.t.tolist() == [0.0, 0.7, 1.0] and sol.stats.steps == 1
    torch.testing.assert_close(watcher.seen[1][1], reference(A.to_dense(), 0.4, y), rtol=0, atol=1e-5)
    every = Watcher(None)
    solve(LinearFlow(A), y, [0.0, 0.7, 1.0], name, callbacks=[every])
    assert [t for t, _ in every.seen] == [0.0, 0.7, 1.0]
    dense = solve(LinearFlow(A), y, [0.0, 1.0], name, save="dense", rtol=1e-11)
    torch.testing.assert_close(dense(0.37), reference(A.to_dense(), 0.37, y), rtol=0, atol=1e-9)


@every_flow
def test_events_need_steps(name):
    A, y = operator(name), torch.ones(N, 1, dtype=torch.float64)
    crossing = Event(lambda t, y: y[0, 0] - 0.5)
    flow = LinearFlow(Sum(A, Scaled(linear.Identity(N), -1.0)) if name != "chebyshev_exp" else A - linear.Identity(N))
    with pytest.raises(ValueError, match="give dt="):
        solve(flow, y, 3.0, name, events=[crossing])
    sol = solve(flow, y, 3.0, name, events=[crossing], dt=0.5, rtol=1e-11)
    assert sol.status == "event" and float(sol.t_event) == pytest.approx(math.log(2), abs=1e-8)


@every_flow
def test_a_step_is_pure_and_exact(name):
    method, problem, y = method_named(name), Problem(LinearFlow(operator(name)), rtol=1e-11), start()
    given = y.clone()
    step = method.step(problem, 3.0, 0.5, y, None)
    again = method.step(problem, 3.0, 0.5, y, None)
    assert torch.equal(y, given) and torch.equal(step.y, again.y) and step.work == again.work
    assert step.dense is not None and torch.equal(step.dense(0.0), y)
    torch.testing.assert_close(step.dense(0.5), method.step(problem, 0.0, 0.25, y, None).y, rtol=0, atol=1e-10)


@dataclass(frozen=True, eq=False)
class Reaction:
    operator: LinearOperator

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return self.operator

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.operator.matvec(y) + torch.tanh(y)


def test_auto_looks_at_the_structure():
    y, sym, walk = start(), operator("chebyshev_exp"), operator("uniformization")

    def chosen(field, **options) -> str:
        sol = solve(field, y, [0.0, 1.0], "auto", **options)
        assert "; chosen because" in sol.message
        return sol.method

    assert chosen(LinearFlow(sym)) == "ChebyshevExp"
    assert chosen(LinearFlow(walk)) == "Uniformization"
    assert chosen(LinearFlow(-1.0 * walk)) == "KrylovExp"
    assert chosen(LinearFlow(sym), dt=0.1) == "ChebyshevExp"
    assert chosen(LinearFlow(sym), events=[Event(lambda t, y: y[0, 0] - 99.0)]) == "Dopri5"
    assert chosen(Reaction(sym)) == "Dopri5"
    assert chosen(Reaction(100.0 * sym)) == "KenCarp3"
    assert chosen(lambda t, y: -y) == "Dopri5"
