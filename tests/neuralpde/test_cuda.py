"""Operators, solves and layers on a CUDA device against a CPU in float64; CUDA graphs. Nothing here runs without a device."""

import copy

import pytest
import torch
from torch import Tensor, nn

from neuralpde import Graph, simulate
from neuralpde.models import PDEBlock
from neuralpde.operators import Adjacency, Attention, Laplacian
from neuralpde.pdes import GRAND, Diffusion, GraphCON, GraphPDE
from solvers import Chebyshev, ImplicitEuler, LinearFlow, Shifted, solve

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: solves, gradients and CUDA graphs on a GPU"),
]


def drawn(nodes: int = 400) -> tuple[Graph, Tensor]:
    """Random edges, a hub, isolated nodes, and a state of 8 channels, in float64 on the CPU."""
    draw = torch.Generator().manual_seed(0)
    ends = torch.randint(nodes - 5, (2, 4 * nodes), generator=draw)
    ends[1, :nodes] = 0
    graph = Graph.from_edges(ends, torch.rand(4 * nodes, generator=draw, dtype=torch.float64), nodes, undirected=True)
    return graph, torch.randn(nodes, 8, generator=draw, dtype=torch.float64)


def near(got: Tensor, expected: Tensor, tolerance: float) -> None:
    assert got.is_cuda
    torch.testing.assert_close(got.double().cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-11)], ids=str)
@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("activation", ["softmax", "squareplus"])
def test_attention_and_its_gradients(heads, activation, dtype, tolerance):
    graph, x = drawn()
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def run(graph: Graph, x: Tensor) -> tuple[Tensor, ...]:
        leaves = [x.clone().requires_grad_(), (2 * x).requires_grad_(), x.flip(0).requires_grad_()]
        y = Attention(graph, leaves[0], leaves[1], heads=heads, activation=activation).matvec(leaves[2])
        return y.detach(), *torch.autograd.grad(y, leaves, g.to(y))

    for got, expected in zip(run(graph.to("cuda", dtype), x.to("cuda", dtype)), run(graph, x), strict=True):
        near(got, expected, tolerance)


@pytest.mark.parametrize("make", [lambda g: Laplacian(g), lambda g: Laplacian(g, "sym"), lambda g: Adjacency(g, "sym")])
def test_operators(make):
    graph, x = drawn()
    near(make(graph.to("cuda"))(x.cuda()), make(graph)(x), 1e-11)
    assert make(graph.to("cuda")).bounds() == pytest.approx(make(graph).bounds())


@pytest.mark.parametrize("pde", [Diffusion(), GRAND(8, heads=2), GraphCON(8)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(("method", "options"), [("rk4", {"dt": 0.01}), ("dopri5", {"rtol": 1e-8}), ("auto", {"rtol": 1e-8})])
def test_solves_and_their_gradients(pde, method, options):
    def run(pde: GraphPDE, graph: Graph, x: Tensor) -> tuple[Tensor, ...]:
        x = x.clone().requires_grad_()
        u = simulate(pde, graph, x, 1.0, method, **options).u[-1]
        wanted = [x, *(p for p in pde.parameters() if p.requires_grad)]
        found = torch.autograd.grad(u.square().sum(), wanted, allow_unused=True)
        return u.detach(), *(f for f in found if f is not None)

    graph, x = drawn()
    here, there = copy.deepcopy(pde).double(), copy.deepcopy(pde).double().cuda()
    for got, expected in zip(run(there, graph.to("cuda"), x.cuda()), run(here, graph, x), strict=True):
        near(got, expected, 1e-5)


def captured(run, warm: int = 3):
    """A CUDA graph of a function without arguments, and where it writes its result."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()
    return graph, out


@pytest.mark.parametrize(
    "method", ["rk4", "dopri5", "ab4", "abm3", "rkl2", ImplicitEuler(linear_solver=Chebyshev(degree=12))], ids=str
)
def test_fixed_steps_replay_as_a_cuda_graph(method):
    graph, x = drawn()
    field = LinearFlow(-1.0 * Laplacian(graph.to("cuda"), "sym"))
    Shifted(field.operator, 1.0, -0.1).bounds()
    static = x.cuda().clone()

    def run() -> Tensor:
        return solve(field, static, [0.0, 0.33, 1.0], method, dt=0.1, stability_check=False).y

    with torch.no_grad():
        replay, out = captured(run)
        for scale in (1.0, -3.0):
            static.copy_(scale * x)
            replay.replay()
            torch.testing.assert_close(out, run(), rtol=1e-12, atol=1e-12)


class OnGraph(nn.Module):
    """A block on one graph: a module of tensors to tensors."""

    def __init__(self, block: PDEBlock, graph: Graph):
        super().__init__()
        self.block, self.graph = block, graph

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, self.graph)


@pytest.mark.parametrize("pde", [Diffusion(), GraphCON(8)], ids=lambda p: type(p).__name__)
def test_a_block_trains_as_a_cuda_graph(pde):
    graph, x = drawn()
    plain = OnGraph(PDEBlock(pde, 1.0, "rk4", dt=0.1, stability_check=False), graph.to("cuda")).double().cuda()
    twin = copy.deepcopy(plain)
    sample = x.cuda().requires_grad_()
    replayed = torch.cuda.make_graphed_callables(twin, (sample,))
    for scale in (1.0, 2.0):
        inputs = [(scale * x).cuda().requires_grad_() for _ in range(2)]
        outs = [f(v) for f, v in zip((plain, replayed), inputs, strict=True)]
        torch.testing.assert_close(outs[1], outs[0], rtol=1e-10, atol=1e-10)
        for out in outs:
            out.square().sum().backward()
        torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-9, atol=1e-9)
    for a, b in zip(twin.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9)


def test_an_adaptive_step_waits_once():
    graph, x = drawn()
    field = LinearFlow(-1.0 * Laplacian(graph.to("cuda"), "sym"))
    y0 = x.cuda()
    solve(field, y0, 1.0, "dopri5", rtol=1e-4)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchron") as caught:
            solution = solve(field, y0, 1.0, "dopri5", rtol=1e-6)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(caught) <= solution.stats.steps + 8
