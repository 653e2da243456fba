"""The memory that backpropagation will need: the estimate against what autograd saves, and the warning and its advice."""

import os
import re
import subprocess
import sys

import pytest
import torch

from neuralpde import Graph, PDEBlock
from neuralpde.models import memory
from neuralpde.models.memory import backprop_memory, free_memory
from neuralpde.pdes import GRAND, Diffusion, GraphCON
from neuralpde.training import seeded
from solvers import CG, CrankNicolson, Dopri5

CASES = {
    "diffusion-rk4": (lambda: Diffusion("learnable"), "rk4", 0.05),
    "grand-dopri5": (lambda: GRAND(8), "dopri5", None),
    "grand-dopri5-auto": (lambda: GRAND(8, attention="recomputed"), "auto", None),
    "grand-nl-rk4": (lambda: GRAND(8, attention="recomputed"), "rk4", 0.1),
    "grand-ab3": (lambda: GRAND(8), "ab3", 0.05),
    "grand-implicit": (lambda: GRAND(8), "implicit_euler", 0.25),
    "crank-nicolson": (lambda: Diffusion("learnable"), CrankNicolson(linear_solver=CG()), 0.25),
    "graphcon": (lambda: GraphCON(8), "symplectic_euler", 0.05),
}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph.grid(12, 12)


def features(graph: Graph) -> torch.Tensor:
    return torch.randn(graph.num_nodes, 8, generator=torch.Generator().manual_seed(1))


def saved_bytes(run) -> int:
    """The storages that autograd saves, each once."""
    held = {}

    def pack(x):
        held[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        out = run()
    assert out.requires_grad
    return sum(x.untyped_storage().nbytes() for x in held.values())


@pytest.mark.parametrize("name", CASES)
def test_estimate_is_within_two_of_what_is_saved(name, graph):
    make, method, dt = CASES[name]
    with seeded(0):
        pde = make()
    options = {} if dt is None else {"dt": dt}
    before = torch.get_rng_state()
    estimate = backprop_memory(pde, graph, features(graph), 4.0, method, options)
    assert torch.equal(torch.get_rng_state(), before)
    block = PDEBlock(pde, 4.0, method, **options)
    actual = saved_bytes(lambda: block(features(graph), graph))
    assert estimate.steps == block.stats.accepted
    assert 0.5 * actual < estimate.backprop < 2 * actual
    assert estimate.reversible == (name == "graphcon")
    assert estimate.state == graph.num_nodes * 8 * 4 * (2 if name == "graphcon" else 1)


@pytest.mark.parametrize("method", ["scipy:Radau", "torchdiffeq:dopri5", "chebyshev_exp", "auto"])
def test_there_is_nothing_to_say_of_solves_without_steps(method, graph):
    assert backprop_memory(Diffusion("learnable"), graph, features(graph), 1.0, method, {}) is None


RESIDENT = """
import torch
from neuralpde import Diffusion, Graph, PDEBlock
from neuralpde.models.memory import backprop_memory
def resident(): return 4096 * int(open("/proc/self/statm").read().split()[1])
graph, x, pde = Graph.grid({side}, {side}), torch.randn({side} ** 2, 64), Diffusion("learnable")
block = PDEBlock(pde, {steps} * 0.05, "rk4", dt=0.05)
with torch.no_grad(): block(x, graph)
before = resident()
y = block(x, graph)
print((resident() - before) / backprop_memory(pde, graph, x, block.t, "rk4", dict(dt=0.05)).backprop)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the resident memory from /proc")
@pytest.mark.parametrize(("side", "steps"), [(150, 20), (400, 4)])
def test_estimate_is_within_two_of_what_the_process_takes(side, steps):
    code = RESIDENT.format(side=side, steps=steps)
    mapped = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is given back: else the heap counts, used or not
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=mapped)
    assert 0.5 < float(done.stdout) < 2


def size_of(text: str) -> float:
    number, unit = text.split()
    return float(number) * 1024 ** ["B", "KiB", "MiB", "GiB"].index(unit)


@pytest.mark.parametrize(("method", "ways"), [("rk4", ["checkpoint", "adjoint"]), ("leapfrog", ["checkpoint", "reversible"])])
def test_warns_once_before_a_solve_that_does_not_fit_and_the_advice_works(method, ways, graph, monkeypatch, recwarn):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**20)
    with seeded(0):
        pde = (GRAND(8) if method == "rk4" else GraphCON(8)).double()
    x = features(graph).double()
    calls = {"t": 10.0, "method": method, "dt": 0.1}
    block = PDEBlock(pde, **calls)
    with torch.no_grad():
        block(x, graph)
    assert not recwarn
    actual = saved_bytes(lambda: block(x, graph))
    (warning,) = recwarn
    message = str(warning.message)
    assert warning.filename == __file__
    assert message.startswith("backpropagation keeps all 100 steps of (144 x 8) float64: about ")
    assert "1 MiB are free" in message and all(f'gradient="{way}"' in message for way in ways)
    named = [size_of(n) for n in re.findall(r"about ([\d.e+]+ \wi?B)", message)]
    assert 0.5 * actual < named[0] < 2 * actual and named[0] > 2**20 > named[2] and named[0] > 3 * named[1]
    block(x, graph)
    assert len(recwarn) == 1
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(block(leaf, graph).square().sum(), leaf)
    for way in ways:
        other = PDEBlock(pde, **calls, gradient=way)
        assert saved_bytes(lambda other=other: other(leaf, graph)) < 0.5 * named[1] + 4 * x.numel() * 8 + 2**18
        (slope,) = torch.autograd.grad(other(leaf, graph).square().sum(), leaf)
        torch.testing.assert_close(slope, expected, rtol=1e-6 if way == "adjoint" else 1e-9, atol=1e-9)
    assert len(recwarn) == 1


def test_an_adaptive_solve_is_counted_by_trying_it(graph, monkeypatch, recwarn):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**18)
    block = PDEBlock(Diffusion("learnable"), 4.0, Dopri5(), rtol=1e-5)
    block(features(graph), graph)
    (warning,) = recwarn
    assert f"keeps all {block.stats.accepted} steps" in str(warning.message)


def test_a_small_solve_is_not_looked_at(graph, monkeypatch, recwarn):
    monkeypatch.setattr(memory, "backprop_memory", None)
    PDEBlock(Diffusion("learnable"), 1.0, "rk4", dt=0.25)(features(graph), graph)
    assert not recwarn and free_memory(torch.device("cpu")) > 2**20
